import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { Call, ModuleSession } from '../../../src/rpc/contract.js';
import type { HostTable } from './host_table.js';
import type { TablesHost } from './host.js';
import { BatchedGets } from './batched_gets.js';
import { goOn, type NowOrLater } from './now_or_later.js';
import { native } from './operations.js';
import { PendingBlobs } from './pending_blobs.js';
import type { Scope } from './requests.js';
import type { CommitMark } from './binding.js';
import type { CommitNumber, HostTransaction } from './transaction.js';

const { Wait } = vamos.tables;

/**
 * Answers one method's requests, synchronously where nothing is waited for.
 * @throws VamosError
 */
export type Handler = (
  session: TablesSession,
  body: Uint8Array,
  call: Call,
) => Uint8Array | Promise<Uint8Array>;

/** A stream that numbers its commits. */
interface NumberedStream {
  /** The stream's key in the store. */
  readonly key: Uint8Array;
  /** The number of the last commit that is known to be done. */
  lastNumber: number;
}

/** A cursor that a session has open. */
export interface HostCursor {
  /** The store's number of the cursor. */
  number: number;
  stream: number;
  table: HostTable;
  scope: Scope;
  /** The stream's transaction, or the cursor's own if it locks outside of any. */
  transaction: HostTransaction | undefined;
}

/** One connector's streams with their transactions, cursors and new blobs. */
export class TablesSession implements ModuleSession {
  /** Open transactions by stream. */
  readonly #transactions = new Map<number, HostTransaction>();
  /** Open cursors by the number that the connector knows. */
  readonly cursors = new Map<number, HostCursor>();
  readonly blobs: PendingBlobs;
  readonly batch = new BatchedGets(this);
  readonly #running = new Set<Promise<unknown>>();
  readonly #numbered = new Map<number, NumberedStream>();

  constructor(
    readonly host: TablesHost,
    /** The session's 16 bytes. */
    private readonly id: Uint8Array,
    /** Handlers by method. */
    private readonly handlers: ReadonlyMap<number, Handler>,
  ) {
    this.blobs = new PendingBlobs(host);
  }

  handle(method: number, body: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const handler = this.handlers.get(method);
    if (!handler) throw new VamosError('UNKNOWN_METHOD', `the module tables has no method ${method}`);
    const answer = handler(this, body, call);
    if (answer instanceof Uint8Array) return answer;
    this.#running.add(answer);
    const done = (): void => {
      this.#running.delete(answer);
    };
    answer.then(done, done);
    return answer;
  }

