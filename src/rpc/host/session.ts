import type { Channel } from '../../channel/channel.js';
import { ErrorCode, VamosError } from '../../protocol/errors.js';
import { vamos } from '../../protocol/generated/messages.js';
import type { FrameRequest, HostModule, HostSession, ModuleSession } from '../contract.js';
import { HostCall, type OwedFrame, type StreamQueue } from './host_call.js';
import { BATCH_OVERHEAD_BYTES, MAX_TIMEOUT_MS, OVERHEAD_BYTES } from '../../protocol/generated/limits.js';
import { ReplyQueue } from './reply_queue.js';
import type { RequestStatistics, SessionStatistics } from './statistics.js';
import { bodyOf, decode, decodeRequests } from './wire.js';

type BatchAnswerer = NonNullable<ModuleSession['batch']>;

/** The most bytes that a request's id takes in a frame. */
const MAX_ID_BYTES = 5;
/** A stream's queue is tidied once it holds this many requests that were aborted before their turn. */
const MIN_ABORTED_COUNT = 16;

/** How long a reply waits for the replies of the rest of its chain. */
const MAX_CHAIN_WAIT_MS = 200;

/** What a host allows a connector. */
export interface SessionLimits {
  maxFrameBytes: number;
  requestWindowBytes: number;
  maxFramesInFlight: number;
  /** The most streams with requests that are not answered. */
  maxStreams: number;
  /**
   * While more bytes of replies than this wait for a connector that does not take them, no further request
   * starts.
   */
  maxQueuedReplyBytes: number;
  /**
   * The most requests that run simultaneously, not counting parked ones. Further requests wait in their
   * streams.
   */
  maxRunning: number;
  /** How long calls that were aborted because the session ends may take to settle. */
  endTimeoutMs: number;
}

export interface SessionIdentity {
  id: string;
  epoch: number;
  program: string;
  replyWindowBytes: number;
  /** The stamp of the last request frame in an earlier connection of the session; 0: none is known. */
  lastStamp: number;
}

/**
 * One connector's session on the host: it runs the streams, gathers replies, and accounts for frames and
 * windows.
 */
export class Session implements HostSession {
  readonly id: string;
  readonly epoch: number;
  readonly program: string;
  /** The frame size that Welcome announces: at most half of the reply window. */
  readonly maxFrameBytes: number;

