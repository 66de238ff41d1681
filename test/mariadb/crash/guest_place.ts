import { setTimeout as delay } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import { freePort } from '../../../bench/guest_mariadb.js';
import {
  buildImage,
  buildPayload,
  MARIADB_CHANNEL,
  MARIADB_LOG,
  MARIADB_PORT,
  mariadbPackages,
  startMariadb,
  startVm,
  type Image,
  type Payload,
  type Vm,
} from '../../../host/vm/index.js';
import { FaultyRelay } from '../../channel/faulty_relay.js';
import { Folder } from '../../../lab/daemon/daemon.js';
import { Host } from '../../../lab/mariadb/host.js';
import type { Part, Place, ProcessPart } from './place.js';

const CONNECT_TIMEOUT_MS = 5000;
const SERVER_ARGUMENTS = [
  '--loose-vamos-connect-timeout-ms=60000',
  '--loose-vamos-ping-interval-ms=1000',
  '--innodb-log-file-size=16M',
];
const KILL_SERVER = `for process in $(/usr/lib/vamos/busybox pidof mariadbd); do kill -9 $process; done
while /usr/lib/vamos/busybox pidof mariadbd >/dev/null; do sleep 0.1; done`;

/** The server in a guest under QEMU, over a virtio-serial port; the relay is between QEMU's socket and the host. */
export class GuestPlace implements Place {
  readonly parts = new Set<Part>(['worker', 'supervisor', 'server', 'machine', 'channel']);
  readonly slowness = 10;
  readonly server = undefined;
  readonly relays: FaultyRelay[] = [];
  readonly #folder = new Folder();
  readonly #host: Host;
  readonly #connectorSocket = this.#folder.file('connector.sock');
  #image!: Image;
  #payload!: Payload;
  #port = 0;
  #vm: Vm | undefined;
  #earlierLog = '';

  private constructor(private readonly say: (text: string) => void) {
    const channels = [`virtio-serial:${this.#folder.file('relay0')}`, `unix:${this.#connectorSocket}`];
    this.#host = new Host(this.#folder, {}, undefined, channels);
  }

  static async start(say: (text: string) => void): Promise<GuestPlace> {
    const place = new GuestPlace(say);
    try {
      place.#image = await buildImage({ ...(await mariadbPackages()), onProgress: say });
      place.#payload = await buildPayload();
      place.#port = await freePort();
      const targets = [place.#qemuSocket, place.#connectorSocket];
      for (const [number, target] of targets.entries())
        place.relays.push(await FaultyRelay.open(place.#folder.file(`relay${number}`), target));
      await place.#host.start();
      await place.start('machine');
      return place;
    } catch (error) {
      await place[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #qemuSocket(): string {
    return this.#folder.file('qemu.sock');
  }

  get connectorAddress(): string {
    return `unix:${this.relays[1]!.path}`;
  }

  connect(): Promise<mysql.Connection> {
    return openConnection(this.#port);
  }

  async pid(part: ProcessPart): Promise<number> {
    if (part === 'worker') return this.#host.workerPid();
    return part === 'supervisor' ? this.#host.supervisorPid : this.#vm!.state.pid;
  }

  async kill(part: ProcessPart): Promise<void> {
    if (part === 'worker') await this.#host.killWorker();
    else if (part === 'machine') await this.#vm!.kill();
    else if (part === 'server') await this.#vm!.exec(['sh', '-c', KILL_SERVER]);
    else {
      this.#earlierLog += this.#host.log;
      await this.#host.killSupervisor();
    }
  }

  async start(part: 'supervisor' | 'server' | 'machine'): Promise<void> {
    if (part === 'supervisor') return this.#host.start();
    if (part === 'machine') {
      this.#vm = await startVm({
        image: this.#image,
        payload: this.#payload,
        // The processors belong to a machine that is busy with other things, too.
        bootTimeoutMs: 600_000,
        dataDisk: { path: this.#folder.file('data.img'), sizeMiB: 1024 },
        channels: [{ name: MARIADB_CHANNEL, socketPath: this.#qemuSocket }],
        forwardPorts: [{ host: this.#port, guest: MARIADB_PORT }],
        onProgress: this.say,
      });
    }
    // A server that was killed while it was being started may have begun only after that.
    if (part === 'server') await this.kill('server');
    await startMariadb(this.#vm!, { args: SERVER_ARGUMENTS });
  }

  async dropPort(): Promise<void> {
    await delay(0);
  }

  get log(): string {
    return `host:\n${this.#earlierLog}${this.#host.log}\nthe server's is in the guest: ${MARIADB_LOG}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#vm?.kill();
    for (const relay of this.relays) await relay[Symbol.asyncDispose]();
    await this.#host[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

async function openConnection(port: number): Promise<mysql.Connection> {
  const connection = await mysql.createConnection({
    host: '127.0.0.1',
    port,
    user: 'root',
    database: 'test',
    connectTimeout: CONNECT_TIMEOUT_MS,
  });
  connection.on('error', () => undefined);
  return connection;
}
