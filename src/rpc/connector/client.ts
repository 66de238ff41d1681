import { setTimeout as delay } from 'node:timers/promises';
import { Backoff } from '../../channel/backoff.js';
import type { Channel, ChannelCounters } from '../../channel/channel.js';
import { freshBytes } from '../../channel/fresh_bytes.js';
import { VamosError } from '../../protocol/errors.js';
import { Connection } from './connection.js';
import { FrameStamps } from './frame_stamps.js';
import type { CallOptions, RpcStream } from '../contract.js';
import { greet } from './handshake.js';
import { BATCH_OVERHEAD_BYTES, MIN_WINDOW_BYTES, OVERHEAD_BYTES } from '../../protocol/generated/limits.js';
import { CallQueue, PendingCall } from './pending_call.js';
import {
  DEFAULT_MAX_RECONNECT_DELAY_MS,
  DEFAULT_PING_INTERVAL_MS,
  DEFAULT_REPLY_WINDOW_BYTES,
  SESSION_BYTES,
} from '../../protocol/generated/limits.js';

export interface RpcClientOptions {
  /** The token that the host's configuration asks for. Default: none. */
  token?: string;
  /** A name for the host's status, at most 200 bytes. */
  program?: string;
  /**
   * How long to try to get a session: in `connect` itself, and after a loss in each call that has no shorter
   * deadline. Default 10,000.
   */
  connectTimeoutMs?: number;
  /** The longest pause between attempts to connect again. Default 2,000. */
  maxReconnectDelayMs?: number;
  /** Bytes of replies that the host may have on their way. Default 16 MiB, at least 128 KiB. */
  replyWindowBytes?: number;
  /**
   * How often the client asks for a sign of life while it waits for answers; three pings without any frame
   * from the host end the session. 0: never. Default 5,000 over a virtio-serial port, which may lead to
   * another host without a word (a live migration); else 0, since the channel reports its end itself and a
   * ping costs a transition.
   */
  pingIntervalMs?: number;
}

/** What a client has done since it was made, over all its sessions. */
export interface RpcCounters extends ChannelCounters {
  requests: number;
  /** Frames that carried requests. */
  requestFrames: number;
  requestsPerFrame: number;
  /** Requests that the host reported as waiting, so that their frames were not waited for. */
  parked: number;
  /** Sessions after the first. */
  reconnects: number;
}

/**
 * An attempt that had less time than this and got no answer says less than the failure of the attempt before
 * it, which is reported instead.
 */
const SHORTEST_TRY_MS = 100;

/**
 * A connector's end of a channel: streams of requests, sent in batches that size themselves. What one turn of
 * the event loop issues goes as one frame; while as many frames are in flight as the host allows, calls
 * gather.
 *
 * After the loss of a session the client connects again by itself. Calls that were sent fail with
 * SESSION_LOST (those marked `isCommit` with OUTCOME_UNKNOWN); calls that were not sent wait for the next
 * session.
 */
export class RpcClient {
  readonly #open: () => Promise<Channel>;
  readonly #options: Required<Omit<RpcClientOptions, 'pingIntervalMs'>> &
    Pick<RpcClientOptions, 'pingIntervalMs'>;
  /** The session's bytes. They change after a rollback of this guest's memory. */
  #session = freshBytes(SESSION_BYTES);
  #stamps = new FrameStamps();
  readonly #queue = new CallQueue();
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #epoch = 1;
  #renewals = 0;
  #nextStream = 1;
  #maxFrameBytes = 0;
  readonly #backoff: Backoff;
  #lastError = new VamosError('NO_WELCOME', 'no session yet');
  /**
   * The trouble of its storage that the host said goodbye with: the likely reason why there is no session.
   */
  #trouble: VamosError | undefined;
  /** Why no call is possible any more. */
  #end: VamosError | undefined;
  #isFlushScheduled = false;
  #requests = 0;
  #reconnects = 0;
  /** What the earlier connections counted. */
  #past = countersOf(undefined);

