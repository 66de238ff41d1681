import { Tables } from '../../guest/tables/index.js';
import type { Channel } from '../../src/channel/channel.js';
import { connectChannel } from '../../src/channel/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import type { RpcStream } from '../../src/rpc/contract.js';
import type { Place } from './place.js';

const { HELLO, REQUESTS } = vamos.FrameKind;

/** A connector whose frames get lost when the test says so, and that connects again only when it may. */
export class SilentGuest {
  client!: RpcClient;
  tables!: Tables;
  stream!: RpcStream;
  /** The session's bytes in its last hello. */
  session: Uint8Array = new Uint8Array();
  /** The stamp of its last frame of requests that was not lost. */
  lastStamp = 0;
  readonly #place: Place;
  #channel!: Channel;
  #isDeaf = false;
  #lost = 0;
  #gate: Promise<void> = Promise.resolve();
  #openGate = (): void => undefined;

  private constructor(place: Place) {
    this.#place = place;
  }

  static async start(place: Place): Promise<SilentGuest> {
    const guest = new SilentGuest(place);
    guest.client = await RpcClient.connect(() => guest.#open());
    guest.stream = guest.client.stream();
    guest.tables = new Tables(guest.client, guest.stream);
    return guest;
  }

  /**
   * From here on all that it sends is lost, as for a guest that speaks in a state which the host has left
   * behind.
   */
  fallSilent(): void {
    this.#isDeaf = true;
    this.#gate = new Promise((resolve) => {
      this.#openGate = resolve;
    });
  }

  /** Waits until it has sent this many frames of requests in vain. */
  async hasSent(count: number): Promise<void> {
    while (this.#lost < count) await new Promise(setImmediate);
  }

  loseConnection(): void {
    this.#channel.destroy();
  }

  /** Lets it connect again. */
  comeBack(): void {
    this.#isDeaf = false;
    this.#openGate();
  }

  async #open(): Promise<Channel> {
    await this.#gate;
    const channel = await connectChannel(this.#place.address);
    const send = channel.send.bind(channel);
    channel.send = (kind, body) => {
      if (kind === Number(HELLO)) this.session = vamos.Hello.decode(body).session;
      if (kind === Number(REQUESTS)) {
        if (this.#isDeaf) this.#lost++;
        else this.lastStamp = vamos.RequestBatch.decode(body).stamp;
      }
      return this.#isDeaf || send(kind, body);
    };
    this.#channel = channel;
    return channel;
  }
}
