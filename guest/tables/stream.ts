import { freshBytes } from '../../src/channel/fresh_bytes.js';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions, RpcStream } from '../../src/rpc/contract.js';
import type { BlobReader } from './blob.js';

const { Method, Durability: DurabilityNumber, Wait: WaitNumber } = vamos.tables;

/**
 * Where the data are when a commit is answered: on the disk, with the host's operating system, or in the host
 * process's memory.
 */
export type Durability = 'synced' | 'written' | 'memory';

/** What to do about a row that another transaction locks: wait, fail with LOCK_NOT_AVAILABLE, or read as if it weren't there. */
export type Wait = 'wait' | 'no-wait' | 'skip-locked';

export interface LockOptions extends CallOptions {
  wait?: Exclude<Wait, 'skip-locked'>;
  /** How long to wait for a lock until LOCK_TIMEOUT; the host's default if not given. */
  lockTimeoutMs?: number;
}

export interface WriteOptions extends LockOptions {
  /** For a write outside a transaction, which commits by itself; `synced` if not given. */
  durability?: Durability;
}

const DURABILITIES: Record<Durability, vamos.tables.Durability> = {
  synced: DurabilityNumber.SYNCED,
  written: DurabilityNumber.WRITTEN,
  memory: DurabilityNumber.MEMORY,
};
const WAITS: Record<Wait, vamos.tables.Wait> = {
  wait: WaitNumber.WAIT,
  'no-wait': WaitNumber.NO_WAIT,
  'skip-locked': WaitNumber.SKIP_LOCKED,
};

export function durabilityNumber(durability: Durability = 'synced'): vamos.tables.Durability {
  return DURABILITIES[durability];
}

export function isSynced(durability: Durability = 'synced'): boolean {
  return durability === 'synced';
}

export function scopeOf(
  link: Link,
  options: { wait?: Wait; lockTimeoutMs?: number; durability?: Durability },
): vamos.tables.IScope {
  return {
    inTransaction: link.isTransaction,
    durability: durabilityNumber(options.durability),
    wait: WAITS[options.wait ?? 'wait'],
    lockTimeoutMs: options.lockTimeoutMs ?? link.lockTimeoutMs ?? 0,
  };
}

const TOKEN_BYTES = 8;

/** Identifies one of its stream's commits: numbers rise, and no other commit has the token. */
export interface CommitMark {
  number: number;
  token: Uint8Array;
  /** The bytes of the session in which it was marked. */
  session: Uint8Array;
}

export const NO_COMMIT: CommitMark = { number: 0, token: new Uint8Array(), session: new Uint8Array() };

/** The way that a table's requests take: a stream that commits each by itself, or a transaction. */
export interface Link extends BlobReader {
  /** The session that a cursor opened now belongs to. */
  readonly epoch: number;
  /** The lock timeout of calls that give none. */
  readonly lockTimeoutMs: number | undefined;
  /** Returns the mark of a write that is about to be sent, if it commits by itself; else NO_COMMIT. */
  nextCommit(): CommitMark;
  /**
   * Notes that a commit which wrote rows, and was to be synced, is done: the host has its number from then
   * on.
   */
  noteStored(commit: CommitMark): void;
  /**
   * Sends a request.
   * @param options.commit the mark from `nextCommit`, as the request has it
   */
  send(method: number, body: Uint8Array, options: CallOptions & { commit?: CommitMark }): Promise<Uint8Array>;
  /** Sends a request that is no part of the transaction, on the same stream. */
  sendApart(method: number, body: Uint8Array, options: CallOptions): Promise<Uint8Array>;
  /** Tells the host, with the next request or soon, that the cursor is not needed any more. */
  closeCursor(cursor: number, epoch: number): void;
  /** Runs requests that take effect together or not at all. */
  atomically<Result>(options: WriteOptions, body: (link: Link) => Promise<Result>): Promise<Result>;
}

/**
 * How long a cursor that is not needed any more stays open if no other request is sent with which the host
 * can be told.
 */
const CLOSE_CURSOR_AFTER_MS = 50;

/** An RpcStream that tells the host of cursors that were left, in frames that are sent anyway. */
export class TableStream {
  readonly #stream: RpcStream;
  #leftCursors: { cursor: number; epoch: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #commits = 0;
  /** The last commit whose number the host certainly has. */
  #stored = NO_COMMIT;

  constructor(stream: RpcStream) {
    this.#stream = stream;
  }

  get epoch(): number {
    return this.#stream.epoch;
  }

  get renewals(): number {
    return this.#stream.renewals;
  }

  get maxBodyBytes(): number {
    return this.#stream.maxBodyBytes;
  }

