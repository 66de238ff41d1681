import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Tables } from '../../guest/tables/index.js';
import { openTablesModule, type TablesModuleOptions } from '../../host/modules/tables/module.js';
import { connectChannel } from '../../src/channel/index.js';
import { createLocalPair } from '../../src/channel/local.js';
import { packageRoot } from '../../src/native.js';
import { VamosError } from '../../src/protocol/errors.js';
import { RpcClient, type RpcClientOptions } from '../../src/rpc/connector/client.js';
import type { HostModule } from '../../src/rpc/contract.js';
import { RpcServer } from '../../src/rpc/host/server.js';

/** Where the host half runs: in this process, or in one of its own behind a socket. */
export const MODES = ['unsplit', 'split'] as const;
export type Mode = (typeof MODES)[number];

type Options = Partial<TablesModuleOptions>;

const HOST = path.join(packageRoot, 'dist/test/tables/host-main.js');

/** A host half over a directory of its own, and connectors of it. */
export class Place implements AsyncDisposable {
  readonly #mode: Mode;
  readonly #options: Options;
  readonly #base = mkdtempSync(path.join(os.tmpdir(), 'vamos-tables-'));
  readonly #clients: RpcClient[] = [];
  client!: RpcClient;
  tables!: Tables;
  #module: HostModule | undefined;
  #server: RpcServer | undefined;
  #host: ChildProcess | undefined;

  private constructor(mode: Mode, options: Options) {
    this.#mode = mode;
    this.#options = options;
  }

  static async make(mode: Mode, options: Options = {}): Promise<Place> {
    const place = new Place(mode, options);
    await place.#start();
    await place.#connectFirst();
    return place;
  }

  /** Makes another connector. */
  async connect(options: RpcClientOptions = {}): Promise<RpcClient> {
    const open = () => {
      if (this.#mode === 'split') return connectChannel(this.address);
      const [guestEnd, hostEnd] = createLocalPair();
      this.#server!.accept(hostEnd);
      return Promise.resolve(guestEnd);
    };
    const client = await RpcClient.connect(open, options);
    this.#clients.push(client);
    return client;
  }

  /** Returns the tables on a stream of their own, of this client or of another. */
  stream(client = this.client): Tables {
    return new Tables(client, client.stream());
  }

  async statistics(): Promise<Record<string, number>> {
    if (this.#module) return this.#module.statistics();
    const answer = once(this.#host!, 'message') as Promise<[Record<string, number>]>;
    this.#host!.send('statistics');
    return (await answer)[0];
  }

  /** Waits until the host's counters meet the condition. */
  async until(condition: (statistics: Record<string, number>) => boolean): Promise<void> {
    while (!condition(await this.statistics())) await delay(2);
  }

  /** Returns the number of request frames that the work took. */
  async frames(work: () => Promise<unknown>): Promise<number> {
    const before = this.client.counters.requestFrames;
    await work();
    return this.client.counters.requestFrames - before;
  }

  /** Ends the host half in order, starts it again on the same directory and connects anew. */
  async restart(): Promise<void> {
    await this.#stop();
    await this.#start();
    await this.#connectFirst();
  }

  /**
   * Split only: kills the host's process in the middle of its work, and starts another; connectors stay.
   * @param meanwhile what is done with the host's directory while no process has it
   */
  async kill(meanwhile?: (directory: string) => void): Promise<void> {
    this.#host!.kill('SIGKILL');
    await once(this.#host!, 'exit');
    meanwhile?.(this.#directory);
    await this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    rmSync(this.#base, { recursive: true, force: true });
  }

  /** The address of the host; split only. */
  get address(): string {
    return `unix:${this.#socket}`;
  }

  get #socket(): string {
    return path.join(this.#base, 'socket');
  }

  get #directory(): string {
    return path.join(this.#base, 'tables');
  }

  async #connectFirst(): Promise<void> {
    this.client = await this.connect();
    this.tables = this.stream();
  }

  async #start(): Promise<void> {
    const directory = this.#directory;
    if (this.#mode === 'unsplit') {
      this.#module = await openTablesModule({ ...this.#options, path: directory });
      this.#server = new RpcServer([this.#module]);
      return;
    }
    if (!existsSync(HOST)) throw new Error(`${HOST} is missing: run \`npm run build:ts\``);
    this.#host = fork(HOST, [this.#socket, directory, JSON.stringify(this.#options)]);
    const [message] = (await once(this.#host, 'message')) as [string];
    if (message !== 'ready') throw new Error(message);
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#clients.splice(0).map((client) => client.close()));
    await this.#server?.stop();
    if (this.#host?.exitCode === null && this.#host.signalCode === null) {
      const exited = once(this.#host, 'exit');
      this.#host.send('stop');
      await exited;
    }
  }
}

/** Returns what a call that must fail threw. */
export async function failure(promise: Promise<unknown>): Promise<VamosError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof VamosError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** Returns the code of what a call that must fail threw. */
export async function code(promise: Promise<unknown>): Promise<string> {
  return (await failure(promise)).code;
}
