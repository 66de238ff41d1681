import { VamosError } from '../protocol/errors.js';
import { vamos } from '../protocol/generated/messages.js';
import {
  type Channel,
  type ChannelCounters,
  type ChannelHandlers,
  CLOSE_FLUSH_MS,
  CLOSE_STALL_MS,
  type FrameKind,
  HIGH_WATER_BYTES,
} from './channel.js';
import {
  LARGE_FLAG,
  NEW_PEER,
  UNREADABLE,
  type NativeChannel,
  type Resync,
  callNative,
  errorOfNative,
} from './native.js';
import { MAX_FRAME_BYTES } from '../protocol/generated/limits.js';

export interface ChannelOptions {
  /** A larger body ends the channel when it is received, and is refused when it is to be sent. */
  maxFrameBytes?: number;
}

/** The interval of the clock that bounds how long `close` goes on sending. */
const TICK_MS = 100;

const GOODBYE: FrameKind = vamos.FrameKind.GOODBYE;

/** A frame, or the event that the kind NEW_PEER or UNREADABLE stands for. */
interface Entry {
  kind: FrameKind;
  body: Uint8Array;
}

/** A channel over a file descriptor: a socket or a virtio-serial port. */
export class DescriptorChannel implements Channel {
  readonly #native: NativeChannel;
  readonly #maxFrameBytes: number;
  #handlers: ChannelHandlers | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #isPaused = false;
  /** Entries that arrived and were not handed over, because a handler paused the channel or threw. */
  #pending: Entry[] = [];
  /** The end that the native side reported. It is handed on after the pending entries. */
  #end: { error: VamosError | undefined } | undefined;
  #owesDrain = false;
  #lastKind: FrameKind = vamos.FrameKind.NONE;
  #flushTimer: NodeJS.Timeout | undefined;

  readonly #onFinish: ((error: VamosError | undefined) => void) | undefined;

  /**
   * Takes the descriptor over. `onFinish` is called when the channel has closed, whichever side closed it.
   */
  constructor(
    readonly address: string,
    descriptor: number,
    resync: Resync,
    { maxFrameBytes = MAX_FRAME_BYTES }: ChannelOptions = {},
    onFinish?: (error: VamosError | undefined) => void,
  ) {
    this.#onFinish = onFinish;
    this.#maxFrameBytes = maxFrameBytes;
    this.#native = callNative(
      (module) =>
        new module.NativeChannel(
          descriptor,
          maxFrameBytes,
          resync,
          (batch, count, large) => {
            this.#takeBatch(batch, count, large);
          },
          () => {
            this.#drained();
          },
          (code, message) => {
            this.#ended(code, message);
          },
        ),
    );
  }

  get counters(): ChannelCounters {
    const [framesSent, framesReceived, bytesSent, bytesReceived, writeCalls, readCalls] =
      this.#native.counters();
    return { framesSent, framesReceived, bytesSent, bytesReceived, writeCalls, readCalls };
  }

  get bufferedBytes(): number {
    return this.#native.bufferedBytes();
  }

  setHandlers(handlers: ChannelHandlers): void {
    const isFirst = this.#handlers === undefined;
    this.#handlers = handlers;
    if (isFirst && !this.#isPaused && this.#state === 'open') this.#native.resume();
  }

  /**
   * Sends a frame.
   * @throws VamosError FRAME_TOO_LARGE
   */
  send(kind: FrameKind, body: Uint8Array): boolean {
    if (body.length > this.#maxFrameBytes) {
      const limit = `the limit is ${String(this.#maxFrameBytes)}`;
      throw new VamosError('FRAME_TOO_LARGE', `a frame of ${String(body.length)} bytes, and ${limit}`);
    }
    if (this.#state !== 'open' || this.#end) return false;
    const isBelow = this.#native.send(kind, body) <= HIGH_WATER_BYTES;
    this.#owesDrain ||= !isBelow;
    return isBelow;
  }

  pause(): void {
    this.#isPaused = true;
    this.#native.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#state !== 'open' || this.#handlers === undefined) return;
    this.#native.resume();
    this.#dispatchSoon();
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#native.close();
    this.#boundFlush();
    if (this.#end) this.destroy();
  }

  /**
   * Ends a flush that takes too long. It counts ticks, not time: a process that stood still must first get
   * the chance to send.
   */
  #boundFlush(): void {
    let ticks = 0;
    let stalledTicks = 0;
    let bufferedBytes = this.bufferedBytes;
    this.#flushTimer = setInterval(() => {
      stalledTicks = this.bufferedBytes < bufferedBytes ? 0 : stalledTicks + 1;
      bufferedBytes = this.bufferedBytes;
      if (stalledTicks === CLOSE_STALL_MS / TICK_MS || ++ticks === CLOSE_FLUSH_MS / TICK_MS) this.destroy();
    }, TICK_MS);
  }

  destroy(): void {
    if (this.#state === 'closed') return;
    this.#native.destroy();
    this.#finish(undefined);
  }

  #takeBatch(batch: ArrayBuffer, count: number, large: ArrayBuffer[]): void {
    const entries = new Uint32Array(batch, 0, count * 2);
    let offset = entries.byteLength;
    let largeTaken = 0;
    for (let i = 0; i < count; i++) {
      const kind = entries[i * 2] ?? 0;
      const length = entries[i * 2 + 1] ?? 0;
      if (kind & LARGE_FLAG) {
        const body = new Uint8Array(large[largeTaken++] ?? new ArrayBuffer());
        this.#pending.push({ kind: kind & ~LARGE_FLAG, body });
      } else {
        this.#pending.push({ kind, body: new Uint8Array(batch, offset, length) });
        offset += length;
      }
    }
    this.#dispatch();
  }

  #dispatchSoon(): void {
    if (this.#pending.length === 0 && !this.#end) return;
    setImmediate(() => {
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const entries = this.#pending;
    let taken = 0;
    try {
      while (taken < entries.length && this.#canDeliver()) {
        const entry = entries[taken++];
        if (entry) this.#deliver(entry);
      }
    } finally {
      entries.splice(0, taken);
      // Entries are left although the channel is not paused: a handler threw.
      if (this.#canDeliver() && entries.length > 0) this.#dispatchSoon();
    }
    if (this.#end && this.#canDeliver()) this.#finish(this.#end.error);
  }

  #canDeliver(): boolean {
    return this.#state === 'open' && !this.#isPaused;
  }

  #deliver({ kind, body }: Entry): void {
    if (kind === NEW_PEER) {
      this.#handlers?.onNewPeer?.();
    } else if (kind === UNREADABLE) {
      this.#handlers?.onUnreadable?.();
    } else {
      this.#lastKind = kind;
      this.#handlers?.onFrame(kind, body);
    }
  }

  #drained(): void {
    if (!this.#owesDrain) return;
    this.#owesDrain = false;
    this.#handlers?.onDrain?.();
  }

  #ended(code: number, message: string): void {
    if (this.#state === 'closing') {
      this.#finish(undefined);
      return;
    }
    this.#end = { error: errorOfNative(code, `${this.address}: ${message}`) };
    this.#dispatch();
  }

  #finish(error: VamosError | undefined): void {
    this.#state = 'closed';
    clearInterval(this.#flushTimer);
    this.#pending = [];
    const isOrderly = error?.code === 'CHANNEL_CLOSED' && this.#lastKind === GOODBYE;
    // `onClose` must not be called from within the caller's own close() or destroy().
    setImmediate(() => {
      this.#onFinish?.(error);
      this.#handlers?.onClose(isOrderly ? undefined : error);
    });
  }
}
