import { native } from './native.js';

/** Random bytes that never come twice, not even in a guest whose memory was put back to an earlier state (native/channel). */
export function freshBytes(count: number): Uint8Array {
  return native().freshBytes(count);
}
