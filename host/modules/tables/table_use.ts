import { VamosError } from '../../../src/protocol/errors.js';
import type { Call } from '../../../src/rpc/contract.js';

/**
 * Counts what uses a table: transactions, cursors and requests. Dropping and truncating wait until there is
 * none.
 */
export class TableUse {
  #count = 0;
  #onUnused = new Set<() => void>();

  get count(): number {
    return this.#count;
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count > 0) return;
    const waiting = this.#onUnused;
    this.#onUnused = new Set();
    for (const resume of waiting) resume();
  }

  /**
   * Waits until nothing uses the table.
   * @throws VamosError LOCK_TIMEOUT, or why the call was aborted
   */
  untilUnused(call: Call, timeoutMs: number): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const { signal } = call;
      const finish = (error?: VamosError): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.#onUnused.delete(onUnused);
        call.setParked(false);
        if (error) reject(error);
        else resolve();
      };
      const onUnused = (): void => {
        finish();
      };
      const onAbort = (): void => {
        finish(VamosError.from(signal.reason));
      };
      const timer = setTimeout(() => {
        finish(new VamosError('LOCK_TIMEOUT', 'transactions, cursors or requests still use the table'));
      }, timeoutMs);
      this.#onUnused.add(onUnused);
      call.setParked(true);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
