import { VamosError } from '../../protocol/errors.js';
import type { CallOptions } from '../contract.js';
import { MAX_TIMEOUT_MS, OVERHEAD_BYTES } from '../../protocol/generated/limits.js';

/** One call, or the requests of one chain, from issue to answer. It settles exactly once. */
export class PendingCall {
  /** Bytes that its requests count in the host's window and in a frame. */
  readonly bytes: number;
  readonly epoch: number | undefined;
  readonly isCommit: boolean;
  /** The ids of its requests, once they are sent. */
  ids: number[] = [];
  isSettled = false;

  readonly #bodies: Uint8Array[];
  #unanswered: number;
  readonly #deadline: number;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #sessionTimer: NodeJS.Timeout | undefined;
  readonly #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  constructor(
    readonly stream: number,
    readonly requests: readonly { method: number; body: Uint8Array }[],
    options: CallOptions,
    readonly resolve: (bodies: Uint8Array[]) => void,
    readonly reject: (error: VamosError) => void,
  ) {
    this.bytes = requests.reduce((sum, _request, index) => sum + this.requestBytes(index), 0);
    this.epoch = options.epoch;
    this.isCommit = options.isCommit ?? false;
    this.#bodies = new Array<Uint8Array>(requests.length);
    this.#unanswered = requests.length;
    const timeoutMs = Math.min(options.timeoutMs ?? 0, MAX_TIMEOUT_MS);
    this.#deadline = timeoutMs > 0 ? performance.now() + timeoutMs : 0;
    this.#signal = options.signal;
  }

  /** Returns the bytes that the request at `index` counts. */
  requestBytes(index: number): number {
    return this.requests[index]!.body.length + OVERHEAD_BYTES;
  }

  get isSent(): boolean {
    return this.ids.length > 0;
  }

  /** The time left that the host is told of; 0 where there is no deadline. */
  get remainingMs(): number {
    return this.#deadline === 0 ? 0 : Math.max(1, Math.ceil(this.#deadline - performance.now()));
  }

  /** Watches deadline and signal. `onCancel` is called after one of them has failed the call. */
  watch(onCancel: () => void): void {
    if (this.#deadline > 0) {
      this.#deadlineTimer = setTimeout(() => {
        const after = this.isSent ? 'without an answer' : 'before it could be sent';
        this.fail(new VamosError('DEADLINE_EXCEEDED', `the call's deadline passed ${after}`));
      }, this.remainingMs);
    }
    const signal = this.#signal;
    if (signal === undefined) return;
    this.#onAbort = () => {
      this.fail(new VamosError('CANCELLED', 'the call was aborted', { cause: signal.reason }));
      onCancel();
    };
    if (signal.aborted) this.#onAbort();
    else watchersOf(signal).add(this.#onAbort);
  }

  /** To be called while there is no session: the call fails after `timeoutMs` unless it is sent before. */
  waitForSession(timeoutMs: number, error: () => VamosError): void {
    this.#sessionTimer ??= setTimeout(() => {
      this.fail(error());
    }, timeoutMs);
  }

  /** To be called when there is a session again: only the call's own deadline counts now. */
  stopWaitingForSession(): void {
    clearTimeout(this.#sessionTimer);
    this.#sessionTimer = undefined;
  }

  succeed(index: number, body: Uint8Array): void {
    if (this.isSettled) return;
    this.#bodies[index] = body;
    if (--this.#unanswered > 0) return;
    this.#settle();
    this.resolve(this.#bodies);
  }

  fail(error: VamosError): void {
    if (this.isSettled) return;
    this.#settle();
    this.reject(error);
  }

  /**
   * Fails the call because its session ended.
   * @param cause with SESSION_STALE, a commit that was not sent may have been done before this guest's memory
   * was rolled back
   * @param session the session's bytes, which are needed to ask later what became of a commit
   */
  lose(cause: VamosError, session?: Uint8Array): void {
    const mayBeDone = this.isCommit && (this.isSent || cause.code === 'SESSION_STALE');
    const code = mayBeDone ? 'OUTCOME_UNKNOWN' : 'SESSION_LOST';
    const what = this.isSent ? 'before the answer came' : 'before the call was sent';
    const advice = code === 'OUTCOME_UNKNOWN' ? '; it may have been done: look before doing it again' : '';
    const detail = code === 'OUTCOME_UNKNOWN' && session ? { detail: session } : {};
    this.fail(
      new VamosError(code, `the session ended ${what}: ${cause.message}${advice}`, { cause, ...detail }),
    );
  }

  #settle(): void {
    this.isSettled = true;
    clearTimeout(this.#deadlineTimer);
    clearTimeout(this.#sessionTimer);
    if (this.#signal && this.#onAbort) watchersOf(this.#signal).delete(this.#onAbort);
  }
}

const watchers = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Returns the functions that one listener of the signal calls. There is one listener a signal, however many
 * calls share it, since Node warns of more than ten.
 */
function watchersOf(signal: AbortSignal): Set<() => void> {
  let set = watchers.get(signal);
  if (set === undefined) {
    const watching = new Set<() => void>();
    signal.addEventListener('abort', () => {
      for (const onAbort of watching) onAbort();
    });
    watchers.set(signal, watching);
    set = watching;
  }
  return set;
}

/** Calls that wait to be sent, in order of issue. */
export class CallQueue {
  #calls: PendingCall[] = [];
  #sweepLength = 1024;

  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  push(call: PendingCall): void {
    this.#calls.push(call);
    if (this.#calls.length < this.#sweepLength) return;
    // While nothing can be sent, calls that timed out must not pile up.
    this.remove((waiting) => waiting.isSettled);
    this.#sweepLength = Math.max(1024, 2 * this.#calls.length);
  }

  /**
   * Takes what goes into one frame. A call for which the window has no room holds back its own stream only,
   * so that a small COMMIT gets past large calls.
   */
  takeBatch(maxBytes: number, hasRoom: (batchBytes: number, callBytes: number) => boolean): PendingCall[] {
    const batch: PendingCall[] = [];
    const left: PendingCall[] = [];
    const heldStreams = new Set<number>();
    let bytes = 0;
    let next = 0;
    for (; next < this.#calls.length; next++) {
      const call = this.#calls[next]!;
      if (call.isSettled) continue;
      if (heldStreams.has(call.stream)) {
        left.push(call);
        continue;
      }
      if (!hasRoom(bytes, call.bytes)) {
        heldStreams.add(call.stream);
        left.push(call);
        continue;
      }
      if (bytes + call.bytes > maxBytes) break;
      bytes += call.bytes;
      batch.push(call);
    }
    for (; next < this.#calls.length; next++) left.push(this.#calls[next]!);
    this.#calls = left;
    return batch;
  }

  /** Takes the calls out that `select` chooses, and returns them. */
  remove(select: (call: PendingCall) => boolean): PendingCall[] {
    const removed = this.#calls.filter(select);
    if (removed.length > 0) this.#calls = this.#calls.filter((call) => !select(call));
    return removed;
  }

  forEach(visit: (call: PendingCall) => void): void {
    this.#calls.forEach(visit);
  }
}
