import { VamosError } from '../../../src/protocol/errors.js';
import type { NativeStore } from './binding.js';
import type { StoreReport, VerifyOptions } from './verify.js';

export interface ScrubOptions {
  bytesPerSecond: number;
  /** The time from the end of one round to the beginning of the next; 0: no rounds. */
  intervalMs: number;
  onFindings(report: Pick<StoreReport, 'findings' | 'findingCount'>): void;
}

/** The key of the record that says when the last round ended, in ms since 1970. */
const RECORD = 'scrub';
const CHECK_MS = 60_000;

/** Verifies the store again and again, slowly, while it is used. */
export class Scrub {
  readonly counters = {
    scrubRounds: 0,
    scrubBytes: 0,
    scrubFindings: 0,
    scrubLastSeconds: 0,
    scrubActive: 0,
  };
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(
    private readonly store: NativeStore,
    private readonly options: ScrubOptions,
    private readonly verify: (options: VerifyOptions) => Promise<StoreReport>,
    private readonly put: (record: { key: string; value: Uint8Array }) => Promise<void>,
  ) {}

  async start(): Promise<void> {
    if (this.options.intervalMs === 0) return;
    const last = this.store.getRecords(RECORD)[0]?.value;
    // A new root is verified when the first interval is over, however often its worker starts.
    const lastMs = last?.length === 8 ? Number(Buffer.from(last).readBigUInt64LE()) : await this.#keepTime();
    this.counters.scrubLastSeconds = lastMs / 1000;
    this.#wait();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#round;
  }

  #wait(): void {
    const dueMs = this.counters.scrubLastSeconds * 1000 + this.options.intervalMs - Date.now();
    // The wait is cut into pieces: timers have a limit, and the clock may be set.
    this.#timer = setTimeout(
      () => {
        if (dueMs <= CHECK_MS) this.#round = this.#run().finally(() => (this.#round = undefined));
        else this.#wait();
      },
      Math.max(0, Math.min(dueMs, CHECK_MS)),
    );
    this.#timer.unref();
  }

  async #run(): Promise<void> {
    this.counters.scrubActive = 1;
    const bytesBefore = this.counters.scrubBytes;
    try {
      const report = await this.verify({
        bytesPerSecond: this.options.bytesPerSecond,
        signal: this.#stop.signal,
        onProgress: ({ bytesDone, findings }) => {
          this.counters.scrubBytes = bytesBefore + bytesDone;
          this.counters.scrubFindings = Math.max(this.counters.scrubFindings, findings);
        },
      });
      this.counters.scrubFindings = report.findingCount;
      this.counters.scrubRounds++;
      this.counters.scrubLastSeconds = (await this.#keepTime()) / 1000;
      if (report.findingCount > 0) this.options.onFindings(report);
    } catch (error) {
      // Else the store closes, or fails, which it reports itself; a later round tries again.
      const { code, message } = VamosError.from(error);
      if (code === 'CORRUPTION') this.#tellUnreadable(message);
      this.counters.scrubLastSeconds = Date.now() / 1000;
    } finally {
      this.counters.scrubActive = 0;
    }
    if (!this.#stop.signal.aborted) this.#wait();
  }

  /** Damage that ends a round, as it can't go on without what it could not read: the catalogue, say. */
  #tellUnreadable(text: string): void {
    this.counters.scrubFindings = Math.max(this.counters.scrubFindings, 1);
    this.options.onFindings({
      findings: [{ kind: 'unreadable', text }],
      findingCount: this.counters.scrubFindings,
    });
  }

  async #keepTime(): Promise<number> {
    const nowMs = Date.now();
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(BigInt(nowMs));
    await this.put({ key: RECORD, value });
    return nowMs;
  }
}
