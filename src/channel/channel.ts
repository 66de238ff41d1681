import type { VamosError } from '../protocol/errors.js';

/** Numbers of vamos.proto's FrameKind. */
export type FrameKind = number;

/** More than this buffered makes `send` return false. */
export const HIGH_WATER_BYTES = 1 << 20;
/** How long `close` goes on sending what is buffered to a peer that takes nothing of it, and to any. */
export const CLOSE_STALL_MS = 1000;
export const CLOSE_FLUSH_MS = 5000;

/** What a channel has moved since it opened. */
export interface ChannelCounters {
  framesSent: number;
  framesReceived: number;
  /** With frame headers. */
  bytesSent: number;
  bytesReceived: number;
  /** System calls; 0 for `local:`. */
  writeCalls: number;
  readCalls: number;
}

export interface ChannelHandlers {
  /** One whole frame, its header and checksum checked. The body is the receiver's to keep. */
  onFrame(kind: FrameKind, body: Uint8Array): void;
  /**
   * Host end only. The stream did not check, or stalled in mid-frame, and a HELLO was found behind: its sender is a
   * new process, so the session before it is over. That HELLO comes next through onFrame.
   */
  onNewPeer?(): void;
  /**
   * Host end of a virtio-serial port only. What comes makes no sense in this connection: its sender may be a connector that
   * speaks in another host's session, and does not know that the port leads here now. At most once a second.
   */
  onUnreadable?(): void;
  /** After a `send` that returned false: everything that was buffered is out. */
  onDrain?(): void;
  /**
   * Once, last, never from within an own `close()` or `destroy()`. undefined after these, and when the peer closed
   * after a GOODBYE; CHANNEL_CLOSED when it closed without; BAD_FRAME, FRAME_TOO_LARGE, CHANNEL_FAILED.
   */
  onClose(error: VamosError | undefined): void;
}

/** One end of an ordered, reliable way for frames between one connector and one host worker. */
export interface Channel {
  /** For messages and metrics. */
  readonly address: string;
  readonly counters: Readonly<ChannelCounters>;
  /** Bytes that `send` took and the operating system has not. */
  readonly bufferedBytes: number;
  /** Set before the first event-loop turn after the channel was handed over ends; frames wait until then. */
  setHandlers(handlers: ChannelHandlers): void;
  /**
   * Sends one frame. The body must not be changed afterwards. Never blocks and never throws on I/O errors (those come
   * through onClose). Returns false once more than 1 MiB is buffered: wait for onDrain before sending bulk; also false,
   * and nothing is sent, when the channel is closed.
   */
  send(kind: FrameKind, body: Uint8Array): boolean;
  /** Stops or resumes reading from the peer (back-pressure). */
  pause(): void;
  resume(): void;
  /** Sends what is buffered (while the peer takes some, for at most 5 s), then closes. Idempotent. */
  close(): void;
  /** Closes at once. Idempotent. */
  destroy(): void;
}

/** The host's end of an address: hands over a channel for each connector (or each reopened port). */
export interface Listener {
  readonly address: string;
  close(): Promise<void>;
}

/**
 * `accept` is called for each channel. For a virtio-serial chardev socket there is one at a time, reopened with backoff
 * while the guest's QEMU is away.
 */
export type Accept = (channel: Channel) => void;
