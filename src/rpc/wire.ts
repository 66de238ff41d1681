import protobuf from 'protobufjs/minimal.js';
import { VamosError } from '../protocol/errors.js';
import { vamos } from '../protocol/generated/messages.js';
import { OVERHEAD_BYTES } from './limits.js';

/** @throws VamosError BAD_FRAME */
export function decode<Message>(type: { decode(body: Uint8Array): Message }, body: Uint8Array): Message {
  try {
    return type.decode(body);
  } catch (cause) {
    throw badFrame(cause);
  }
}

const REQUESTS_TAG = (1 << 3) | 2;
const RECEIVED_BYTES_TAG = 2 << 3;

/** A request that waits keeps no more than so many times what it counts in the window. */
const MAX_KEPT_RATIO = 16;

/**
 * A RequestBatch; unlike its generated decoder it makes no more than `maxRequests`, and copies a body that would keep
 * much more memory than its own: bodies are views into what came with them.
 * @throws VamosError BAD_FRAME, CREDIT_EXCEEDED
 */
export function decodeRequests(body: Uint8Array, maxRequests: number): vamos.RequestBatch {
  const batch = new vamos.RequestBatch();
  try {
    const reader = protobuf.Reader.create(body);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === REQUESTS_TAG) {
        if (batch.requests.length === maxRequests) {
          throw new VamosError('CREDIT_EXCEEDED', `more than ${maxRequests} requests in a frame`);
        }
        const request = vamos.Request.decode(reader, reader.uint32());
        const { length, buffer } = request.body;
        if (buffer.byteLength > (length + OVERHEAD_BYTES) * MAX_KEPT_RATIO) {
          request.body = Uint8Array.prototype.slice.call(request.body);
        }
        batch.requests.push(request);
      } else if (tag === RECEIVED_BYTES_TAG) {
        batch.receivedBytes = Number(reader.uint64());
      } else {
        reader.skipType(tag & 7);
      }
    }
    return batch;
  } catch (cause) {
    throw badFrame(cause);
  }
}

function badFrame(cause: unknown): VamosError {
  if (cause instanceof VamosError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new VamosError('BAD_FRAME', `a frame's body does not decode: ${message}`, { cause });
}
