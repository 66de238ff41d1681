/** Rows and choices of the workloads, the same every time and for every engine. */
import { createHash } from 'node:crypto';
import { randomNumbers } from '../demo/orders.js';

const POOL_BYTES = 128 * 1024;
const POOL_SEED = 4_004;

/** Text that does not repeat itself: payloads are pieces of it, so that making them costs nothing. */
let pool: string | undefined;

function makePool(): string {
  const next = randomNumbers(POOL_SEED);
  const bytes = Uint8Array.from({ length: POOL_BYTES }, () => Math.floor(next() * 256));
  return Buffer.from(bytes).toString('base64');
}

/** Returns the payload that a client sends for the row with this id: ASCII text. */
export function payload(id: number, bytes: number): string {
  pool ??= makePool();
  const start = Math.imul(id, 2_654_435_761) >>> 0;
  return pool.slice(start % (pool.length - bytes)).slice(0, bytes);
}

/** Returns whole numbers from 1 to `limit`; a seed gives the same ones every time. */
export function choices(seed: number, count: number, limit: number): number[] {
  const next = randomNumbers(seed);
  return Array.from({ length: count }, () => 1 + Math.floor(next() * limit));
}

/** Rows of one result, as mysql2 gives them with `rowsAsArray`. */
export type ResultRows = readonly (readonly unknown[])[];

/**
 * A checksum over rows of results that does not depend on their order, since an engine may return them in its
 * own.
 */
export class RowChecksum {
  readonly #digests: string[] = [];

  add(rows: ResultRows): void {
    for (const row of rows) {
      const hash = createHash('sha256');
      for (const value of row) {
        const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value));
        hash.update(`${value === null ? 'n' : 'v'}${bytes.length}:`).update(bytes);
      }
      this.#digests.push(hash.digest('hex'));
    }
  }

  digest(): string {
    return checksumOf(this.#digests.sort());
  }
}

/** Makes one checksum of several, in their order. */
export function checksumOf(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);
}