  call(method: number, body: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    this.#closeLeftCursors();
    return this.#stream.call(method, body, options);
  }

  chain(requests: { method: number; body: Uint8Array }[], options?: CallOptions): Promise<Uint8Array[]> {
    this.#closeLeftCursors();
    return this.#stream.chain(requests, options);
  }

  /** Marks a commit. The host keeps the mark of the stream's last commit that was done. */
  nextCommit(): CommitMark {
    return {
      number: ++this.#commits,
      token: freshBytes(TOKEN_BYTES),
      session: this.#stream.session,
    };
  }

  /** See `Link.noteStored`. */
  noteStored(commit: CommitMark): void {
    const isSameSession = Buffer.compare(commit.session, this.#stored.session) === 0;
    if (!isSameSession || commit.number > this.#stored.number) this.#stored = commit;
  }

  /**
   * Takes the number of a commit back that was certainly not made. A commit that is made again must have the
   * same number, so that it is known from one that was made before a rollback of the guest's memory.
   */
  takeBack({ number }: CommitMark): void {
    if (number > 0 && this.#commits === number) this.#commits--;
  }

  /**
   * Asks the host, once there is a session again, what became of a commit whose session ended before the
   * answer. If this returns the commit was done.
   * @param error the commit's error; any but OUTCOME_UNKNOWN is thrown as it is
   * @throws VamosError SESSION_LOST: it was not done; OUTCOME_UNKNOWN: the host can't be asked, or a later
   * commit of the stream was done and this one may have failed before it, or the host has forgotten an
   * earlier one
   */
  async learnOutcome(
    commit: CommitMark,
    error: VamosError,
    { signal, timeoutMs }: CallOptions,
  ): Promise<void> {
    if (error.code === 'SESSION_LOST') this.takeBack(commit);
    if (error.code !== 'OUTCOME_UNKNOWN') throw error;
    const options = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
    const last = await this.#lastCommit(error.detail, options).catch(() => undefined);
    if (last === undefined || last.number > commit.number) throw error;
    if (last.number === commit.number) {
      // With another token it is a commit that this guest made before its memory was rolled back, perhaps
      // this one. Earlier hosts know no tokens.
      if (last.token.length === 0 || Buffer.compare(last.token, commit.token) === 0) return;
      throw error;
    }
    const stored = this.#stored;
    if (last.number < stored.number && Buffer.compare(error.detail, stored.session) === 0) {
      throw new VamosError(
        'OUTCOME_UNKNOWN',
        `the host has forgotten a commit that it acknowledged: its data was put back to an earlier state, and whether this ` +
          `commit was done before that is not known (${error.message})`,
        { cause: error },
      );
    }
    this.takeBack(commit);
    throw new VamosError(
      'SESSION_LOST',
      'the session ended before the commit was done; nothing was written',
      {
        cause: error,
      },
    );
  }

  /** @param session the session that the commit was sent in */
  async #lastCommit(session: Uint8Array, options: CallOptions): Promise<vamos.tables.LastCommitted> {
    const body = vamos.tables.LastCommit.encode({ stream: this.#stream.id, session }).finish();
    for (;;) {
      try {
        const reply = await this.#stream.call(Method.LAST_COMMIT, body, options);
        return vamos.tables.LastCommitted.decode(reply);
      } catch (error) {
        if (VamosError.from(error).code !== 'SESSION_LOST') throw error;
      }
    }
  }

  closeCursor(cursor: number, epoch: number): void {
    this.#leftCursors.push({ cursor, epoch });
    this.#timer ??= setTimeout(() => {
      this.#closeLeftCursors();
    }, CLOSE_CURSOR_AFTER_MS).unref();
  }

  /** Forgets the cursors that the host closed itself when the transaction ended. */
  forgetCursors(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#leftCursors = [];
  }

  #closeLeftCursors(): void {
    if (this.#leftCursors.length === 0) return;
    const cursors = this.#leftCursors;
    this.forgetCursors();
    for (const { cursor, epoch } of cursors) {
      const body = vamos.tables.CloseCursor.encode({ cursor }).finish();
      // The answer does not matter; a lost session has closed the cursor too.
      this.#stream.call(Method.CLOSE_CURSOR, body, { epoch }).catch(() => undefined);
    }
  }
}

/** Streams for transactions, one each, which are used again when the transaction is over. */
export class StreamPool {
  readonly #open: () => RpcStream;
  readonly #idle: TableStream[] = [];

  constructor(open: () => RpcStream) {
    this.#open = open;
  }

  take(): TableStream {
    return this.#idle.pop() ?? new TableStream(this.#open());
  }

  giveBack(stream: TableStream): void {
    this.#idle.push(stream);
  }
}
