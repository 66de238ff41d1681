import type { Channel } from '../../src/channel/channel.js';
import { connectChannel, listenChannel, type Listener } from '../../src/channel/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { Folder } from '../../lab/daemon/daemon.js';

const { HELLO, REQUESTS } = vamos.FrameKind;
const WRITES: ReadonlySet<number> = new Set([vamos.tables.Method.INSERT, vamos.tables.Method.UPDATE]);

export interface LastPrepared {
  stream: number;
  xid: Buffer;
}

export interface LastWrite {
  stream: number;
  commitNumber: number;
}

/**
 * Stands between the server and its host: hands frames on, or loses those of the server, as the test says.
 */
export class Between {
  session: Uint8Array = new Uint8Array();
  epoch = 0;
  /** The stamp of the last frame of requests that was handed on. */
  lastStamp = 0;
  /** The last write that committed by itself, or should have. */
  lastWrite: LastWrite | undefined;
  /** The last transaction that was prepared, or should have been. */
  lastPrepared: LastPrepared | undefined;
  /** How many commits of rows, and preparations, were lost. */
  lost = 0;
  readonly address: string;
  readonly #hostAddress: string;
  #listener: Listener | undefined;
  #isDeaf = false;
  #losesWrite = false;
  readonly #channels = new Set<Channel>();

  constructor(folder: Folder, hostAddress: string) {
    this.address = `unix:${folder.file('between.sock')}`;
    this.#hostAddress = hostAddress;
  }

  async open(): Promise<void> {
    this.#listener = await listenChannel(this.address, (guest) => void this.#join(guest));
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    this.cut();
  }

  fallSilent(): void {
    this.#isDeaf = true;
    this.lost = 0;
  }

  /** Hands frames on until one comes that has such a write; it is lost, and so is all that follows. */
  fallSilentAtWrite(): void {
    this.#losesWrite = true;
    this.lost = 0;
  }

  cut(): void {
    for (const channel of this.#channels) channel.destroy();
    this.#channels.clear();
  }

  comeBack(): void {
    this.#isDeaf = false;
  }

  async hasLost(): Promise<void> {
    while (this.lost === 0) await new Promise(setImmediate);
  }

  async #join(guest: Channel): Promise<void> {
    if (this.#isDeaf) {
      guest.destroy();
      return;
    }
    // While the host is away the server tries again.
    const host = await connectChannel(this.#hostAddress).catch(() => undefined);
    if (!host) {
      guest.destroy();
      return;
    }
    this.#channels.add(guest).add(host);
    guest.setHandlers({
      onFrame: (kind, body) => {
        this.#note(kind, body);
        if (this.#isDeaf) return;
        if (kind === Number(REQUESTS)) this.lastStamp = vamos.RequestBatch.decode(body).stamp;
        host.send(kind, body);
      },
      onClose: () => {
        host.close();
      },
    });
    host.setHandlers({
      onFrame: (kind, body) => {
        guest.send(kind, body);
      },
      onClose: () => {
        guest.close();
      },
    });
  }

  #note(kind: vamos.FrameKind, body: Uint8Array): void {
    if (kind === HELLO) ({ session: this.session, epoch: this.epoch } = vamos.Hello.decode(body));
    if (kind !== REQUESTS) return;
    for (const { method, stream, body: write } of vamos.RequestBatch.decode(body).requests) {
      if (method === vamos.tables.Method.PREPARE) {
        this.lastPrepared = { stream: stream!, xid: Buffer.from(vamos.tables.Prepare.decode(write!).xid) };
        if (this.#isDeaf) this.lost++;
      }
      if (!WRITES.has(method!)) continue;
      const commitNumber = Number(vamos.tables.Write.decode(write!).scope?.commitNumber ?? 0);
      if (commitNumber === 0) continue;
      this.lastWrite = { stream: stream!, commitNumber };
      if (this.#losesWrite) this.#isDeaf = true;
      this.#losesWrite = false;
      if (this.#isDeaf) this.lost++;
    }
  }
}