  private constructor(open: () => Promise<Channel>, options: RpcClientOptions) {
    this.#open = open;
    this.#options = {
      token: options.token ?? '',
      program: options.program ?? '',
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      maxReconnectDelayMs: options.maxReconnectDelayMs ?? DEFAULT_MAX_RECONNECT_DELAY_MS,
      replyWindowBytes: Math.max(options.replyWindowBytes ?? DEFAULT_REPLY_WINDOW_BYTES, MIN_WINDOW_BYTES),
      ...(options.pingIntervalMs !== undefined && { pingIntervalMs: options.pingIntervalMs }),
    };
    this.#backoff = new Backoff({ longestMs: this.#options.maxReconnectDelayMs });
  }

  /**
   * Connects, and while there is no answer tries again until `connectTimeoutMs`. Keeps the process alive
   * until `close()`, as sockets do.
   * @param open makes one channel in one attempt; it is called again after a loss
   * @throws VamosError NO_WELCOME, BAD_TOKEN, VERSION_MISMATCH, or what `open` threw
   */
  static async connect(open: () => Promise<Channel>, options: RpcClientOptions = {}): Promise<RpcClient> {
    const client = new RpcClient(open, options);
    await client.#connect(performance.now() + client.#options.connectTimeoutMs);
    return client;
  }

  /** Makes a new stream, independent of all others. */
  stream(): RpcStream {
    return new ClientStream(this.#nextStream++, this, (call) => {
      this.#issue(call);
    });
  }

  /**
   * The number of the session that calls issued now will travel in: 1 for the first, one more after each
   * loss.
   */
  get epoch(): number {
    return this.#epoch;
  }

  /** The bytes of that session. */
  get session(): Uint8Array {
    return this.#session;
  }

  /**
   * How often the client began a session with other bytes, because this guest's memory had been rolled back.
   */
  get renewals(): number {
    return this.#renewals;
  }

  /** The longest body that a call may have. */
  get maxBodyBytes(): number {
    return this.#maxFrameBytes - BATCH_OVERHEAD_BYTES - OVERHEAD_BYTES;
  }

  get counters(): Readonly<RpcCounters> {
    const counters = add(this.#past, countersOf(this.#connection));
    return {
      ...counters,
      requests: this.#requests,
      requestsPerFrame: counters.requestFrames === 0 ? 0 : this.#requests / counters.requestFrames,
      reconnects: this.#reconnects,
    };
  }

  /**
   * Sends what waits, as far as there is room, and ends the session; the host rolls back what is open. Calls
   * without an answer fail with SESSION_LOST or OUTCOME_UNKNOWN, later ones with CANCELLED. Idempotent.
   */
  async close(): Promise<void> {
    const connection = this.#connection;
    connection?.flush(this.#queue);
    this.#finish(new VamosError('CANCELLED', 'the connection was closed by its owner'));
    await connection?.closed;
  }

  #issue(call: PendingCall): void {
    const refusal = this.#refusal(call);
    if (refusal) {
      call.fail(refusal);
      return;
    }
    call.watch(() => {
      if (!call.isSent) return;
      this.#connection?.cancel(call);
      this.#scheduleFlush();
    });
    if (call.isSettled) return;
    this.#requests += call.requests.length;
    this.#queue.push(call);
    if (this.#connection) this.#scheduleFlush();
    else this.#letWait(call);
  }

  #refusal(call: PendingCall): VamosError | undefined {
    if (this.#end) return this.#end;
    if (call.epoch !== undefined && call.epoch !== this.#epoch) {
      return new VamosError('SESSION_LOST', 'what the call belongs to ended with its session', {
        cause: this.#lastError,
      });
    }
    return this.#isTooLarge(call) ? this.#tooLarge(call) : undefined;
  }

  #isTooLarge(call: PendingCall): boolean {
    return call.bytes > this.#maxFrameBytes - BATCH_OVERHEAD_BYTES;
  }

  #tooLarge(call: PendingCall): VamosError {
    const what = call.requests.length === 1 ? 'the request' : `the chain of ${call.requests.length} requests`;
    return new VamosError(
      'FRAME_TOO_LARGE',
      `${what} takes ${call.bytes} bytes, a frame has room for ${this.#maxFrameBytes - BATCH_OVERHEAD_BYTES}`,
    );
  }

  #letWait(call: PendingCall): void {
    call.waitForSession(this.#options.connectTimeoutMs, () => this.#lastError);
  }

  /** Flushes after the promise continuations of this turn, so that what they issue goes in the same frame. */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    setImmediate(() => {
      this.#isFlushScheduled = false;
      this.#connection?.flush(this.#queue);
    });
  }

  /**
   * Tries until there is a session, the client is closed, or time is up. Throws the reason of the last
   * failure.
   */
  async #connect(untilMs: number): Promise<void> {
    for (let earlier: VamosError | undefined; ; earlier = this.#lastError) {
      let openedMs = Infinity;
      try {
        const channel = await this.#open();
        openedMs = performance.now();
        await this.#greet(channel, untilMs);
        return;
      } catch (thrown) {
        let error = this.#withTrouble(VamosError.from(thrown));
        if (earlier && error.code === 'NO_WELCOME' && untilMs - openedMs < SHORTEST_TRY_MS) error = earlier;
        this.#renewIfStale(error);
        this.#lastError = error;
        const leftMs = untilMs - performance.now();
        if (this.#end || !error.properties.isPassing || leftMs <= 0) {
          this.#finish(error);
          throw error;
        }
        await this.#pause(leftMs);
      }
    }
  }

  async #greet(channel: Channel, untilMs: number): Promise<void> {
    const { token, program, replyWindowBytes, connectTimeoutMs } = this.#options;
    const pingIntervalMs = this.#options.pingIntervalMs ?? usualPingIntervalMs(channel);
    const timeoutMs = Math.ceil(Math.max(1, Math.min(connectTimeoutMs, untilMs - performance.now())));
    await greet(
      channel,
      {
        session: this.#session,
        epoch: this.#epoch,
        token,
        program,
        replyWindowBytes,
        stamps: this.#stamps.all,
      },
      timeoutMs,
      this.#closing.signal,
      (welcome) => {
        this.#stamps.keepNewest();
        const session = { id: this.#session, stamps: this.#stamps };
        const connection = new Connection(channel, welcome, session, replyWindowBytes, pingIntervalMs, {
          onRoom: () => {
            this.#scheduleFlush();
          },
          onEnd: (error) => {
            this.#onSessionEnd(connection, error);
          },
        });
        this.#connection = connection;
        this.#maxFrameBytes = welcome.maxFrameBytes;
        for (const call of this.#queue.remove((waiting) => this.#isTooLarge(waiting))) {
          call.fail(this.#tooLarge(call));
        }
        this.#queue.forEach((call) => {
          call.stopWaitingForSession();
        });
        this.#scheduleFlush();
        return connection;
      },
    );
  }

  /**
   * Takes other bytes for the session when the host knows the old ones from a state of this guest's memory
   * that is gone. Commits that were issued before this was known may have been done in that state, even those
   * that were not sent in this one.
   */
  #renewIfStale(error: VamosError): void {
    if (error.code !== 'SESSION_STALE') return;
    const session = this.#session;
    this.#session = freshBytes(SESSION_BYTES);
    this.#stamps = new FrameStamps();
    this.#renewals++;
    for (const call of this.#queue.remove((waiting) => waiting.isCommit)) call.lose(error, session);
  }

  #withTrouble(error: VamosError): VamosError {
    if (!this.#trouble || this.#trouble.code === error.code) return error;
    return new VamosError(error.code, `${this.#trouble.message} (${error.message})`, { cause: error });
  }

  async #pause(mostMs: number): Promise<void> {
    const delayMs = Math.min(this.#backoff.nextDelayMs(), mostMs);
    await delay(delayMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }

  #onSessionEnd(connection: Connection, error: VamosError): void {
    this.#past = add(this.#past, countersOf(connection));
    this.#connection = undefined;
    this.#lastError = error;
    this.#trouble = error.properties.isStorageFault ? error : undefined;
    this.#epoch++;
    this.#renewIfStale(error);
    if (this.#end) return;
    for (const call of this.#queue.remove((waiting) => waiting.epoch !== undefined)) call.lose(error);
    this.#queue.forEach((call) => {
      this.#letWait(call);
    });
    void this.#reconnect(performance.now() - connection.startedAt > this.#options.maxReconnectDelayMs);
  }

  /** Connects again: immediately after a session that lasted for a while, else after a pause. */
  async #reconnect(isImmediate: boolean): Promise<void> {
    if (isImmediate) this.#backoff.reset();
    else await this.#pause(Infinity);
    try {
      await this.#connect(Infinity);
      this.#reconnects++;
    } catch {
      // #connect has reported the failure to all calls.
    }
  }

  #finish(error: VamosError): void {
    if (this.#end) return;
    this.#end = error;
    this.#closing.abort();
    this.#connection?.close(error);
    for (const call of this.#queue.remove(() => true)) call.fail(error);
  }
}

