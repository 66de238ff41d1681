export interface BackoffOptions {
  /** The first and the longest delay, before they are shortened at random. */
  firstMs?: number;
  longestMs?: number;
}

/**
 * Delays between attempts. They double, and each is shortened by up to half at random, so that many clients
 * don't come back simultaneously.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #attempts = 0;

  constructor({ firstMs = 50, longestMs = 2000 }: BackoffOptions = {}) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
  }

  /** Returns how long to wait before the next attempt. */
  nextDelayMs(): number {
    const fullMs = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#attempts++, 30));
    return fullMs * (1 - Math.random() / 2);
  }

  /** Starts again with the shortest delay; to be called after a success. */
  reset(): void {
    this.#attempts = 0;
  }
}
