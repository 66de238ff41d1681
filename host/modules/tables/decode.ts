import protobuf from 'protobufjs/minimal.js';
import { VamosError } from '../../../src/protocol/errors.js';

/** A decoder of request bodies. */
interface Decoder<Message> {
  decode(body: Uint8Array): Message;
}

/**
 * Decodes a body.
 * @throws VamosError BAD_REQUEST: the bytes are no such message
 */
export function decode<Message>(decoder: Decoder<Message>, body: Uint8Array): Message {
  try {
    return decoder.decode(body);
  } catch (cause) {
    throw new VamosError('BAD_REQUEST', 'the request does not decode', { cause });
  }
}

/** The message fields of a message, by field number. */
export interface Messages {
  readonly [field: number]: Messages;
}

/**
 * Counts the messages in a request without decoding them: an empty message takes two bytes in a frame, and a
 * hundred bytes of memory once it is decoded.
 * @throws VamosError BAD_REQUEST
 */
export function countMessages(body: Uint8Array, fields: Messages): number {
  return decode({ decode: () => countWithin(protobuf.Reader.create(body), body.length, fields) }, body);
}

function countWithin(reader: protobuf.Reader, end: number, fields: Messages): number {
  let count = 0;
  while (reader.pos < end) {
    const tag = reader.uint32();
    const inner = (tag & 7) === 2 ? fields[tag >>> 3] : undefined;
    if (!inner) {
      reader.skipType(tag & 7);
      continue;
    }
    const length = reader.uint32();
    count += 1 + countWithin(reader, reader.pos + length, inner);
  }
  return count;
}
