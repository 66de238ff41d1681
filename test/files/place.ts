import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Files } from '../../guest/files/index.js';
import { openFilesModule, type FilesModuleOptions } from '../../host/modules/files/module.js';
import { connectChannel } from '../../src/channel/index.js';
import { createLocalPair } from '../../src/channel/local.js';
import { packageRoot } from '../../src/native.js';
import { RpcClient, type RpcClientOptions } from '../../src/rpc/connector/client.js';
import type { HostModule, RpcStream } from '../../src/rpc/contract.js';
import { RpcServer } from '../../src/rpc/host/server.js';

/** Where the host half runs: in this process, or in one of its own behind a socket. */
export const MODES = ['unsplit', 'split'] as const;
export type Mode = (typeof MODES)[number];

const HOST = path.join(packageRoot, 'dist/test/files/host-main.js');

/** A guest's files and the host's directory that they are in, with a secret outside of it. */
export class Place implements AsyncDisposable {
  readonly base = mkdtempSync(path.join(os.tmpdir(), 'vamos-files-'));
  readonly root = path.join(this.base, 'root');
  client!: RpcClient;
  stream!: RpcStream;
  files!: Files;
  /** Set only in unsplit mode. */
  module: HostModule | undefined;
  #server: RpcServer | undefined;
  #host: ChildProcess | undefined;

  private constructor(readonly maxHandles: number) {}

  static async make(
    mode: Mode,
    options: Partial<FilesModuleOptions> & RpcClientOptions = {},
  ): Promise<Place> {
    const place = new Place(options.maxHandles ?? 1024);
    mkdirSync(place.root);
    const open = mode === 'unsplit' ? await place.#serveHere() : await place.#serveBeside();
    place.client = await RpcClient.connect(open, options);
    place.stream = place.client.stream();
    place.files = new Files(place.stream);
    return place;
  }

  /** Returns the path on the host. */
  on(...names: string[]): string {
    return path.join(this.root, ...names);
  }

  /** Returns the number of request frames that the work took. */
  async frames(work: () => Promise<unknown>): Promise<number> {
    const before = this.client.counters.requestFrames;
    await work();
    return this.client.counters.requestFrames - before;
  }

  /** Kills the host's process in the middle of its work, and starts another. */
  async restartHost(): Promise<void> {
    const host = this.#host!;
    host.kill('SIGKILL');
    await once(host, 'exit');
    await this.#fork();
  }

  async #serveHere(): Promise<() => Promise<ReturnType<typeof createLocalPair>[0]>> {
    this.module = await openFilesModule({ root: this.root, maxHandles: this.maxHandles });
    const server = new RpcServer([this.module]);
    this.#server = server;
    return () => {
      const [guestEnd, hostEnd] = createLocalPair();
      server.accept(hostEnd);
      return Promise.resolve(guestEnd);
    };
  }

  async #serveBeside(): Promise<() => ReturnType<typeof connectChannel>> {
    await this.#fork();
    return () => connectChannel(`unix:${this.#socket}`);
  }

  get #socket(): string {
    return path.join(this.base, 'socket');
  }

  async #fork(): Promise<void> {
    if (!existsSync(HOST)) throw new Error(`${HOST} is missing: run \`npm run build:ts\``);
    this.#host = fork(HOST, [this.#socket, this.root, `${this.maxHandles}`]);
    const [answer] = (await Promise.race([
      once(this.#host, 'message'),
      once(this.#host, 'exit'),
    ])) as unknown[];
    if (answer !== 'ready') throw new Error(`the host process ended with ${String(answer)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.#server?.stop();
    if (this.#host && this.#host.exitCode === null && this.#host.signalCode === null) {
      this.#host.kill('SIGKILL');
      await once(this.#host, 'exit');
    }
    rmSync(this.base, { recursive: true, force: true });
  }
}

/** Returns what a call that must fail threw, with the fields that Node's errors have. */
export async function failure(promise: Promise<unknown>): Promise<NodeJS.ErrnoException & { dest?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  throw new Error('it did not fail');
}
