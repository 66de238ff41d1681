import protobuf from 'protobufjs/minimal.js';
import { VamosError } from '../../protocol/errors.js';
import type { FrameRequest } from '../contract.js';
import { OVERHEAD_BYTES } from '../../protocol/generated/limits.js';

/**
 * Decodes a message.
 * @throws VamosError BAD_FRAME
 */
export function decode<Message>(type: { decode(body: Uint8Array): Message }, body: Uint8Array): Message {
  try {
    return type.decode(body);
  } catch (cause) {
    throw badFrame(cause);
  }
}

const REQUESTS_TAG = (1 << 3) | 2;
const RECEIVED_BYTES_TAG = 2 << 3;
const STAMP_TAG = 3 << 3;
/** The tags of Request's fields. */
const ID_TAG = 1 << 3;
const STREAM_TAG = 2 << 3;
const METHOD_TAG = 3 << 3;
const DEADLINE_TAG = 4 << 3;
const CHAIN_TAG = 5 << 3;
const BODY_TAG = (6 << 3) | 2;

/** A request that waits keeps at most this many times the memory that it counts in the window. */
const MAX_KEPT_RATIO = 16;

export interface DecodedRequests {
  requests: FrameRequest[];
  receivedBytes: number;
  /** The frame's stamp; 0: an earlier version of the connector gives none. */
  stamp: number;
}

/**
 * Decodes a RequestBatch of at most `maxRequests`, leaving the bodies where they are.
 * @throws VamosError BAD_FRAME, CREDIT_EXCEEDED
 */
export function decodeRequests(frame: Uint8Array, maxRequests: number): DecodedRequests {
  const requests: FrameRequest[] = [];
  let receivedBytes = 0;
  let stamp = 0;
  try {
    const reader = protobuf.Reader.create(frame);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === REQUESTS_TAG) {
        if (requests.length === maxRequests) {
          throw new VamosError('CREDIT_EXCEEDED', `more than ${maxRequests} requests in a frame`);
        }
        requests.push(decodeRequest(reader));
      } else if (tag === RECEIVED_BYTES_TAG) {
        receivedBytes = Number(reader.uint64());
      } else if (tag === STAMP_TAG) {
        stamp = reader.uint32();
      } else {
        reader.skipType(tag & 7);
      }
    }
    return { requests, receivedBytes, stamp };
  } catch (cause) {
    throw badFrame(cause);
  }
}

function decodeRequest(reader: protobuf.Reader): FrameRequest {
  const request = { id: 0, stream: 0, method: 0, deadlineMs: 0, chain: false, offset: 0, length: 0 };
  const length = reader.uint32();
  const end = reader.pos + length;
  while (reader.pos < end) {
    const tag = reader.uint32();
    switch (tag) {
      case ID_TAG:
        request.id = reader.uint32();
        break;
      case STREAM_TAG:
        request.stream = reader.uint32();
        break;
      case METHOD_TAG:
        request.method = reader.uint32();
        break;
      case DEADLINE_TAG:
        request.deadlineMs = reader.uint32();
        break;
      case CHAIN_TAG:
        request.chain = reader.bool();
        break;
      case BODY_TAG:
        request.length = reader.uint32();
        request.offset = reader.pos;
        reader.skip(request.length);
        break;
      default:
        reader.skipType(tag & 7);
    }
  }
  if (reader.pos !== end) throw new VamosError('BAD_FRAME', 'a request goes beyond its length');
  return request;
}

/**
 * Returns the body of a request: a view, or a copy where a view would keep much more memory than the body's
 * own.
 */
export function bodyOf(frame: Uint8Array, { offset, length }: FrameRequest): Uint8Array {
  const isSmallPart = frame.buffer.byteLength > (length + OVERHEAD_BYTES) * MAX_KEPT_RATIO;
  return isSmallPart
    ? Uint8Array.prototype.slice.call(frame, offset, offset + length)
    : frame.subarray(offset, offset + length);
}

function badFrame(cause: unknown): VamosError {
  if (cause instanceof VamosError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new VamosError('BAD_FRAME', `a frame's body does not decode: ${message}`, { cause });
}
