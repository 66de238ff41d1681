import { VamosError } from '../../src/protocol/errors.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import {
  NO_COMMIT,
  type CommitMark,
  type Link,
  type StreamPool,
  type TableStream,
  type WriteOptions,
} from './stream.js';
import { Transaction } from './transaction.js';

/** The reply of a write that is known to be done though its real reply was lost. It is not read. */
const NO_REPLY = new Uint8Array();

/**
 * A link for requests outside transactions: each is a transaction of its own, committed before it is
 * answered.
 */
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

  nextCommit(): CommitMark {
    return this.#stream.nextCommit();
  }

  noteStored(commit: CommitMark): void {
    this.#stream.noteStored(commit);
  }

  async send(
    method: number,
    body: Uint8Array,
    { commit = NO_COMMIT, ...options }: CallOptions & { commit?: CommitMark },
  ): Promise<Uint8Array> {
    try {
      return await this.#stream.call(method, body, { ...options, isCommit: commit.number > 0 });
    } catch (error) {
      await this.#stream.learnOutcome(commit, VamosError.from(error), options);
      return NO_REPLY;
    }
  }

  sendApart(method: number, body: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    return this.#stream.call(method, body, options);
  }

  closeCursor(cursor: number, epoch: number): void {
    this.#stream.closeCursor(cursor, epoch);
  }

  /** Runs `body` in a transaction on another stream. */
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
