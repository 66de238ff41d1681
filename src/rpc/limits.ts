/** The protocol version of this code. */
export const PROTOCOL_VERSION = 1;

/** What a request or reply counts beside its body, in windows and in a frame: more than its fields take. */
export const OVERHEAD_BYTES = 64;

/** What a batch takes in a frame beside its requests or replies. */
export const BATCH_OVERHEAD_BYTES = 16;

/** The largest frame that a host may allow: what every channel carries by default. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** The smallest window that a connector may offer. */
export const MIN_WINDOW_BYTES = 128 * 1024;

/** setTimeout's longest delay. A longer deadline is cut to it. */
export const MAX_TIMEOUT_MS = 0x7fff_ffff;
