export interface BackoffOptions {
  /** First and longest delay, before jitter. */
  firstMs?: number;
  longestMs?: number;
}

/** Delays between attempts: doubling, each shortened by up to half at random so that many don't come back at once. */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #attempts = 0;

  constructor({ firstMs = 50, longestMs = 2000 }: BackoffOptions = {}) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
  }

  /** How long to wait before the next attempt. */
  nextDelayMs(): number {
    const fullMs = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#attempts++, 30));
    return fullMs * (1 - Math.random() / 2);
  }

  /** After a success. */
  reset(): void {
    this.#attempts = 0;
  }
}