  readonly #startedAt = Date.now();
  readonly #modules = new Map<number, ModuleSession>();
  readonly #streams = new Map<number, StreamQueue>();
  /** Calls that are not answered, by id. */
  readonly #calls = new Map<number, HostCall>();
  /** Frames with a request that is neither answered nor reported parked. */
  readonly #owedFrames = new Set<OwedFrame>();
  /** Streams whose next request waits until the connector takes replies, or until fewer requests run. */
  readonly #heldStreams = new Set<StreamQueue>();
  readonly #replies: ReplyQueue;
  #unansweredBytes = 0;
  #running = 0;
  #parked = 0;
  /** Bytes of requests that were aborted, and so answered, and still run. */
  #abortedBytes = 0;
  #isFlushScheduled = false;
  /** Set while replies wait for the rest of their chains. */
  #flushTimer: NodeJS.Timeout | undefined;
  #isDraining = false;
  #lastStamp: number;
  /** The connector has sent something since Welcome. */
  #isInUse = false;
  #ended: Promise<void> | undefined;
  readonly #quietWaiters = new Set<() => void>();
  readonly #onParked = (call: HostCall, isParked: boolean): void => {
    this.#park(call, isParked);
  };

  constructor(
    private readonly channel: Channel,
    identity: SessionIdentity,
    modules: readonly HostModule[],
    private readonly limits: SessionLimits,
    private readonly statistics: RequestStatistics,
    /** Called when the connector's memory was rolled back, so that the session has to end. */
    private readonly onStale: (error: VamosError) => void,
  ) {
    this.id = identity.id;
    this.epoch = identity.epoch;
    this.program = identity.program;
    this.#lastStamp = identity.lastStamp;
    this.maxFrameBytes = Math.min(limits.maxFrameBytes, Math.floor(identity.replyWindowBytes / 2));
    this.#replies = new ReplyQueue(channel, this.maxFrameBytes, identity.replyWindowBytes);
    try {
      for (const module of modules) this.#modules.set(module.number, module.openSession(this));
    } catch (error) {
      void this.end(VamosError.from(error));
      throw error;
    }
  }

  status(): SessionStatistics {
    return {
      id: this.id,
      epoch: this.epoch,
      program: this.program,
      address: this.channel.address,
      startedAt: this.#startedAt,
      streams: this.#streams.size,
      running: this.#running,
      parked: this.#parked,
    };
  }

  get parked(): number {
    return this.#parked;
  }

  /**
   * Says whether a connector that says hello with this epoch is in an earlier state than this session's: once
   * it has used a session, its next one has a higher epoch.
   */
  isLaterThan(epoch: number): boolean {
    return epoch < this.epoch || (epoch === this.epoch && this.#isInUse);
  }

  /** The stamp of the last request frame; 0: an earlier version of the connector gives none. */
  get lastStamp(): number {
    return this.#lastStamp;
  }

  /**
   * Takes a frame of requests.
   * @throws VamosError where the frame breaks the protocol, so that the session must end
   */
  takeRequests(body: Uint8Array): void {
    this.#isInUse = true;
    const batch = decodeRequests(body, Math.floor(this.limits.requestWindowBytes / OVERHEAD_BYTES));
    if (batch.stamp !== 0) this.#lastStamp = batch.stamp;
    this.#replies.credit(batch.receivedBytes);
    if (batch.requests.length > 0) {
      this.statistics.requestFrames++;
      if (this.#owesAllFrames) {
        throw new VamosError(
          'CREDIT_EXCEEDED',
          `more than ${this.limits.maxFramesInFlight} frames in flight`,
        );
      }
      const frame: OwedFrame = { unsettled: batch.requests.length, calls: [] };
      const left = this.#answerBatched(body, batch.requests, frame);
      const touched = this.#enqueue(body, left, frame);
      for (const stream of touched) this.#runNext(stream);
      // No other answer is about to come that could share the frame of replies.
      if (this.#calls.size === 0 && !this.#isFlushScheduled) this.#flush();
      else if (this.#owesAllFrames) this.#scheduleFlush();
    }
    if (this.#replies.queuedBytes > 0 && this.#flushTimer === undefined) this.#scheduleFlush();
  }

  /** Lets modules answer together what needs no call of its own. Returns the other requests. */
  #answerBatched(body: Uint8Array, requests: FrameRequest[], frame: OwedFrame): FrameRequest[] {
    let left = requests;
    for (const { batch } of this.#modules.values()) {
      if (batch && !this.#isDraining && this.#mayStart) left = this.#answerBy(batch, body, left, frame);
    }
    return left;
  }

  #answerBy(
    answerer: BatchAnswerer,
    body: Uint8Array,
    requests: FrameRequest[],
    frame: OwedFrame,
  ): FrameRequest[] {
    if (!requests.some(({ method }) => answerer.has(method))) return requests;
    const asked: FrameRequest[] = [];
    const streams = new Set<number>();
    const ids = new Set<number>();
    let bytes = 0;
    for (const request of requests) {
      const { id, stream, method, chain } = request;
      // The request is broken; the check of single calls says in which way.
      if (id === 0 || ids.has(id) || this.#calls.has(id)) return requests;
      if (!chain && answerer.has(method) && !streams.has(stream) && !this.#streams.has(stream))
        asked.push(request);
      streams.add(stream);
      ids.add(id);
      bytes += request.length + OVERHEAD_BYTES;
    }
    if (asked.length === 0 || this.#unansweredBytes + bytes > this.limits.requestWindowBytes) return requests;
    const startedAt = performance.now();
    const answers = answerer.answer(body, asked, this.#replies.maxEncodedBytes);
    if (!answers) return requests;
    const milliseconds = performance.now() - startedAt;
    const answered = new Set<FrameRequest>();
    let answeredBytes = 0;
    for (const [index, request] of asked.entries()) {
      if (!answers.isAnswered(index)) continue;
      answered.add(request);
      answeredBytes += request.length + OVERHEAD_BYTES;
      this.statistics.answered(request.method, milliseconds, undefined);
    }
    if (answered.size === 0) return requests;
    this.statistics.requests += answered.size;
    this.#unansweredBytes += answeredBytes;
    this.#replies.pushEncoded(answers.replies, () => {
      this.#unansweredBytes -= answeredBytes;
      this.#settleInFrame(frame, answered.size);
    });
    return answered.size === requests.length ? [] : requests.filter((request) => !answered.has(request));
  }

  takeCancel(body: Uint8Array): void {
    this.#isInUse = true;
    for (const id of decode(vamos.Cancel, body).ids) {
      const call = this.#calls.get(id);
      if (call) this.#abort(call, new VamosError('CANCELLED', 'cancelled by the connector'));
    }
  }

  takeCredit(body: Uint8Array): void {
    this.#isInUse = true;
    this.#replies.credit(decode(vamos.Credit, body).receivedBytes);
    if (this.#replies.queuedBytes > 0) this.#scheduleFlush();
  }

  /**
   * Starts nothing more, waits for what runs, at most `timeoutMs`, and sends the replies. Parked requests are
   * told to end: a lock wait fails with SESSION_LOST immediately, a slow commit goes on and is answered.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    for (const stream of this.#streams.values()) this.#runNext(stream);
    const reason = new VamosError('SESSION_LOST', 'the host is stopping');
    await this.#whenQuiet(() => {
      for (const { running } of this.#streams.values()) if (running?.isParked) running.abort(reason);
      return this.#running === 0 || this.#ended !== undefined;
    }, timeoutMs);
    this.#flush();
  }

  /**
   * Aborts what runs, waits for it a moment, and closes the modules' sessions. Idempotent; the promise
   * settles when the session holds nothing any more.
   * @param error why the session ends; undefined: the connector said goodbye
   */
  end(error: VamosError | undefined): Promise<void> {
    this.#ended ??= this.#release(error);
    return this.#ended;
  }

  async #release(error: VamosError | undefined): Promise<void> {
    const reason = new VamosError('SESSION_LOST', error?.message ?? 'the connector ended the session', {
      cause: error,
    });
    for (const call of this.#calls.values()) {
      clearTimeout(call.deadlineTimer);
      call.abort(reason);
    }
    clearTimeout(this.#flushTimer);
    await this.#whenQuiet(() => this.#running === 0, this.limits.endTimeoutMs);
    await Promise.allSettled([...this.#modules.values()].map(async (module) => module.close(error)));
    this.#calls.clear();
    this.#streams.clear();
  }

  /**
   * Resolves when `isQuiet` says so, which is asked whenever a call settles or parks, or after `timeoutMs`.
   */
  #whenQuiet(isQuiet: () => boolean, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#quietWaiters.delete(check);
        resolve();
      };
      const check = (): void => {
        if (isQuiet()) finish();
      };
      const timer = setTimeout(finish, timeoutMs);
      this.#quietWaiters.add(check);
      check();
    });
  }

  #tellQuietWaiters(): void {
    for (const check of this.#quietWaiters) check();
  }

  get #owesAllFrames(): boolean {
    return this.#owedFrames.size >= this.limits.maxFramesInFlight;
  }

  /** Checks requests of a frame, then puts them into their streams, which it returns. */
  #enqueue(body: Uint8Array, requests: readonly FrameRequest[], frame: OwedFrame): Set<StreamQueue> {
    const touched = new Set<StreamQueue>();
    const openChains = new Set<StreamQueue>();
    for (const request of requests) {
      const stream = this.#streamOf(request.stream);
      const call = this.#admit(body, request, stream, frame);
      if (call.isChained) openChains.add(stream);
      else openChains.delete(stream);
      stream.waiting.push(call);
      frame.calls.push(call);
      touched.add(stream);
    }
    if (openChains.size > 0) throw new VamosError('BAD_REQUEST', 'a chain goes beyond its frame');
    this.#owedFrames.add(frame);
    this.statistics.requests += requests.length;
    for (const [index, call] of frame.calls.entries()) this.#watchDeadline(call, requests[index]!.deadlineMs);
    return touched;
  }

  #admit(body: Uint8Array, request: FrameRequest, stream: StreamQueue, frame: OwedFrame): HostCall {
    const { id, method, chain } = request;
    if (id === 0 || this.#calls.has(id)) {
      throw new VamosError('BAD_REQUEST', `request number ${id} is not free`);
    }
    const call = new HostCall(this, id, stream, method, chain, bodyOf(body, request), frame, this.#onParked);
    this.#unansweredBytes += call.bytes;
    if (this.#unansweredBytes > this.limits.requestWindowBytes) {
      throw new VamosError(
        'CREDIT_EXCEEDED',
        `more than ${this.limits.requestWindowBytes} bytes of requests open`,
      );
    }
    this.#calls.set(id, call);
    return call;
  }

  #streamOf(number: number): StreamQueue {
    let stream = this.#streams.get(number);
    if (stream === undefined) {
      if (this.#streams.size >= this.limits.maxStreams) {
        throw new VamosError('BAD_REQUEST', `more than ${this.limits.maxStreams} streams with open requests`);
      }
      stream = { number, ready: [], waiting: [], abortedCount: 0, running: undefined, isChainBroken: false };
      this.#streams.set(number, stream);
    }
    return stream;
  }

  #watchDeadline(call: HostCall, deadlineMs: number): void {
    if (deadlineMs === 0) return;
    call.deadlineTimer = setTimeout(
      () => {
        this.#abort(call, new VamosError('DEADLINE_EXCEEDED', `not done within ${deadlineMs} ms`));
      },
      Math.min(deadlineMs, MAX_TIMEOUT_MS),
    );
  }

  /**
   * Whether another request may start. This bounds what a connector can make this process hold: replies that
   * it does not take, replies in the making, and what requests hold that left the window when they were
   * aborted.
   */
  get #mayStart(): boolean {
    const { maxQueuedReplyBytes, maxRunning, requestWindowBytes } = this.limits;
    return (
      this.#replies.queuedBytes <= maxQueuedReplyBytes &&
      this.#running - this.#parked < maxRunning &&
      this.#abortedBytes < requestWindowBytes
    );
  }

  /** Runs the stream's requests until one does not settle synchronously. */
  #runNext(stream: StreamQueue): void {
    while (stream.running === undefined && !this.#ended) {
      if (!this.#mayStart) {
        this.#heldStreams.add(stream);
        // The stream goes on when there is room. Replies that wait for the rest of a chain must go now, since
        // the chain can't go on.
        if (this.#replies.queuedBytes > 0) this.#scheduleFlush();
        return;
      }
      if (stream.ready.length === 0) {
        stream.ready = stream.waiting.reverse();
        stream.waiting = [];
      }
      const call = stream.ready.pop();
      if (call === undefined) {
        this.#streams.delete(stream.number);
        return;
      }
      if (call.isAnswered) {
        stream.abortedCount--;
        stream.isChainBroken = call.isChained;
      } else if (stream.isChainBroken)
        this.#refuse(call, 'CHAIN_BROKEN', 'an earlier request of the chain failed');
      else if (this.#isDraining) this.#refuse(call, 'HOST_STOPPING', 'the host is stopping');
      else this.#run(call);
    }
  }

  #refuse(call: HostCall, code: 'CHAIN_BROKEN' | 'HOST_STOPPING', message: string): void {
    call.queue.isChainBroken = call.isChained;
    this.#answer(call, new VamosError(code, message));
  }

  #run(call: HostCall): void {
    const module = this.#modules.get(call.method >>> 8);
    call.queue.running = call;
    call.isRunning = true;
    this.#running++;
    try {
      if (!module) throw new VamosError('UNKNOWN_METHOD', `no module has method ${call.method}`);
      const outcome = module.handle(call.method, call.body, call);
      if (outcome instanceof Uint8Array) {
        this.#settle(call, outcome);
        return;
      }
      outcome.then(
        (body) => {
          this.#settle(call, body);
          this.#runNext(call.queue);
        },
        (error: unknown) => {
          this.#settle(call, VamosError.from(error));
          this.#runNext(call.queue);
        },
      );
    } catch (error) {
      this.#settle(call, VamosError.from(error));
    }
  }

  /** The module is done with the call. */
  #settle(call: HostCall, outcome: Uint8Array | VamosError): void {
    if (call.isParked) this.#parked--;
    call.isParked = false;
    call.isRunning = false;
    if (call.isAborted) this.#abortedBytes -= call.bytes;
    call.queue.running = undefined;
    this.#running--;
    call.queue.isChainBroken = call.isChained && (call.isAborted || outcome instanceof VamosError);
    if (!call.isAnswered) this.#answer(call, outcome);
    if (this.#heldStreams.size > 0) this.#scheduleFlush();
    this.#tellQuietWaiters();
    if (outcome instanceof VamosError && outcome.code === 'SESSION_STALE' && !this.#ended) {
      this.#flush();
      this.onStale(outcome);
    }
  }

  /**
   * Answers the call immediately. A call that runs goes on until its module heeds the signal, and its stream
   * waits for it.
   */
  #abort(call: HostCall, reason: VamosError): void {
    if (this.#ended) return;
    if (call.isRunning) this.#abortedBytes += call.bytes;
    else this.#leaveQueue(call);
    call.abort(reason);
    this.#answer(call, reason);
  }

  /** Takes an aborted call out of its turn. Only its place in the queue stays, and that not for long. */
  #leaveQueue(call: HostCall): void {
    const stream = call.queue;
    call.body = new Uint8Array();
    call.isAnswered = true;
    const count = stream.ready.length + stream.waiting.length;
    if (++stream.abortedCount <= MIN_ABORTED_COUNT || stream.abortedCount * 2 < count) return;
    const calls = [...stream.ready.reverse(), ...stream.waiting];
    stream.ready = [];
    // A call that is chained to the next one stays, since the next one has to see that the chain is broken.
    stream.waiting = calls.filter(
      (waiting, index) => !waiting.isAnswered || (waiting.isChained && !calls[index + 1]?.isAnswered),
    );
    stream.abortedCount = stream.waiting.filter((waiting) => waiting.isAnswered).length;
  }

  #answer(call: HostCall, outcome: Uint8Array | VamosError): void {
    call.isAnswered = true;
    clearTimeout(call.deadlineTimer);
    if (this.#ended) return;
    const error = this.#replies.push(call, outcome, () => {
      this.#unansweredBytes -= call.bytes;
      if (!call.isReported) this.#settleInFrame(call.frame, 1);
    });
    this.statistics.answered(call.method, performance.now() - call.arrivedAt, error?.code);
    this.#calls.delete(call.id);
    // The rest of its chain is about to be answered, too; if that is soon, the replies go together.
    if (call.isChained && error === undefined && !this.#owesAllFrames) this.#flushSoon();
    else this.#scheduleFlush();
  }

  #park(call: HostCall, isParked: boolean): void {
    call.isParked = isParked;
    this.#parked += isParked ? 1 : -1;
    const isAwaited = this.#owesAllFrames || this.#heldStreams.size > 0;
    if (isParked && isAwaited) this.#scheduleFlush();
    this.#tellQuietWaiters();
  }

  /** Flushes at the end of the turn, so that all that the turn answers goes as one frame. */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    setImmediate(() => {
      this.#isFlushScheduled = false;
      this.#flush();
    });
  }

  #flushSoon(): void {
    this.#flushTimer ??= setTimeout(() => {
      this.#flush();
    }, MAX_CHAIN_WAIT_MS);
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    if (this.#ended) return;
    this.#replies.flush(this.#lastStamp);
    if (this.#owesAllFrames && this.#parked > 0) this.#reportParked();
    if (this.#heldStreams.size === 0 || !this.#mayStart) return;
    const held = [...this.#heldStreams];
    this.#heldStreams.clear();
    for (const stream of held) this.#runNext(stream);
  }

  /**
   * Tells the connector, when it would have to wait, of the frames in which only waiting requests are left,
   * so that other requests get past them, such as a COMMIT that ends the wait.
   */
  #reportParked(): void {
    const ids: number[] = [];
    for (const frame of this.#owedFrames) {
      const left = frame.calls.filter((call) => !call.isReported && this.#calls.get(call.id) === call);
      if (left.length < frame.unsettled || !left.every((call) => call.isStalled)) continue;
      for (const call of left) {
        call.isReported = true;
        ids.push(call.id);
        this.#settleInFrame(frame, 1);
      }
    }
    const most = Math.floor((this.maxFrameBytes - BATCH_OVERHEAD_BYTES) / MAX_ID_BYTES);
    for (let from = 0; from < ids.length; from += most) {
      const parked = vamos.Parked.encode({ ids: ids.slice(from, from + most) }).finish();
      this.channel.send(vamos.FrameKind.PARKED, parked);
    }
  }

  #settleInFrame(frame: OwedFrame, count: number): void {
    frame.unsettled -= count;
    if (frame.unsettled === 0) this.#owedFrames.delete(frame);
  }
}

/** Tells the connector of the failure before the channel closes. */
export function sendGoodbye(channel: Channel, error: VamosError, nonce?: Uint8Array): void {
  const { code, message } = error;
  const goodbye = { code: ErrorCode[code], message: message.slice(0, 1000), ...(nonce && { nonce }) };
  channel.send(vamos.FrameKind.GOODBYE, vamos.Goodbye.encode(goodbye).finish());
}
