import assert from 'node:assert/strict';
import type { Channel, FrameKind } from '../../src/channel/channel.js';
import type { VamosError } from '../../src/protocol/errors.js';

export interface ReceivedFrame {
  kind: FrameKind;
  body: Uint8Array;
}

const DEADLINE_MS = 60_000;

/** Keeps what comes through a channel, and lets a test wait for it. */
export class Recorder {
  readonly frames: ReceivedFrame[] = [];
  newPeers = 0;
  drains = 0;
  closes: (VamosError | undefined)[] = [];
  /** Called within onFrame. */
  whenFrame: ((frame: ReceivedFrame) => void) | undefined;
  #wake: (() => void)[] = [];

  constructor(readonly channel: Channel) {
    channel.setHandlers({
      onFrame: (kind, body) => {
        this.frames.push({ kind, body });
        this.whenFrame?.({ kind, body });
        this.#changed();
      },
      onNewPeer: () => {
        this.newPeers++;
        this.#changed();
      },
      onDrain: () => {
        this.drains++;
        this.#changed();
      },
      onClose: (error) => {
        this.closes.push(error);
        this.#changed();
      },
    });
  }

  /** Waits until the condition holds; fails after a long while, saying what was waited for. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!condition()) {
      assert.ok(Date.now() < deadline, `waited in vain for: ${what}; ${this.#state()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Takes the next `count` frames. */
  async take(count: number): Promise<ReceivedFrame[]> {
    await this.until(`${String(count)} frames`, () => this.frames.length >= count || this.closes.length > 0);
    assert.ok(this.frames.length >= count, `expected ${String(count)} frames; ${this.#state()}`);
    return this.frames.splice(0, count);
  }

  async closed(): Promise<VamosError | undefined> {
    await this.until('the close', () => this.closes.length > 0);
    return this.closes[0];
  }

  #state(): string {
    const close = this.closes.length > 0 ? `closed with ${this.closes[0]?.message ?? 'no error'}` : 'open';
    return `${String(this.frames.length)} frames, ${close}`;
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Lets what is under way arrive, in a test that shows that nothing does. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

/** Returns bytes that differ from frame to frame and place to place. */
export function pattern(sizeBytes: number, seed: number): Uint8Array {
  const body = new Uint8Array(sizeBytes);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < sizeBytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    body[i] = state >>> 24;
  }
  return body;
}

/** Compares big arrays without printing them. */
export function assertSameBytes(actual: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  const isSame = actual !== undefined && Buffer.compare(actual, expected) === 0;
  assert.ok(
    isSame,
    `${what}: ${String(actual?.length)} bytes differ from ${String(expected.length)} expected`,
  );
}
