import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../src/native.js';

const HOST = path.join(packageRoot, 'dist/test/client/host-main.js');
/** The program, which is built with the native tests. */
export const LOAD = path.join(packageRoot, process.env.VAMOS_NATIVE_TESTS ?? 'build/test', 'client_load');

export interface Load {
  threads: number;
  /** 0: until `endLoad()`. */
  seconds: number;
  method: number;
  bodyBytes: number;
  timeoutMs: number;
  gatherUs?: number;
}

/** The line that native/test/client/client_load.cpp prints. */
export interface LoadReport {
  answered: number;
  /** Answers that were not the call's own. */
  wrong: number;
  /** Failed calls by the number of their code. */
  errors: Record<string, number>;
  /** How long the longest call took, answered or not. */
  longestMs: number;
  /** When the last answer came, after the beginning. */
  lastAnswerMs: number;
  requestsPerFrame: number;
  reconnects: number;
}

/** A socket in a folder of its own, hosts that serve the probe module there, and a native program that calls them. */
export class Place implements AsyncDisposable {
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'vamos-client-'));
  readonly #hosts: ChildProcess[] = [];
  readonly #called = new Map<ChildProcess, Promise<unknown>>();
  #load: ChildProcess | undefined;

  get socket(): string {
    return path.join(this.#folder, 'socket');
  }

  async startHost(): Promise<ChildProcess> {
    const host = fork(HOST, [this.socket]);
    this.#hosts.push(host);
    await once(host, 'message');
    this.#called.set(host, once(host, 'message'));
    return host;
  }

  /** Settles when the host has answered a call. */
  async waitUntilCalled(host: ChildProcess): Promise<void> {
    await this.#called.get(host);
  }

  async killHost(host: ChildProcess): Promise<void> {
    const ended = once(host, 'exit');
    host.kill('SIGKILL');
    await ended;
  }

  load({ threads, seconds, method, bodyBytes, timeoutMs, gatherUs = 0 }: Load): Promise<LoadReport> {
    if (!existsSync(LOAD)) throw new Error(`${LOAD} is not built: npm test -- --only native`);
    const args = [threads, seconds, method, bodyBytes, timeoutMs, gatherUs].map(String);
    return new Promise((resolve, reject) => {
      this.#load = execFile(LOAD, [`unix:${this.socket}`, ...args], (error, stdout, stderr) => {
        if (error) reject(new Error(`client_load: ${error.message}\n${stderr}`));
        else resolve(JSON.parse(stdout) as LoadReport);
      });
    });
  }

  /** Ends the load of 0 seconds that was begun last. */
  endLoad(): void {
    this.#load!.stdin!.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts)
      if (host.exitCode === null && host.signalCode === null) await this.killHost(host);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
