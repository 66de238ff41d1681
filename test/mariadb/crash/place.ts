import type mysql from 'mysql2/promise';
import { ChardevRelay } from '../../channel/chardev_relay.js';
import { FaultyRelay } from '../../channel/faulty_relay.js';
import { Folder } from '../../../lab/daemon/daemon.js';
import { Host } from '../../../lab/mariadb/host.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';

/** A place in which faults can happen: a server, its host, and what is between them. */
export interface Place extends AsyncDisposable {
  /** The parts that can suffer faults in this place. */
  readonly parts: ReadonlySet<Part>;
  /** The relays in the way of the connectors' channels. */
  readonly relays: readonly FaultyRelay[];
  connect(): Promise<mysql.Connection>;
  /** Where a connector beside the server finds the host, if it can. */
  readonly connectorAddress: string | undefined;
  pid(part: ProcessPart): Promise<number>;
  /** Kills a part (SIGKILL). The supervisor starts the worker again; `start` starts the others. */
  kill(part: ProcessPart): Promise<void>;
  /** Starts a part; a machine starts with the server in it. */
  start(part: Exclude<ProcessPart, 'worker'>): Promise<void>;
  /** Drops QEMU's end of the server's channel, as when the machine is reset. */
  dropPort(): Promise<void>;
  /** How many times as long it may take as a process of this machine. */
  readonly slowness: number;
  /** What server and host logged. */
  readonly log: string;
  /** The server, if it is a process on this machine with data of its own here. */
  readonly server: MariadbServer | undefined;
}

export type ProcessPart = 'worker' | 'supervisor' | 'server' | 'machine';
export type Part = ProcessPart | 'channel' | 'port';

export interface PlaceOptions {
  binaryLog: boolean;
  /** The server's channel goes through something like QEMU's character device, not straight to the host's socket. */
  port: boolean;
  /** Statements give up early, so that more outcomes are unknown. */
  impatient: boolean;
}

const BINARY_LOG = ['--log-bin=binlog', '--server-id=1', '--sync-binlog=1', '--binlog-format=ROW'];
const IMPATIENT = [
  '--loose-vamos-connect-timeout-ms=700',
  '--loose-vamos-request-timeout-ms=500',
  '--loose-vamos-ping-interval-ms=200',
];

/** The server and its host as processes of this machine, with relays between them. */
export class LocalPlace implements Place {
  readonly #folder = new Folder();
  readonly #relays: FaultyRelay[] = [];
  readonly slowness = 1;
  readonly parts = new Set<Part>(['worker', 'supervisor', 'server', 'channel']);
  #chardev: ChardevRelay | undefined;
  #host!: Host;
  #server: MariadbServer | undefined;
  #earlierLog = '';

  static async start(options: PlaceOptions): Promise<LocalPlace> {
    const place = new LocalPlace();
    try {
      await place.#start(options);
      return place;
    } catch (error) {
      await place[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start({ binaryLog, port, impatient }: PlaceOptions): Promise<void> {
    const folder = this.#folder;
    const sockets = [folder.file('server.sock'), folder.file('connector.sock')] as const;
    if (port) {
      this.#chardev = await ChardevRelay.open(folder.path);
      this.parts.add('port');
    }
    const channel = this.#chardev ? `virtio-serial:${this.#chardev.hostPath}` : `unix:${sockets[0]}`;
    this.#host = new Host(folder, {}, undefined, [channel, `unix:${sockets[1]}`]);
    await this.#host.start();
    const targets = [this.#chardev?.portPath ?? sockets[0], sockets[1]];
    for (const [number, target] of targets.entries())
      this.#relays.push(await FaultyRelay.open(folder.file(`relay${number}`), target));
    this.#server = await MariadbServer.start({
      host: this.#host,
      args: [
        `--loose-vamos-channel=unix:${this.#relays[0]!.path}`,
        '--loose-vamos-ping-interval-ms=500',
        ...(impatient ? IMPATIENT : []),
        ...(binaryLog ? BINARY_LOG : []),
      ],
    });
  }

  get relays(): readonly FaultyRelay[] {
    return this.#relays;
  }

  get server(): MariadbServer {
    return this.#server!;
  }

  get connectorAddress(): string {
    return `unix:${this.#relays[1]!.path}`;
  }

  connect(): Promise<mysql.Connection> {
    return this.server.connect();
  }

  async pid(part: ProcessPart): Promise<number> {
    if (part === 'server') return this.server.pid;
    return part === 'supervisor' ? this.#host.supervisorPid : await this.#host.workerPid();
  }

  async kill(part: ProcessPart): Promise<void> {
    if (part === 'server') await this.server.kill();
    else if (part === 'worker') await this.#host.killWorker();
    else {
      this.#earlierLog += this.#host.log;
      await this.#host.killSupervisor();
    }
  }

  async start(part: Exclude<ProcessPart, 'worker'>): Promise<void> {
    if (part === 'server') await this.server.start();
    else await this.#host.start();
  }

  async dropPort(): Promise<void> {
    await this.#chardev?.dropHost();
  }

  get log(): string {
    return `mariadbd:\n${this.#server?.log ?? ''}\nhost:\n${this.#earlierLog}${this.#host.log}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    for (const relay of this.#relays) await relay[Symbol.asyncDispose]();
    await this.#host?.[Symbol.asyncDispose]();
    await this.#chardev?.close();
    this.#folder[Symbol.dispose]();
  }
}
