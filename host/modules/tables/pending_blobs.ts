import type { NativeStore } from './binding.js';
import { refuse } from './requests.js';

/** What this needs of the root's host. */
interface BlobsHost {
  readonly store: Pick<NativeStore, 'discardBlob'>;
  readonly counters: { blobsPending: number };
  readonly limits: { readonly maxPendingBlobs: number };
}

/**
 * How long a blob that no row refers to is sure to stay after its last bytes came, or its row was refused.
 */
const KEPT_MS = 10 * 60_000;

/** A blob that a session wrote and no committed row owns yet. */
export class PendingBlob {
  lengthBytes = 0;
  /** An open transaction has a row that refers to it, or is about to have one. */
  isAdopted = false;
  usedMs = performance.now();

  constructor(
    readonly number: number,
    private readonly all: PendingBlobs,
  ) {}

  /** Marks that a transaction has a row for it, or is about to have one. */
  adopt(): void {
    this.isAdopted = true;
    this.all.note(this);
  }

  /** Its row was refused, so that another row may have it. */
  giveBack(): void {
    this.isAdopted = false;
    this.usedMs = performance.now();
    this.all.note(this);
  }

  /** No row will refer to it. */
  discard(): void {
    this.all.discard(this.number);
  }
}

/**
 * The pending blobs of one session. Those for which transactions have rows are bounded by the transactions'
 * size; of the others a session may have a certain number.
 */
export class PendingBlobs {
  readonly #all = new Map<number, PendingBlob>();
  /** Blobs for which no transaction has a row, the longest unused first. */
  readonly #loose = new Map<number, PendingBlob>();

  constructor(private readonly host: BlobsHost) {}

  get(blob: number): PendingBlob | undefined {
    return this.#all.get(blob);
  }

  /**
   * To be called before a blob is added.
   * @throws VamosError BAD_REQUEST: there are too many, and all may still be wanted
   */
  makeRoom(): void {
    const most = this.host.limits.maxPendingBlobs;
    if (this.#loose.size < most) return;
    const [oldest] = this.#loose.values();
    if (!oldest || performance.now() - oldest.usedMs < KEPT_MS) {
      throw refuse(`a session has at most ${most} blobs that no row refers to: discard some`);
    }
    oldest.discard();
  }

  add(blob: number): PendingBlob {
    const pending = new PendingBlob(blob, this);
    this.#all.set(blob, pending);
    this.host.counters.blobsPending++;
    this.note(pending);
    return pending;
  }

  /** Notes that a blob was used, adopted or given back. */
  note(pending: PendingBlob): void {
    this.#loose.delete(pending.number);
    if (!pending.isAdopted && this.#all.has(pending.number)) this.#loose.set(pending.number, pending);
  }

  /** A committed row owns the blob now. */
  own(blob: number): void {
    if (this.#all.delete(blob)) this.host.counters.blobsPending--;
    this.#loose.delete(blob);
  }

  discard(blob: number): void {
    this.own(blob);
    this.host.store.discardBlob(blob);
  }

  discardAll(): void {
    for (const blob of [...this.#all.keys()]) this.discard(blob);
  }
}
