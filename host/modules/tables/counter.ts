import { VamosError } from '../../../src/protocol/errors.js';

/** How far the persisted ceiling is set ahead of the values given. */
const BLOCK = 1000n;
const MAX_COUNT = 1_000_000;

/**
 * A counter whose values are never given twice, across restarts too (auto-increment, blob numbers). What is stored is a
 * ceiling above all values given, written before anything can use them; the log keeps that order, so it needs no sync.
 */
export class Counter {
  readonly #what: string;
  readonly #largest: bigint;
  readonly #persist: (value: Uint8Array) => Promise<void>;
  #next = 1n;
  #ceiling = 1n;
  #persisted: Promise<void> = Promise.resolve();

  /**
   * @param largest the largest value that is given, at most 2^64 - 2
   * @param persist writes the ceiling
   */
  constructor(what: string, largest: bigint, persist: (value: Uint8Array) => Promise<void>) {
    this.#what = what;
    this.#largest = largest;
    this.#persist = persist;
  }

  /**
   * Restores what `persist` was given last.
   * @throws VamosError CORRUPTION
   */
  load(value: Uint8Array): void {
    if (value.length !== 8)
      throw new VamosError('CORRUPTION', `the counter of ${this.#what} does not decode`);
    const ceiling = Buffer.from(value).readBigUInt64LE();
    this.#next = ceiling;
    this.#ceiling = ceiling;
  }

  /** The least value that was never given. */
  get next(): bigint {
    return this.#next;
  }

  /** Goes on from this value, which may be smaller. Returns what to persist for it. */
  set(next: bigint): Uint8Array {
    this.#next = greater(1n, lesser(next, this.#largest + 1n));
    this.#ceiling = this.#next;
    return encode(this.#ceiling);
  }

  /**
   * Returns the first of this many values, or of fewer where no more are left.
   * @throws VamosError BAD_REQUEST: none is left
   */
  async reserve(count: number): Promise<{ first: bigint; count: number }> {
    if (count < 1 || count > MAX_COUNT)
      throw new VamosError('BAD_REQUEST', `can't reserve ${count} values in one request`);
    const first = this.#next;
    const reserved = lesser(BigInt(count), this.#largest - first + 1n);
    if (reserved < 1n)
      throw new VamosError('BAD_REQUEST', `${this.#what}: no value after ${this.#largest} is left`);
    this.#next += reserved;
    await this.#raise();
    return { first, count: Number(reserved) };
  }

  /**
   * Marks values up to this one as used, which are about to be used without having been given. The log keeps
   * the order, so nothing needs to be waited for.
   */
  see(value: bigint): void {
    if (value < this.#next) return;
    this.#next = lesser(value, this.#largest) + 1n;
    this.#raise().catch(() => undefined);
  }

  #raise(): Promise<void> {
    if (this.#next > this.#ceiling) {
      const before = this.#ceiling;
      this.#ceiling = lesser(this.#next + BLOCK, this.#largest + 1n);
      this.#persisted = this.#persist(encode(this.#ceiling)).catch((error: unknown) => {
        // The next call tries again.
        this.#ceiling = before;
        throw error;
      });
    }
    return this.#persisted;
  }
}

function encode(ceiling: bigint): Uint8Array {
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(ceiling);
  return value;
}

function lesser(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}

function greater(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
