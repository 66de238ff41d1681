import { VamosError } from '../protocol/errors.js';
import { vamos } from '../protocol/generated/messages.js';
import {
  type Channel,
  type ChannelCounters,
  type ChannelHandlers,
  type FrameKind,
  HIGH_WATER_BYTES,
} from './channel.js';

/**
 * Returns two connected ends in this process. Frames are handed over as they are, without header, checksum or
 * copy: the sender must not change a body after `send`, so the receiver may keep it. They arrive in a later
 * turn of the event loop.
 */
export function createLocalPair(address = 'local:'): [Channel, Channel] {
  const one = new LocalChannel(address);
  const other = new LocalChannel(address);
  one.peer = other;
  other.peer = one;
  return [one, other];
}

const GOODBYE: FrameKind = vamos.FrameKind.GOODBYE;

interface Frame {
  kind: FrameKind;
  body: Uint8Array;
}

class LocalChannel implements Channel {
  readonly counters: ChannelCounters = {
    framesSent: 0,
    framesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    writeCalls: 0,
    readCalls: 0,
  };
  peer!: LocalChannel;
  #handlers: ChannelHandlers | undefined;
  /** Frames that the peer sent and this end's handlers have not taken yet. */
  #inbox: Frame[] = [];
  #inboxBytes = 0;
  /** The peer sends no more; what is in the inbox still arrives. */
  #peerEnded = false;
  #lastKind: FrameKind = vamos.FrameKind.NONE;
  #isPaused = false;
  #isScheduled = false;
  #owesDrain = false;
  #isClosed = false;

  constructor(readonly address: string) {}

  get bufferedBytes(): number {
    return this.#isClosed ? 0 : this.peer.#inboxBytes;
  }

  setHandlers(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#schedule();
  }

  send(kind: FrameKind, body: Uint8Array): boolean {
    const peer = this.peer;
    if (this.#isClosed || peer.#isClosed) return false;
    this.counters.framesSent++;
    this.counters.bytesSent += body.length;
    peer.#inbox.push({ kind, body });
    peer.#inboxBytes += body.length;
    peer.#schedule();
    this.#owesDrain ||= peer.#inboxBytes > HIGH_WATER_BYTES;
    return peer.#inboxBytes <= HIGH_WATER_BYTES;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  /** Closes. Frames that were sent belong to the peer already, whenever it reads them. */
  close(): void {
    if (!this.#isClosed) this.#finish(undefined);
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.peer.#dropInbox();
    this.#finish(undefined);
  }

  #endByPeer(): void {
    this.#peerEnded = true;
    this.#schedule();
  }

  #dropInbox(): void {
    this.#inbox = [];
    this.#inboxBytes = 0;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#takeTurn();
    });
  }

  #takeTurn(): void {
    if (this.#handlers === undefined || this.#isClosed) return;
    try {
      // What handlers send now arrives in the next turn, so that a busy pair does not starve the rest of the
      // process.
      for (let left = this.#inbox.length; left > 0 && this.#canDeliver(); left--)
        this.#deliver(this.#handlers);
    } finally {
      if (this.#inbox.length > 0) {
        if (this.#canDeliver()) this.#schedule();
      } else {
        this.peer.#drained();
        if (this.#peerEnded && this.#canDeliver()) this.#finish(this.#endError());
      }
    }
  }

  #canDeliver(): boolean {
    return !this.#isClosed && !this.#isPaused;
  }

  #deliver(handlers: ChannelHandlers): void {
    const frame = this.#inbox.shift();
    if (frame === undefined) return;
    this.#inboxBytes -= frame.body.length;
    this.#lastKind = frame.kind;
    this.counters.framesReceived++;
    this.counters.bytesReceived += frame.body.length;
    handlers.onFrame(frame.kind, frame.body);
  }

  #drained(): void {
    if (!this.#owesDrain || this.#isClosed) return;
    this.#owesDrain = false;
    this.#handlers?.onDrain?.();
  }

  #endError(): VamosError | undefined {
    if (this.#lastKind === GOODBYE) return undefined;
    return new VamosError('CHANNEL_CLOSED', `${this.address}: the other end closed the channel`);
  }

  #finish(error: VamosError | undefined): void {
    this.#isClosed = true;
    this.#dropInbox();
    this.peer.#endByPeer();
    // `onClose` must not be called from within the caller's own close() or destroy().
    setImmediate(() => this.#handlers?.onClose(error));
  }
}