  /**
   * Closes after what still runs has settled: rolls back what is open, and removes blobs without an owner.
   */
  async close(error: VamosError | undefined): Promise<void> {
    await Promise.allSettled([...this.#running]);
    for (const number of [...this.cursors.keys()]) this.closeCursor(number);
    for (const stream of [...this.#transactions.keys()]) this.rollback(stream);
    this.blobs.discardAll();
    // The connector said goodbye, so it will not ask for its commits any more.
    if (!error) this.host.store.forgetCommits(this.id);
  }

  begin(stream: number, transaction: () => HostTransaction): void {
    if (this.#transactions.has(stream))
      throw new VamosError('BAD_REQUEST', 'the stream has an open transaction');
    if (this.#transactions.size >= this.host.limits.maxTransactions) {
      throw new VamosError(
        'BAD_REQUEST',
        `a session has at most ${this.host.limits.maxTransactions} transactions`,
      );
    }
    this.#transactions.set(stream, transaction());
  }

  hasTransaction(stream: number): boolean {
    return this.#transactions.has(stream);
  }

  /**
   * Returns the stream's transaction.
   * @throws VamosError NO_TRANSACTION
   */
  transaction(stream: number): HostTransaction {
    const transaction = this.#transactions.get(stream);
    if (!transaction) throw new VamosError('NO_TRANSACTION', 'the stream has no open transaction');
    return transaction;
  }

  /**
   * Returns the store's transaction in which a stream's plain read of this table can run directly, 0: none;
   * undefined: the read needs more.
   */
  plainReader(stream: number, table: HostTable): number | undefined {
    const transaction = this.#transactions.get(stream);
    if (!transaction) return 0;
    if (!transaction.readsItsSnapshot) return undefined;
    transaction.use(table);
    return transaction.number;
  }

  commit(stream: number, durability: number, mark: CommitMark, call: Call): NowOrLater<void> {
    this.transaction(stream);
    const numbers = this.#numberCommit(stream, mark);
    const transaction = this.#take(stream);
    return goOn(
      () => this.host.commit(transaction, durability, numbers, [call]),
      (blobs) => {
        this.#committed(stream, mark);
        this.#own(blobs);
      },
    );
  }

  /**
   * Prepares the stream's transaction, which then belongs to no stream.
   * @throws VamosError PREPARED_EXISTS: it stays; others: it is rolled back
   */
  async prepare(stream: number, xid: Uint8Array, durability: number, call: Call): Promise<void> {
    this.transaction(stream);
    this.host.prepared.check(xid);
    const transaction = this.#take(stream);
    try {
      await this.host.prepared.add(xid, transaction, durability, call);
    } catch (error) {
      this.host.rollback(transaction);
      throw error;
    }
    this.#own(transaction.adoptedBlobs);
  }

  /**
   * Returns a stream's last commit.
   * @param session the session that is asked about; empty: this one
   */
  lastCommit(stream: number, session: Uint8Array): CommitMark {
    const key = streamKey(session.length > 0 ? session : this.id, stream);
    return native(() => this.host.store.lastCommit(key));
  }

  /** Forgets the commits of a stream that is not used any more. */
  forgetCommits(stream: number): void {
    const known = this.#numbered.get(stream);
    if (!known) return;
    this.#numbered.delete(stream);
    this.host.store.forgetCommits(known.key);
  }

  rollback(stream: number): void {
    this.host.rollback(this.#take(stream));
  }

  #take(stream: number): HostTransaction {
    const transaction = this.transaction(stream);
    this.#transactions.delete(stream);
    this.#forgetCursors(transaction);
    return transaction;
  }

  /**
   * Numbers a commit that is about to be made.
   * @throws VamosError SESSION_STALE: a commit with this number, or a later one, was done before: the
   * connector's memory was rolled back, and this is another commit, or the same once more
   */
  #numberCommit(stream: number, mark: CommitMark): CommitNumber[] {
    if (mark.number === 0) return [];
    const known = this.#numbered.get(stream) ?? this.#readNumbers(stream);
    if (mark.number <= known.lastNumber) {
      throw new VamosError(
        'SESSION_STALE',
        `commit ${mark.number} of stream ${stream} comes after commit ${known.lastNumber} was done: the guest's memory was ` +
          `rolled back; nothing was written`,
      );
    }
    return [{ stream: known.key, mark }];
  }

  #readNumbers(stream: number): NumberedStream {
    const key = streamKey(this.id, stream);
    const { number } = native(() => this.host.store.lastCommit(key));
    const known = { key, lastNumber: number };
    this.#numbered.set(stream, known);
    return known;
  }

  #committed(stream: number, mark: CommitMark): void {
    const known = this.#numbered.get(stream);
    if (known && mark.number > known.lastNumber) known.lastNumber = mark.number;
  }

  /**
   * Runs a request in its stream's transaction, or in one of its own that ends with it.
   * @param ending what becomes of a transaction of its own; `shared`: it is committed with others of this
   * turn where that is possible
   */
  within<Result>(
    scope: Scope,
    call: Call,
    table: HostTable,
    ending: 'shared' | 'commit' | 'rollback',
    body: (transaction: HostTransaction) => NowOrLater<Result>,
  ): NowOrLater<Result> {
    if (scope.inTransaction) {
      const transaction = this.transaction(call.stream);
      transaction.use(table);
      transaction.beginStatement(scope.statement);
      return goOn(
        () => body(transaction),
        (result) => result,
        (error) => {
          this.endIfVictim(call.stream, error);
          throw error;
        },
      );
    }
    const numbers = this.#numberCommit(call.stream, scope.commit);
    // A request that does not wait must not meet the locks of those that share a transaction with it.
    if (ending === 'shared' && scope.wait === Number(Wait.WAIT)) {
      try {
        const shared = this.host.sharedCommits.run(call, scope.durability, numbers, (transaction) => {
          transaction.use(table);
          return body(transaction);
        });
        return goOn(
          () => shared,
          (result) => {
            this.#committed(call.stream, scope.commit);
            return result;
          },
        );
      } catch {
        // By itself it can wait, or say what is wrong.
      }
    }
    const transaction = this.host.beginAutocommit();
    transaction.use(table);
    return goOn(
      () => body(transaction),
      (result): NowOrLater<Result> => {
        if (ending === 'rollback') {
          this.host.rollback(transaction);
          return result;
        }
        return goOn(
          () => this.host.commit(transaction, scope.durability, numbers, [call]),
          (blobs) => {
            this.#committed(call.stream, scope.commit);
            this.#own(blobs);
            return result;
          },
        );
      },
      (error) => {
        this.host.rollback(transaction);
        throw error;
      },
    );
  }

  /** Ends the stream's transaction if the error says that it was a deadlock's victim and is rolled back. */
  endIfVictim(stream: number, error: unknown): void {
    if (error instanceof VamosError && error.code === 'DEADLOCK' && this.#transactions.has(stream)) {
      this.rollback(stream);
    }
  }

  /**
   * Closes a cursor, and a transaction of its own with it. Does nothing if there is no cursor with this
   * number.
   */
  closeCursor(number: number): void {
    const cursor = this.cursors.get(number);
    if (!cursor) return;
    this.host.store.closeCursor(cursor.number);
    this.forgetCursor(number);
  }

  /** Forgets a cursor that the store has closed. */
  forgetCursor(number: number): void {
    const cursor = this.cursors.get(number);
    if (!cursor) return;
    this.cursors.delete(number);
    this.host.counters.cursorsOpen--;
    this.release(cursor);
  }

  /** Gives back what a cursor held. */
  release(cursor: HostCursor): void {
    if (cursor.scope.inTransaction) return;
    if (cursor.transaction) this.host.rollback(cursor.transaction);
    else cursor.table.use.end();
  }

  #forgetCursors(transaction: HostTransaction): void {
    for (const [number, cursor] of this.cursors) {
      if (cursor.transaction === transaction) this.closeCursor(number);
    }
  }

  /** Notes that committed rows own these blobs now. */
  #own(blobs: readonly number[]): void {
    for (const blob of blobs) this.blobs.own(blob);
  }
}

/** Returns the key at which the store keeps the numbers of a stream's commits. */
function streamKey(session: Uint8Array, stream: number): Uint8Array {
  const key = Buffer.alloc(session.length + 4);
  key.set(session);
  key.writeUInt32BE(stream, session.length);
  return key;
}
