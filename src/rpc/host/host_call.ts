import type { VamosError } from '../../protocol/errors.js';
import type { Call, HostSession } from '../contract.js';
import { OVERHEAD_BYTES } from '../../protocol/generated/limits.js';

/**
 * A frame of requests as the host accounts for it: owed until each request is answered or reported parked.
 */
export interface OwedFrame {
  unsettled: number;
  calls: HostCall[];
}

/** One stream on the host: the request that runs, and those that wait for their turn. */
export interface StreamQueue {
  readonly number: number;
  /**
   * The requests to run next, the last one first: taking the first of a long array takes as long as the
   * array.
   */
  ready: HostCall[];
  /** The requests behind those that are ready, in order. */
  waiting: HostCall[];
  /** How many of the waiting requests were aborted, and so answered, before their turn. */
  abortedCount: number;
  running: HostCall | undefined;
  /** The last request that ended was chained to the next and failed. */
  isChainBroken: boolean;
}

/** One request from arrival to answer. */
export class HostCall implements Call {
  readonly arrivedAt = performance.now();
  isParked = false;
  isReported = false;
  isAnswered = false;
  /** The module has the request and has not settled it. */
  isRunning = false;
  /** Bytes that the request counts in the request window. */
  readonly bytes: number;
  deadlineTimer: NodeJS.Timeout | undefined;
  #abortReason: VamosError | undefined;
  #controller: AbortController | undefined;
  #abortListener: ((reason: VamosError) => void) | undefined;

  constructor(
    readonly session: HostSession,
    readonly id: number,
    readonly queue: StreamQueue,
    readonly method: number,
    readonly isChained: boolean,
    public body: Uint8Array,
    readonly frame: OwedFrame,
    private readonly onParked: (call: HostCall, isParked: boolean) => void,
  ) {
    this.bytes = body.length + OVERHEAD_BYTES;
  }

  get stream(): number {
    return this.queue.number;
  }

  /** Made when it is asked for: most requests end before anything listens. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get isAborted(): boolean {
    return this.#abortReason !== undefined;
  }

  abort(reason: VamosError): void {
    if (this.#abortReason) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
    this.#abortListener?.(reason);
  }

  onAbort(listener: ((reason: VamosError) => void) | undefined): void {
    this.#abortListener = listener;
    if (this.#abortReason) listener?.(this.#abortReason);
  }

  setParked(isParked: boolean): void {
    if (this.isRunning && this.isParked !== isParked) this.onParked(this, isParked);
  }

  /** The request waits, or its turn comes after one that waits. */
  get isStalled(): boolean {
    return this.queue.running?.isParked ?? false;
  }
}
