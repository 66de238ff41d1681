/** A server that starts after a crash, and whose channel fails while it asks the host what is prepared there. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Channel } from '../../../src/channel/channel.js';
import { connectChannel, listenChannel, type Listener } from '../../../src/channel/index.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { Folder } from '../../../lab/daemon/daemon.js';
import { Host } from '../../../lab/mariadb/host.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';

const { COMMIT_PREPARED, LIST_PREPARED } = vamos.tables.Method;

/** Between the server and its host. */
class Between {
  readonly address: string;
  /** Requests for the end of a prepared transaction are lost, and all after them. */
  losesEnds = false;
  /** How many questions for prepared transactions are answered with the end of the channel. */
  cuts = 0;
  #listener: Listener | undefined;
  #hasLost = false;

  constructor(
    folder: Folder,
    private readonly hostAddress: string,
  ) {
    this.address = `unix:${folder.file('between.sock')}`;
  }

  async open(): Promise<void> {
    this.#listener = await listenChannel(this.address, (guest) => void this.#join(guest));
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  async hasLost(): Promise<void> {
    while (!this.#hasLost) await new Promise(setImmediate);
  }

  mend(): void {
    this.losesEnds = this.#hasLost = false;
  }

  async #join(guest: Channel): Promise<void> {
    const host = await connectChannel(this.hostAddress);
    guest.setHandlers({
      onFrame: (kind, body) => {
        const methods = methodsOf(kind, body);
        if (this.losesEnds && methods.includes(COMMIT_PREPARED)) this.#hasLost = true;
        if (this.#hasLost) return;
        if (this.cuts > 0 && methods.includes(LIST_PREPARED)) {
          this.cuts--;
          guest.destroy();
          host.destroy();
          return;
        }
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
}

function methodsOf(kind: vamos.FrameKind, body: Uint8Array): number[] {
  if (kind !== vamos.FrameKind.REQUESTS) return [];
  return vamos.RequestBatch.decode(body).requests.map(({ method }) => method!);
}

const folder = new Folder();
const host = new Host(folder);
const between = new Between(folder, host.channel);
let server: MariadbServer;

beforeAll(async () => {
  await host.start();
  await between.open();
  const args = ['--log-bin=binary', '--server-id=1', `--vamos-channel=${between.address}`];
  server = await MariadbServer.start({ host, args });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await between.close();
  await host[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

test('a server asks again what is prepared when its channel ends before the answer, and commits what its log has', async () => {
  await server.query('CREATE TABLE t (id INT PRIMARY KEY, v INT) ENGINE=VAMOS');
  await server.query('INSERT INTO t VALUES (1, 10)');
  between.losesEnds = true;
  const lost = server.query('UPDATE t SET v = 11').catch(() => undefined);
  await between.hasLost();
  await server.kill();
  await lost;
  between.mend();
  between.cuts = 2;
  await server.start();
  expect(between.cuts).toBe(0);
  expect(server.log).not.toContain('starting without the host daemon');
  expect(await server.query('SELECT v FROM t')).toEqual([{ v: 11 }]);
  // Its locks are gone with it.
  await server.query('SET STATEMENT vamos_lock_wait_timeout = 0 FOR UPDATE t SET v = v + 1');
  expect(await server.query('SELECT v FROM t')).toEqual([{ v: 12 }]);
});
