import { VamosError } from '../../../src/protocol/errors.js';

/** Who decodes a body of a request. */
interface Decoder<Message> {
  decode(body: Uint8Array): Message;
}

/** @throws VamosError BAD_REQUEST: bytes that are no such message */
export function decode<Message>(decoder: Decoder<Message>, body: Uint8Array): Message {
  try {
    return decoder.decode(body);
  } catch (cause) {
    throw new VamosError('BAD_REQUEST', 'the request does not decode', { cause });
  }
}
