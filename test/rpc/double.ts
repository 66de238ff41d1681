import type { Channel } from '../../src/channel/channel.js';
import { VamosError } from '../../src/protocol/errors.js';
import { Connection } from '../../src/rpc/connector/connection.js';
import type { CallOptions, RpcStream } from '../../src/rpc/contract.js';
import { greet } from '../../src/rpc/connector/handshake.js';
import { FrameStamps } from '../../src/rpc/connector/frame_stamps.js';
import { CallQueue, PendingCall } from '../../src/rpc/connector/pending_call.js';

const WINDOW_BYTES = 1 << 20;

/** A session as its connector left it to its double. */
export interface Left {
  session: Uint8Array;
  /** The stamp of the last request frame that has come to the host; 0: none has. */
  lastStamp: number;
}

/** Stamps that the host forgets, as a host does that was restarted since. */
class NoStamps extends FrameStamps {
  override next(): number {
    return 0;
  }
}

/**
 * A connector that speaks in another one's session, which that one has lost and does not know of. To the host the two are one
 * guest: what the double does is what that guest did before its memory was rolled back to an earlier state, and the other
 * connector is the guest in that state.
 */
export class Double {
  readonly #queue = new CallQueue();

  private constructor(
    private readonly connection: Connection,
    private readonly open: () => Promise<Channel>,
    private readonly session: Uint8Array,
    private readonly epoch: number,
    private readonly stamps: FrameStamps,
  ) {}

  /**
   * @param epoch higher than that of the session which the other connector has lost
   * @param isForgotten the host remembers the commits of this connector, and no frames
   */
  static async connect(
    open: () => Promise<Channel>,
    left: Left,
    epoch: number,
    isForgotten = false,
  ): Promise<Double> {
    const known = left.lastStamp === 0 ? [] : [left.lastStamp];
    const stamps = isForgotten ? new NoStamps(known) : new FrameStamps(known);
    return Double.#connect(open, left.session, epoch, stamps);
  }

  static async #connect(
    open: () => Promise<Channel>,
    session: Uint8Array,
    epoch: number,
    stamps: FrameStamps,
  ): Promise<Double> {
    const greeting = {
      session,
      epoch,
      token: '',
      program: 'double',
      replyWindowBytes: WINDOW_BYTES,
      stamps: stamps.all,
    };
    const channel = await open();
    const connection = await greet(channel, greeting, 60_000, new AbortController().signal, (welcome) => {
      const owner = { onRoom: () => undefined, onEnd: () => undefined };
      return new Connection(channel, welcome, { id: session, stamps }, WINDOW_BYTES, 0, owner);
    });
    return new Double(connection, open, session, epoch, stamps);
  }

  /** A stream with a number that the other connector uses, too. */
  stream(id: number): RpcStream {
    const issue = (
      requests: { method: number; body: Uint8Array }[],
      options: CallOptions,
    ): Promise<Uint8Array[]> =>
      new Promise((resolve, reject) => {
        this.#queue.push(new PendingCall(id, requests, options, resolve, reject));
        this.connection.flush(this.#queue);
      });
    return {
      id,
      epoch: 1,
      renewals: 0,
      session: this.session,
      maxBodyBytes: this.connection.maxFrameBytes,
      call: async (method, body, options = {}) => (await issue([{ method, body }], options))[0]!,
      chain: (requests, options = {}) => issue(requests, options),
    };
  }

  /**
   * Disappears without a word, as a guest does whose memory is rolled back; resolves when the host has
   * noticed it.
   */
  async vanish(): Promise<void> {
    this.#destroy();
    for (;;) {
      try {
        // As long as the host has the session it refuses one that begins anew.
        const unused = await Double.#connect(this.open, this.session, this.epoch, this.stamps);
        unused.#destroy();
        return;
      } catch (error) {
        if (VamosError.from(error).code !== 'SESSION_STALE') throw error;
      }
    }
  }

  #destroy(): void {
    this.connection.channel.destroy();
  }
}
