import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import type { Link, StreamPool, TableStream, WriteOptions } from './stream.js';
import { Transaction } from './transaction.js';

const { Method } = vamos.tables;
const WRITES: ReadonlySet<number> = new Set<number>([Method.INSERT, Method.UPDATE, Method.DELETE]);

/** Requests outside transactions: each is one of its own, committed before it is answered. */
export class AutocommitLink implements Link {
  readonly isTransaction = false;
  readonly lockTimeoutMs = undefined;
  readonly #stream: TableStream;
  readonly #pool: StreamPool;

  constructor(stream: TableStream, pool: StreamPool) {
    this.#stream = stream;
    this.#pool = pool;
  }

  get epoch(): number {
    return this.#stream.epoch;
  }

  send(method: number, body: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    return this.#stream.call(method, body, { ...options, isCommit: WRITES.has(method) });
  }

  sendApart(method: number, body: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    return this.#stream.call(method, body, options);
  }

  closeCursor(cursor: number, epoch: number): void {
    this.#stream.closeCursor(cursor, epoch);
  }

  /** In a transaction on another stream. */
  async atomically<Result>(options: WriteOptions, body: (link: Link) => Promise<Result>): Promise<Result> {
    const { lockTimeoutMs } = options;
    await using transaction = new Transaction(
      this.#pool,
      lockTimeoutMs === undefined ? {} : { lockTimeoutMs },
    );
    const result = await body(transaction);
    await transaction.commit(options);
    return result;
  }
}