function usualPingIntervalMs(channel: Channel): number {
  return channel.address.startsWith('virtio-serial:') ? DEFAULT_PING_INTERVAL_MS : 0;
}

class ClientStream implements RpcStream {
  constructor(
    readonly id: number,
    private readonly client: RpcClient,
    private readonly issue: (call: PendingCall) => void,
  ) {}

  get epoch(): number {
    return this.client.epoch;
  }

  get renewals(): number {
    return this.client.renewals;
  }

  get session(): Uint8Array {
    return this.client.session;
  }

  get maxBodyBytes(): number {
    return this.client.maxBodyBytes;
  }

  call(method: number, body: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const takeFirst = (bodies: Uint8Array[]): void => {
        resolve(bodies[0]!);
      };
      this.issue(new PendingCall(this.id, [{ method, body }], options, takeFirst, reject));
    });
  }

  chain(requests: { method: number; body: Uint8Array }[], options: CallOptions = {}): Promise<Uint8Array[]> {
    if (requests.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.issue(new PendingCall(this.id, requests, options, resolve, reject));
    });
  }
}

type ConnectionCounters = ChannelCounters & { requestFrames: number; parked: number };

function countersOf(connection: Connection | undefined): ConnectionCounters {
  const channel = connection?.channel.counters;
  return {
    framesSent: channel?.framesSent ?? 0,
    framesReceived: channel?.framesReceived ?? 0,
    bytesSent: channel?.bytesSent ?? 0,
    bytesReceived: channel?.bytesReceived ?? 0,
    writeCalls: channel?.writeCalls ?? 0,
    readCalls: channel?.readCalls ?? 0,
    requestFrames: connection?.requestFrames ?? 0,
    parked: connection?.parked ?? 0,
  };
}

function add(one: ConnectionCounters, other: ConnectionCounters): ConnectionCounters {
  const sum = { ...one };
  for (const name of Object.keys(sum) as (keyof ConnectionCounters)[]) sum[name] += other[name];
  return sum;
}
