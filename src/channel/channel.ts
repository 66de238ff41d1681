import type { VamosError } from '../protocol/errors.js';

/** One of the numbers of FrameKind in vamos.proto. */
export type FrameKind = number;

/** `send` returns false while more bytes than this are buffered. */
export const HIGH_WATER_BYTES = 1 << 20;
/**
 * `close` gives up sending what is buffered after the peer has taken none of it for CLOSE_STALL_MS, and in
 * any case after CLOSE_FLUSH_MS.
 */
export const CLOSE_STALL_MS = 1000;
export const CLOSE_FLUSH_MS = 5000;

/** What a channel has moved since it opened. */
export interface ChannelCounters {
  framesSent: number;
  framesReceived: number;
  /** Bytes, frame headers included. */
  bytesSent: number;
  bytesReceived: number;
  /** System calls; always 0 for `local:`. */
  writeCalls: number;
  readCalls: number;
}

export interface ChannelHandlers {
  /** A whole frame arrived, and its header and checksum are right. The receiver may keep the body. */
  onFrame(kind: FrameKind, body: Uint8Array): void;
  /**
   * Host end only. The bytes stopped making sense, or stalled within a frame, and a HELLO was found behind: a
   * new process sends now, and the session of the old one is over. That HELLO comes next through onFrame.
   */
  onNewPeer?(): void;
  /**
   * Host end of a virtio-serial port only. The bytes that arrive make no sense in this connection. Their
   * sender may be a connector that speaks in another host's session and does not know that the port leads
   * here now. It is called once a second at most.
   */
  onUnreadable?(): void;
  /** Everything that was buffered has been sent, after a `send` that returned false. */
  onDrain?(): void;
  /**
   * The last event, which comes once, and never from within an own `close()` or `destroy()`. The error is
   * undefined after these two, and when the peer closed after a GOODBYE. It is CHANNEL_CLOSED when the peer
   * closed without one, else BAD_FRAME, FRAME_TOO_LARGE or CHANNEL_FAILED.
   */
  onClose(error: VamosError | undefined): void;
}

/** One end of an ordered, reliable way for frames between one connector and one host worker. */
export interface Channel {
  /** The address as messages and metrics show it. */
  readonly address: string;
  readonly counters: Readonly<ChannelCounters>;
  /** Bytes that `send` took and the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /**
   * Must be called before the turn of the event loop ends in which the channel was handed over; frames wait
   * until then.
   */
  setHandlers(handlers: ChannelHandlers): void;
  /**
   * Sends one frame. The body must not be changed afterwards. Never blocks and never throws on I/O errors (those come
   * through onClose). Returns false once more than 1 MiB is buffered: wait for onDrain before sending bulk; also false,
   * and nothing is sent, when the channel is closed.
   */
  send(kind: FrameKind, body: Uint8Array): boolean;
  /** Stops or resumes reading from the peer, which holds the peer back. */
  pause(): void;
  resume(): void;
  /** Sends what is buffered (while the peer takes some, for at most 5 s), then closes. Idempotent. */
  close(): void;
  /** Closes immediately and drops what is buffered. Idempotent. */
  destroy(): void;
}

/**
 * The host's end of an address. It hands over a channel for each connector, or each time that a port is
 * opened again.
 */
export interface Listener {
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Called for each channel. For a virtio-serial chardev socket there is one at a time; it is opened again with
 * backoff while the guest's QEMU is away.
 */
export type Accept = (channel: Channel) => void;
