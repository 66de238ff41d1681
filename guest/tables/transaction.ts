import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { METHODS } from '../../src/protocol/generated/methods.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import { Chain } from './chain.js';
import type { AnyDefinition } from './schema.js';
import {
  durabilityNumber,
  isSynced,
  NO_COMMIT,
  type CommitMark,
  type Durability,
  type Link,
  type StreamPool,
  type TableStream,
  type WriteOptions,
} from './stream.js';
import type { Table } from './table.js';

const { Method, Isolation: IsolationNumber } = vamos.tables;
const { Action } = vamos.tables.Savepoint;

export type Isolation = 'read-committed' | 'repeatable-read' | 'serializable';

export interface TransactionOptions {
  /** `repeatable-read` if not given. */
  isolation?: Isolation;
  /** Writes fail with READ_ONLY. */
  readOnly?: boolean;
  /** Takes the snapshot with the first request of any kind, not with the first read. */
  consistentSnapshot?: boolean;
  /** How long its requests wait for a lock until LOCK_TIMEOUT; the host's default if not given. */
  lockTimeoutMs?: number;
}

const ISOLATIONS: Record<Isolation, vamos.tables.Isolation> = {
  'read-committed': IsolationNumber.READ_COMMITTED,
  'repeatable-read': IsolationNumber.REPEATABLE_READ,
  serializable: IsolationNumber.SERIALIZABLE,
};

const EMPTY = new Uint8Array();

/**
 * A transaction, on a stream of its own. It begins on the host with its first request, and ends by `commit`
 * or `rollback`; `await using` rolls back what was not committed.
 */
export class Transaction implements Link, AsyncDisposable {
  readonly isTransaction = true;
  readonly lockTimeoutMs: number | undefined;
  readonly #options: TransactionOptions;
  readonly #pool: StreamPool;
  readonly #stream: TableStream;
  /** The stream's renewals when the work began that the transaction does. */
  readonly #renewals: number;
  /** The session in which it began; undefined: it has not begun. */
  #epoch: number | undefined;
  /** Why it takes no more requests. */
  #end: VamosError | undefined;
  /** Why it could not begin. */
  #refusal: VamosError | undefined;
  /** Rows were certainly written, and not undone, so the host keeps the commit's number. */
  #hasWritten = false;

  /** @param renewals its stream's renewals when an earlier transaction began that this one does again */
  constructor(pool: StreamPool, options: TransactionOptions, renewals?: number) {
    this.#pool = pool;
    this.#stream = pool.take();
    this.#renewals = renewals ?? this.#stream.renewals;
    this.#options = options;
    this.lockTimeoutMs = options.lockTimeoutMs;
  }

  /** The transaction is neither committed nor rolled back. */
  get isOpen(): boolean {
    return !this.#end;
  }

  /** What ended it, if that was no commit and no rollback: a deadlock, or the loss of its session. */
  get failure(): VamosError | undefined {
    return this.#end?.code === 'NO_TRANSACTION' ? undefined : this.#end;
  }

  /** Returns the table with its requests in this transaction. */
  table<D extends AnyDefinition>(table: Table<D>): Table<D> {
    return table.within(this);
  }

