import { native } from './native.js';

/**
 * Returns the CRC-32C (Castagnoli) of some bytes; `before` is the result for the bytes that came before them.
 */
export function crc32c(bytes: Uint8Array, before = 0): number {
  return native().crc32c(bytes, before);
}
