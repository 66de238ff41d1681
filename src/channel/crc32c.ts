import { native } from './native.js';

/** CRC-32C (Castagnoli); `before` is the result for the bytes before these. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  return native().crc32c(bytes, before);
}
