/** Limits of the module `files` that both halves keep to. */

/** Bytes of one READ's ranges together, and of a WRITE that the guest half sends: fits a frame with its headers. */
export const PIECE_BYTES = 1024 * 1024;
/** Ranges of one READ or WRITE. */
export const MAX_RANGES = 1024;
/** Linux's PATH_MAX with its zero byte. */
export const MAX_PATH_BYTES = 4095;
/** Bounds of READ_DIRECTORY's window. */
export const MIN_DIRECTORY_WINDOW_BYTES = 1024;
