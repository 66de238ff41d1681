import type { VamosError } from '../protocol/errors.js';

/** Options of every call that crosses the channel. */
export interface CallOptions {
  /** The call fails with DEADLINE_EXCEEDED after this time, on both sides. 0: it has no deadline. */
  timeoutMs?: number;
  /** The call fails with CANCELLED when this is aborted; the host is told. */
  signal?: AbortSignal;
  /**
   * The session that the call belongs to (`RpcStream.epoch` when its transaction, cursor or handle was made). Once that
   * session is over the call fails with SESSION_LOST and is not sent: it never touches what a later session has.
   */
  epoch?: number;
  /**
   * The call may commit: if its session ends before the answer, it fails with OUTCOME_UNKNOWN, not with
   * SESSION_LOST.
   */
  isCommit?: boolean;
}

/**
 * A stream: its requests run in order, and streams are independent of one another. A module's guest half
 * builds on it.
 */
export interface RpcStream {
  readonly id: number;
  /**
   * The number of the session that calls issued now will travel in: 1 for the first, one more after each
   * loss.
   */
  readonly epoch: number;
  /**
   * The bytes of that session. They stay the same after a loss, and change after a rollback of this guest's
   * memory.
   */
  readonly session: Uint8Array;
  /**
   * How often the host turned out to know a later state of this guest, because its memory was rolled back.
   * What was under way when this rises may have been done in that later state.
   */
  readonly renewals: number;
  /**
   * The longest body of a call, and of all requests of a chain with 64 bytes more for each. A longer one
   * fails with FRAME_TOO_LARGE.
   */
  readonly maxBodyBytes: number;
  /**
   * Issues one request. What one turn of the event loop issues goes as one frame. Resolves to the reply's
   * body. The request's body must not be changed until then.
   */
  call(method: number, body: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /**
   * Issues requests, in one frame, of which those behind the first failure don't run. Resolves to the bodies
   * of all replies, or rejects with that failure.
   */
  chain(requests: { method: number; body: Uint8Array }[], options?: CallOptions): Promise<Uint8Array[]>;
}

/** A request as a module's host half sees it. */
export interface Call {
  readonly stream: number;
  readonly session: HostSession;
  /** Aborted by Cancel, by the deadline or by the session's end. Its `reason` is a VamosError. */
  readonly signal: AbortSignal;
  /**
   * Sets the function that is called when `signal` aborts (immediately if it has already), or removes it
   * (undefined). It does the work of a listener of the signal at a fraction of the cost.
   */
  onAbort(listener: ((reason: VamosError) => void) | undefined): void;
  /**
   * Reports that the call waits (for a lock, a long scan, a slow sync), so that its frame need not be waited
   * for. With false the call runs again.
   */
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
  /** Where the body begins in the frame. */
  offset: number;
  length: number;
}

/** The answers to some of a frame's requests. */
export interface BatchAnswers {
  /** The replies, encoded as in a ReplyBatch. */
  replies: Uint8Array;
  /** Says whether the request at this index (of those that were handed over) is answered. */
  isAnswered(index: number): boolean;
}

/** A module's host half for one session. It is made when the session starts and closed when it ends. */
export interface ModuleSession {
  /** Answers requests of certain methods many at a time; the requests that it leaves go to `handle`. */
  readonly batch?: {
    has(method: number): boolean;
    /**
     * Answers what it can of a frame's requests without waiting. No two of them are of one stream, and each
     * is its stream's next.
     * @param maxBytes the most that all replies may take
     */
    answer(frame: Uint8Array, requests: readonly FrameRequest[], maxBytes: number): BatchAnswers | undefined;
  };
  /**
   * Answers a request with its reply's body (which must never be changed afterwards), synchronously where it
   * can. Throws or rejects with VamosError. The stream's next request waits until this one has settled, even
   * where an abort has answered it already.
   */
  handle(method: number, body: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array>;
  /**
   * The session ended: releases all that it holds (transactions, locks, files). Its calls were aborted and
   * had a moment to settle; one that did not may still be running. A connector's next session starts when
   * this is done.
   */
  close(error: VamosError | undefined): Promise<void> | void;
}

/** A module's host half. `number` is the high part of its method numbers (method >> 8). */
export interface HostModule {
  readonly name: string;
  readonly number: number;
  openSession(session: HostSession): ModuleSession;
  /** Counters for metrics and status: a flat list of names and numbers. */
  statistics(): Record<string, number>;
  /** Syncs and closes, after all sessions have closed. */
  close(): Promise<void>;
}
