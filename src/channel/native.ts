import { loadNative } from '../native.js';
import { ErrorCode, VamosError } from '../protocol/errors.js';

/**
 * The channel's native binding (`native/addon/channel`). Descriptors are plain numbers, and the receiver of
 * one owns it: `NativeChannel` and `NativeListener` take theirs over. A call that fails throws an Error whose
 * `code` is a number of ErrorCode.
 */
interface NativeChannelModule {
  crc32c(bytes: Uint8Array, before: number): number;
  freshBytes(count: number): Uint8Array;
  /** Opens a virtio-serial port, or the UNIX socket that stands in its place. */
  openPort(path: string): number;
  connectUnix(path: string): number;
  connectVsock(
    cid: number,
    port: number,
    done: (code: number, message: string, descriptor: number) => void,
  ): void;
  listenUnix(path: string): number;
  listenVsock(port: number): number;
  NativeChannel: new (
    descriptor: number,
    maxBodyBytes: number,
    resync: number,
    onFrames: (batch: ArrayBuffer, count: number, large: ArrayBuffer[]) => void,
    onDrain: () => void,
    onEnd: (code: number, message: string) => void,
  ) => NativeChannel;
  /** Turns connections away that come from other CIDs than `cid`; ANY_CID accepts all. */
  NativeListener: new (
    descriptor: number,
    cid: number,
    onConnection: (descriptor: number) => void,
  ) => NativeListener;
}

/**
 * Calls back: `onFrames` with a batch (`count` entries of u32 kind and u32 length, then the bodies one after another,
 * those with LARGE_FLAG each in `large` instead; entries NEW_PEER and UNREADABLE are ChannelHandlers.onNewPeer and onUnreadable), `onDrain` when what
 * had to wait is out, `onEnd` once, last, unless destroyed. Each from the event loop, never from within a call.
 */
export interface NativeChannel {
  /** Returns bufferedBytes. */
  send(kind: number, body: Uint8Array): number;
  /** Starts or goes on reading; a new channel is paused. */
  resume(): void;
  pause(): void;
  /** Ends (with code OK) once nothing is buffered. */
  close(): void;
  destroy(): void;
  bufferedBytes(): number;
  /** Frames, bytes and system calls: first of what was sent, then of what was received. */
  counters(): [number, number, number, number, number, number];
}

export interface NativeListener {
  close(): void;
}

export const NEW_PEER = 0x100;
export const UNREADABLE = 0x101;
export const LARGE_FLAG = 0x200;
export const ANY_CID = 0xffffffff;

/** What to do about bytes that make no sense: `Resync` of native/wire/frame.hpp. */
export const Resync = { Never: 0, HelloAnytime: 1, WelcomeFirst: 2 } as const;
export type Resync = (typeof Resync)[keyof typeof Resync];

let loaded: NativeChannelModule | undefined;

/**
 * Loads the binding.
 * @throws VamosError INTERNAL where the addon is not built
 */
export function native(): NativeChannelModule {
  loaded ??= loadNative('vamos_channel') as NativeChannelModule;
  return loaded;
}

/** Runs a call into the addon. What it throws becomes a VamosError. */
export function callNative<Result>(call: (module: NativeChannelModule) => Result): Result {
  const module = native();
  try {
    return call(module);
  } catch (error) {
    throw errorOfNative((error as { code?: number }).code ?? 0, (error as Error).message);
  }
}

export function errorOfNative(code: number, message: string): VamosError {
  return VamosError.fromFailure({ code: code === 0 ? ErrorCode.INTERNAL : code, message });
}
