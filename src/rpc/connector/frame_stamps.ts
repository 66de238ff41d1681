import { freshBytes } from '../../channel/fresh_bytes.js';

/**
 * The stamps of a session's last request frames. One of them is the stamp of the last frame that the host has received, or the
 * memory of this guest was rolled back: then the host has received frames that this guest, as it is now, never sent.
 */
export class FrameStamps {
  #stamps: number[];

  constructor(stamps: readonly number[] = []) {
    this.#stamps = [...stamps];
  }

  /** All of them; the newest is the last. */
  get all(): readonly number[] {
    return this.#stamps;
  }

  /** Makes the stamp for the next frame. The host has received all frames but the last `maxFramesInFlight`. */
  next(maxFramesInFlight: number): number {
    const stamp = new DataView(freshBytes(4).buffer).getUint32(0) || 1;
    this.#stamps = [...this.#stamps.slice(-maxFramesInFlight), stamp];
    return stamp;
  }

  /** Whether this may be the stamp of the last frame that the host has; 0: an earlier version of the host says none. */
  mayBeLast(stamp: number): boolean {
    return stamp === 0 || this.#stamps.includes(stamp);
  }

  /** The host has begun another connection: from then on it takes the newest frame for the last one that came. */
  keepNewest(): void {
    this.#stamps = this.#stamps.slice(-1);
  }
}
