import { setTimeout as delay } from 'node:timers/promises';
import type { Channel } from '../../src/channel/channel.js';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { HostModule } from '../../src/rpc/contract.js';
import { RpcServer } from '../../src/rpc/host/server.js';

const { FrameKind } = vamos;
/** The body of the hello that asks for the bare echo; the protocol's own hello never has so few bytes. */
const BARE = Buffer.from('bare');
const RESEND_MS = 100;
const MAX_TRIES = 50;

export const ECHO_METHOD = 0x101;

/** A module whose one method answers with its body. */
const echoModule: HostModule = {
  name: 'echo',
  number: 1,
  openSession: () => ({ handle: (_method, body) => body, close: () => undefined }),
  statistics: () => ({}),
  close: () => Promise.resolve(),
};

/**
 * The host end of the measurement: an RpcServer, or for a connector that asks for it an echo of every frame.
 */
export class EchoHost {
  readonly #server = new RpcServer([echoModule]);

  accept(channel: Channel): void {
    channel.setHandlers({
      onFrame: (kind: vamos.FrameKind, body) => {
        if (kind !== FrameKind.HELLO) channel.send(kind, body);
        else if (Buffer.compare(body, BARE) === 0) channel.send(FrameKind.WELCOME, body);
        // This hello is lost, but a connector says it again until it is welcome.
        else this.#server.accept(channel);
      },
      onClose: () => undefined,
    });
  }

  async stop(): Promise<void> {
    await this.#server.stop();
  }
}

/** The connector end of the bare echo: what the channel does without anything above it. */
export class BareEcho {
  readonly #waiting: (() => void)[] = [];
  readonly #closed: Promise<void>;
  #isWelcome = false;
  #error: VamosError | undefined;

  private constructor(readonly channel: Channel) {
    let onClosed!: () => void;
    this.#closed = new Promise((resolve) => {
      onClosed = resolve;
    });
    channel.setHandlers({
      onFrame: (kind: vamos.FrameKind) => {
        if (kind === FrameKind.WELCOME) this.#isWelcome = true;
        else this.#waiting.shift()?.();
      },
      onClose: (error) => {
        this.#error = error ?? new VamosError('CHANNEL_CLOSED', `${channel.address}: closed`);
        onClosed();
      },
    });
  }

  /** Opens a channel. The host ends one on which rpc was spoken before, so the first attempt may fail. */
  static async open(open: () => Promise<Channel>): Promise<BareEcho> {
    for (let triesLeft = MAX_TRIES; ; triesLeft--) {
      try {
        return await BareEcho.#tryOnce(await open());
      } catch (error) {
        if (triesLeft === 0) throw error;
        await delay(RESEND_MS);
      }
    }
  }

  static async #tryOnce(channel: Channel): Promise<BareEcho> {
    const echo = new BareEcho(channel);
    while (!echo.#isWelcome) {
      if (echo.#error) throw echo.#error;
      channel.send(FrameKind.HELLO, BARE);
      await delay(RESEND_MS);
    }
    return echo;
  }

  roundTrip(body: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.channel.send(FrameKind.REQUESTS, body);
    });
  }

  close(): Promise<void> {
    this.channel.close();
    return this.#closed;
  }
}
