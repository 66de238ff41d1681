import { native } from './native.js';

/**
 * Returns random bytes that never come twice, not even in a guest whose memory was put back to an earlier
 * state (see native/channel).
 */
export function freshBytes(count: number): Uint8Array {
  return native().freshBytes(count);
}
