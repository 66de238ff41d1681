import { VamosError } from '../protocol/errors.js';
import { vamos } from '../protocol/generated/messages.js';
import {
  type Channel,
  type ChannelCounters,
  type ChannelHandlers,
  CLOSE_FLUSH_MS,
  type FrameKind,
  HIGH_WATER_BYTES,
} from './channel.js';

/**
 * Two connected ends in this process. Frames are handed over as they are, without header, checksum or copy: the sender
 * must not change a body after `send`, so the receiver may keep it. They arrive in a later turn of the event loop.
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
  /** Sent by the peer, not yet taken by this end's handlers. */
  #inbox: Frame[] = [];
  #inboxBytes = 0;
  /** The peer sends no more; what is in the inbox still arrives. */
  #peerEnded = false;
  #lastKind: FrameKind = vamos.FrameKind.NONE;
  #isPaused = false;
  #isScheduled = false;
  #owesDrain = false;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #flushTimer: NodeJS.Timeout | undefined;

  constructor(readonly address: string) {}

  get bufferedBytes(): number {
    return this.peer.#inboxBytes;
  }

  setHandlers(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#schedule();
  }

  send(kind: FrameKind, body: Uint8Array): boolean {
    const peer = this.peer;
    if (this.#state !== 'open' || peer.#state !== 'open') return false;
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

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.peer.#endByPeer();
    this.#flushTimer = setTimeout(() => {
      this.destroy();
    }, CLOSE_FLUSH_MS);
    this.#schedule();
  }

  destroy(): void {
    if (this.#state === 'closed') return;
    this.peer.#dropInbox();
    this.peer.#endByPeer();
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
    if (this.#handlers === undefined || this.#state === 'closed') return;
    if (this.#state === 'closing') {
      this.#dropInbox();
      if (this.bufferedBytes === 0 && this.peer.#inbox.length === 0) this.#finish(undefined);
      return;
    }
    try {
      // What handlers send now arrives in the next turn, so a busy pair does not starve the rest of the process.
      for (let left = this.#inbox.length; left > 0 && this.#canDeliver(); left--)
        this.#deliver(this.#handlers);
    } finally {
      if (this.#inbox.length > 0) {
        if (this.#canDeliver()) this.#schedule();
      } else {
        this.peer.#inboxIsEmptyAtPeer();
        if (this.#peerEnded && this.#canDeliver()) this.#finish(this.#endError());
      }
    }
  }

  #canDeliver(): boolean {
    return this.#state === 'open' && !this.#isPaused;
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

  #inboxIsEmptyAtPeer(): void {
    if (this.#state === 'closing') this.#schedule();
    if (!this.#owesDrain || this.#state !== 'open') return;
    this.#owesDrain = false;
    this.#handlers?.onDrain?.();
  }

  #endError(): VamosError | undefined {
    if (this.#lastKind === GOODBYE) return undefined;
    return new VamosError('CHANNEL_CLOSED', `${this.address}: the other end closed the channel`);
  }

  #finish(error: VamosError | undefined): void {
    this.#state = 'closed';
    clearTimeout(this.#flushTimer);
    this.#dropInbox();
    this.peer.#endByPeer();
    // The peer may be closing and wait for this end to take its frames.
    this.peer.#schedule();
    // Never from within the caller's own close() or destroy().
    setImmediate(() => this.#handlers?.onClose(error));
  }
}