  /**
   * Makes all of it durable and visible, and ends the transaction. If the session ends before the answer, the
   * host is asked for the outcome once there is a session again.
   * @throws VamosError: it is rolled back; but OUTCOME_UNKNOWN (the host could not be asked), CANCELLED,
   * DEADLINE_EXCEEDED: it may have been done
   */
  async commit(options: CallOptions & { durability?: Durability } = {}): Promise<void> {
    this.#check();
    if (this.#epoch === undefined) return this.#finish(committed());
    const commit = this.#stream.nextCommit();
    const durability = durabilityNumber(options.durability);
    const body = vamos.tables.Commit.encode({ durability, ...commit }).finish();
    await this.#last(Method.COMMIT, body, { ...options, isCommit: true }, committed(), commit);
    if (isSynced(options.durability)) this.#noteStored(commit);
  }

  /** Undoes all of it and ends the transaction. Does nothing if it has ended already. */
  async rollback(options: CallOptions = {}): Promise<void> {
    if (this.#end) return;
    if (this.#epoch === undefined) return this.#finish(rolledBack());
    try {
      await this.#last(Method.ROLLBACK, EMPTY, options, rolledBack());
    } catch (error) {
      // With its session the host lost the transaction too.
      if (VamosError.from(error).code !== 'SESSION_LOST') throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollback();
  }

  /** Sets a place to come back to. It replaces a savepoint of the same name. */
  savepoint(name: string, options: CallOptions = {}): Promise<void> {
    return this.#savepoint(Action.SET, name, options);
  }

  /** Undoes what came after the savepoint, which stays. @throws VamosError SAVEPOINT_MISSING */
  rollbackTo(name: string, options: CallOptions = {}): Promise<void> {
    return this.#savepoint(Action.ROLLBACK_TO, name, options);
  }

  /** Forgets the savepoint and those after it; nothing is undone. @throws VamosError SAVEPOINT_MISSING */
  release(name: string, options: CallOptions = {}): Promise<void> {
    return this.#savepoint(Action.RELEASE, name, options);
  }

  async #savepoint(action: vamos.tables.Savepoint.Action, name: string, options: CallOptions): Promise<void> {
    await this.send(Method.SAVEPOINT, vamos.tables.Savepoint.encode({ action, name }).finish(), options);
    if (action === Action.ROLLBACK_TO) this.#hasWritten = false;
  }

  /**
   * Sends writes in one frame that stop at the first failure, the commit among them if `build` asks for it. A
   * failure leaves the transaction open with the writes before it done. But where the chain has a commit,
   * CANCELLED and DEADLINE_EXCEEDED end the transaction, as they do in `commit`.
   */
  async chain(build: (chain: Chain) => void, options: WriteOptions = {}): Promise<void> {
    this.#check();
    const chain = new Chain();
    build(chain);
    const commit = chain.commits ? this.#stream.nextCommit() : NO_COMMIT;
    const { epoch } = this;
    const frames = await chain.frames(this, this.#stream.maxBodyBytes, options, commit);
    try {
      // Values that were reserved for its rows, and blobs, belong to that session.
      if (this.epoch !== epoch) {
        throw new VamosError(
          'SESSION_LOST',
          'the session ended before the chain was sent; nothing was written',
        );
      }
      for (const frame of frames) {
        this.#check();
        const scope = this.#begin();
        await this.#stream.chain(frame, { ...options, ...scope, isCommit: chain.commits });
        if (frame.some(({ method }) => METHODS.get(method)?.writesRows)) this.#hasWritten = true;
      }
    } catch (thrown) {
      let error = chain.explain(VamosError.from(thrown));
      if (error.code === 'OUTCOME_UNKNOWN') {
        try {
          await this.#stream.learnOutcome(commit, error, options);
          if (!this.#end) this.#finish(committed());
          return;
        } catch (learnt) {
          error = VamosError.from(learnt);
        }
      }
      if (error.code === 'SESSION_LOST') this.#stream.takeBack(commit);
      const failure = this.#failed(error);
      if (chain.commits && failure.properties.isGivenUp && !this.#end) {
        this.#undoIfOpen();
        this.#finish(failure);
      }
      throw failure;
    }
    if (!chain.commits) return;
    if (chain.isSynced) this.#noteStored(commit);
    this.#finish(committed());
  }

  /** Returns no mark: the transaction commits, not its writes. */
  nextCommit(): CommitMark {
    return NO_COMMIT;
  }

  noteStored(): void {
    // The end of the transaction notes its commit.
  }

  #noteStored(commit: CommitMark): void {
    if (this.#hasWritten) this.#stream.noteStored(commit);
  }

  async send(method: number, body: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    this.#check();
    const scope = this.#begin();
    try {
      const reply = await this.#stream.call(method, body, { ...options, ...scope });
      if (METHODS.get(method)?.writesRows) this.#hasWritten = true;
      return reply;
    } catch (error) {
      throw this.#failed(VamosError.from(error));
    }
  }

  sendApart(method: number, body: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    return this.#stream.call(method, body, options);
  }

  get epoch(): number {
    return this.#epoch ?? this.#stream.epoch;
  }

  closeCursor(cursor: number, epoch: number): void {
    if (!this.#end) this.#stream.closeCursor(cursor, epoch);
  }

  async atomically<Result>(options: WriteOptions, body: (link: Link) => Promise<Result>): Promise<Result> {
    const name = '\u0000statement';
    await this.savepoint(name, options);
    try {
      const result = await body(this);
      await this.release(name, options);
      return result;
    } catch (error) {
      if (!this.#end) await this.rollbackTo(name);
      throw error;
    }
  }

  /** Begins on the host. BEGIN goes in the frame of the first request, and is not cancelled with it. */
  #begin(): { epoch: number } {
    if (this.#epoch !== undefined) return { epoch: this.#epoch };
    this.#epoch = this.#stream.epoch;
    const { isolation = 'repeatable-read', readOnly = false, consistentSnapshot = false } = this.#options;
    const body = vamos.tables.Begin.encode({
      isolation: ISOLATIONS[isolation],
      readOnly,
      consistentSnapshot,
    }).finish();
    const scope = { epoch: this.#epoch };
    // If it fails, the request behind it does too, and reports why.
    this.#stream.call(Method.BEGIN, body, scope).catch((error: unknown) => {
      this.#refusal = VamosError.from(error);
    });
    return scope;
  }

  async #last(
    method: number,
    body: Uint8Array,
    options: CallOptions,
    end: VamosError,
    commit = NO_COMMIT,
  ): Promise<void> {
    const scope = this.#begin();
    // Later requests fail immediately, before the reply: none may follow on this stream.
    this.#end = end;
    this.#stream.forgetCursors();
    try {
      await this.#stream.call(method, body, { ...options, ...scope });
    } catch (thrown) {
      const error = VamosError.from(thrown);
      this.#undoIfOpen();
      // No request that commits may follow on the stream before this is known.
      const explained = this.#explain(error);
      await this.#stream.learnOutcome(commit, explained, options);
    } finally {
      this.#pool.giveBack(this.#stream);
    }
  }

  /**
   * Rolls back once more after an end that was given up, since it may not have run: the stream's next
   * transaction must not continue this one.
   */
  #undoIfOpen(): void {
    this.#stream.call(Method.ROLLBACK, EMPTY, { epoch: this.epoch }).catch(() => undefined);
  }

  #check(): void {
    if (!this.#end && this.#isOfEarlierState()) {
      if (this.#epoch !== undefined) this.#undoIfOpen();
      this.#finish(mayBeDone());
    }
    if (this.#end) throw this.#end;
  }

  /**
   * Says whether the transaction began in a state of this guest's memory that the host knows a later one of.
   * In that later state it may have been committed.
   */
  #isOfEarlierState(): boolean {
    return this.#stream.renewals !== this.#renewals && !this.#options.readOnly;
  }

  #failed(error: VamosError): VamosError {
    const isLost = error.code === 'SESSION_LOST' && this.#isOfEarlierState();
    const failure = isLost ? mayBeDone(error) : this.#explain(error);
    if (!this.#end && (failure !== error || failure.properties.endsTransaction)) this.#finish(failure);
    return failure;
  }

  #explain(error: VamosError): VamosError {
    return error.code === 'NO_TRANSACTION' ? (this.#refusal ?? error) : error;
  }

  #finish(end: VamosError): void {
    this.#end = end;
    this.#stream.forgetCursors();
    this.#pool.giveBack(this.#stream);
  }
}

function committed(): VamosError {
  return new VamosError('NO_TRANSACTION', 'the transaction is committed');
}

function mayBeDone(cause?: VamosError): VamosError {
  return new VamosError(
    'OUTCOME_UNKNOWN',
    "the guest's memory was rolled back while the transaction was under way, which may have been committed since: look before " +
      'doing it again',
    { cause },
  );
}

function rolledBack(): VamosError {
  return new VamosError('NO_TRANSACTION', 'the transaction is rolled back');
}
