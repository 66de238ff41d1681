import type { VamosError } from '../protocol/errors.js';

/** Options of every call that crosses the channel. */
export interface CallOptions {
  /** Fails with DEADLINE_EXCEEDED after this long, on both sides. 0: none. */
  timeoutMs?: number;
  /** Fails with CANCELLED when aborted; the host is told. */
  signal?: AbortSignal;
  /**
   * The session that the call belongs to (`RpcStream.epoch` when its transaction, cursor or handle was made). Once that
   * session is over the call fails with SESSION_LOST and is not sent: it never touches what a later session has.
   */
  epoch?: number;
  /** The call may commit: if its session ends before the answer it fails with OUTCOME_UNKNOWN, not SESSION_LOST. */
  isCommit?: boolean;
}

/** Requests of one stream run in order; streams are independent of one another. What a module's guest half builds on. */
export interface RpcStream {
  readonly id: number;
  /** The session that calls issued now will travel in: 1 for the first, one more after each loss. */
  readonly epoch: number;
  /** The bytes of that session: the same after a loss, others after a rollback of this guest's memory. */
  readonly session: Uint8Array;
  /**
   * How often the host was found to know a later state of this guest: its memory was rolled back. What was under way when this
   * rises may have been done in that state.
   */
  readonly renewals: number;
  /** The longest body of a call, and of all requests of a chain with 64 bytes each: beyond it FRAME_TOO_LARGE. */
  readonly maxBodyBytes: number;
  /**
   * One request; what one event-loop turn issues goes as one frame. Resolves to the reply's body. The request's body must
   * not be changed until then.
   */
  call(method: number, body: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /**
   * Requests that stop at their first failure, in one frame. Resolves to all replies' bodies, or rejects with the
   * failure of the one that failed (the ones behind it did not run).
   */
  chain(requests: { method: number; body: Uint8Array }[], options?: CallOptions): Promise<Uint8Array[]>;
}

/** A request as a module's host half sees it. */
export interface Call {
  readonly stream: number;
  readonly session: HostSession;
  /** Aborted by Cancel, by the deadline or by the session's end; `reason` is a VamosError. */
  readonly signal: AbortSignal;
  /**
   * The one who is told when `signal` aborts, at once if it has; undefined: nobody any more. As a listener of the signal,
   * at a fraction of its cost.
   */
  onAbort(listener: ((reason: VamosError) => void) | undefined): void;
  /** Tells that the call waits (lock, long scan, slow sync), so that its frame need not be waited for; false: runs again. */
  setParked(isParked: boolean): void;
}

/** The host's view of one connector. */
export interface HostSession {
  readonly id: string;
  readonly epoch: number;
  readonly program: string;
}

/** A request as it stands in its frame. */
export interface FrameRequest {
  id: number;
  stream: number;
  method: number;
  deadlineMs: number;
  chain: boolean;
  /** Where the body stands. */
  offset: number;
  length: number;
}

/** The answers to some of a frame's requests. */
export interface AnswersAtOnce {
  /** As they stand in a ReplyBatch. */
  replies: Uint8Array;
  /** Of the requests, in order: which are answered. */
  isAnswered(index: number): boolean;
}

/** A module's host half for one session: made when the session starts, closed when it ends. */
export interface ModuleSession {
  /** For the methods whose requests it can answer many at a time; those that it leaves go to `handle`. */
  readonly atOnce?: {
    has(method: number): boolean;
    /**
     * Answers what it can of a frame's requests, no two of one stream and each the stream's next, without waiting.
     * @param maxBytes of all replies
     */
    answer(frame: Uint8Array, requests: readonly FrameRequest[], maxBytes: number): AnswersAtOnce | undefined;
  };
  /**
   * Answers a request with its reply's body (never changed afterwards), at once where it can. Throws or rejects with
   * VamosError. The stream's next
   * request waits until this one has settled, even where an abort has answered it already.
   */
  handle(method: number, body: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array>;
  /**
   * The session ended: release all it holds (transactions, locks, files). Its calls were aborted and had a moment to
   * settle; one that did not may still be running. A connector's next session starts when this is done.
   */
  close(error: VamosError | undefined): Promise<void> | void;
}

/** A module's host half: `number` is the high part of its method numbers (method >> 8). */
export interface HostModule {
  readonly name: string;
  readonly number: number;
  openSession(session: HostSession): ModuleSession;
  /** Counters for metrics and status, flat: name to number. */
  statistics(): Record<string, number>;
  /** After all sessions closed: sync and close. */
  close(): Promise<void>;
}
