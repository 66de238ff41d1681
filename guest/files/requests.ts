import { VamosError } from '../../src/protocol/errors.js';
import { FILES_PIECE_BYTES } from '../../src/protocol/generated/limits.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions as StreamOptions, RpcStream } from '../../src/rpc/contract.js';
import { type Attempt, toFilesError } from './errors.js';

/** Options of every call. `timeoutMs` is for the whole call, however many requests it takes. */
export interface CallOptions {
  /** The call fails with DEADLINE_EXCEEDED after this time. */
  timeoutMs?: number;
  /** The call fails with CANCELLED when this is aborted. The host finishes what it has begun. */
  signal?: AbortSignal;
}

/** Bytes beside a piece's data in its frame: message heads, and the OPEN of the longest path before it. */
const HEAD_BYTES = 8 * 1024;

/**
 * The stream as the files see it, with errors in Node's shape, numbers for handles, and the size of pieces.
 */
export class FileRequests {
  readonly #stream: RpcStream;
  #lastHandle = 0;

  constructor(stream: RpcStream) {
    this.#stream = stream;
  }

  get epoch(): number {
    return this.#stream.epoch;
  }

  /** The bytes of one READ or WRITE that fit a frame. */
  get pieceBytes(): number {
    return Math.min(FILES_PIECE_BYTES, this.#stream.maxBodyBytes - HEAD_BYTES);
  }

  takeHandle(): number {
    this.#lastHandle = this.#lastHandle === 0xffff_ffff ? 1 : this.#lastHandle + 1;
    return this.#lastHandle;
  }

  async send(
    method: vamos.files.Method,
    body: Uint8Array,
    attempt: Attempt,
    options: StreamOptions = {},
  ): Promise<Uint8Array> {
    try {
      return await this.#stream.call(method, body, options);
    } catch (error) {
      throw toFilesError(error, attempt);
    }
  }
}

/**
 * Returns a function that gives options to each of a call's requests, so that together they keep to its
 * deadline.
 */
export function startClock(options: CallOptions, epoch?: number): () => StreamOptions {
  const { timeoutMs = 0, signal } = options;
  const endMs = performance.now() + timeoutMs;
  return () => {
    const leftMs = endMs - performance.now();
    if (timeoutMs > 0 && leftMs <= 0) {
      throw new VamosError('DEADLINE_EXCEEDED', `the call took longer than ${timeoutMs} ms`);
    }
    return {
      ...(timeoutMs > 0 && { timeoutMs: leftMs }),
      ...(signal && { signal }),
      ...(epoch !== undefined && { epoch }),
    };
  };
}

/** The tag of field `data` in Write: number 4, a length and bytes. */
const DATA_TAG = (4 << 3) | 2;

/** Encodes a Write whose data are `parts` one after another, copying them once. */
export function encodeWrite(head: vamos.files.IWrite, parts: readonly Uint8Array[]): Uint8Array {
  const start = vamos.files.Write.encode(head).finish();
  const dataBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const varint: number[] = [];
  for (let left = dataBytes; ; left >>>= 7) {
    varint.push(left > 0x7f ? (left & 0x7f) | 0x80 : left);
    if (left <= 0x7f) break;
  }
  const body = Buffer.allocUnsafe(start.length + 1 + varint.length + dataBytes);
  body.set(start);
  body[start.length] = DATA_TAG;
  body.set(varint, start.length + 1);
  let at = body.length - dataBytes;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}

/** Splits READ's reply into the bytes of each range. */
export function splitRead(reply: Uint8Array, ranges: number): Uint8Array[] {
  const counts = new DataView(reply.buffer, reply.byteOffset, 4 * ranges);
  const parts: Uint8Array[] = [];
  let at = 4 * ranges;
  for (let range = 0; range < ranges; range++) {
    const end = at + counts.getUint32(4 * range, true);
    parts.push(reply.subarray(at, end));
    at = end;
  }
  return parts;
}
