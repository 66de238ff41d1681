import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Vamos } from '../../entry/guest.js';
import { askControl } from '../../host/daemon/control.js';
import type { DaemonStatus } from '../../host/daemon/daemon.js';
import type { GuestReport } from '../../host/daemon/supervisor.js';
import { packageRoot } from '../../src/native.js';
import { VamosError } from '../../src/protocol/errors.js';

const CLI = path.join(packageRoot, 'dist/entry/cli.js');

/** The outcome of a finished `vamos ...` command. */
export interface Run {
  code: number | string | null;
  stdout: string;
  stderr: string;
}

export function vamos(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { timeout: 100_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal ?? null) : 0, stdout, stderr });
    });
  });
}

/** Polls until the condition returns something true; the test's own timeout bounds it. */
export async function until<Value>(
  condition: () => Value | false | undefined | Promise<Value | false | undefined>,
): Promise<Value> {
  for (;;) {
    const value = await condition();
    if (value) return value;
    await delay(20);
  }
}

/** Codes that a connector may end with only because it had little time. */
const MAY_COME_LATER: readonly unknown[] = ['NO_WELCOME', 'CHANNEL_ABSENT', 'CHANNEL_CLOSED', 'SESSION_LOST'];

/**
 * Opens a connector whose calls wait this long for a session once it has had one; the first session may take
 * the time it needs.
 */
export function connectImpatient(address: string, connectTimeoutMs: number): Promise<Vamos> {
  return until(() =>
    connect(address, { connectTimeoutMs }).catch((error: unknown) => {
      if (!(error instanceof VamosError && MAY_COME_LATER.includes(error.code))) throw error;
      return undefined;
    }),
  );
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A temporary folder with a path short enough for sockets; `[Symbol.dispose]` removes it. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(path.join(os.tmpdir(), 'vamos-'));

  file(name: string): string {
    return path.join(this.path, name);
  }

  [Symbol.dispose](): void {
    // It is tried again where a process that is ending has just made a file there.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

/**
 * A real daemon process with its control socket in `folder`. `[Symbol.asyncDispose]` kills it and its
 * workers.
 */
export class Daemon implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly control: string;
  stdout = '';
  stderr = '';
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #pids = new Set<number>();

  constructor(folder: Folder, args: string[]) {
    this.control = folder.file('control.sock');
    this.process = spawn(process.execPath, [CLI, 'host', '--control', this.control, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = new Promise((resolve) =>
      this.process.once('exit', (code, signal) => resolve({ code, signal })),
    );
  }

  /** Starts a daemon, and waits until it has tried to start all its guests. */
  static async start(folder: Folder, args: string[]): Promise<Daemon> {
    const daemon = new Daemon(folder, args);
    await until(() => {
      if (daemon.process.exitCode !== null) throw new Error(`the daemon ended: ${daemon.stderr}`);
      return daemon.stdout.includes('vamos: serving');
    });
    return daemon;
  }

  /** Log lines so far. */
  get log(): Record<string, unknown>[] {
    return this.stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async status(): Promise<DaemonStatus> {
    const status = (await askControl(this.control, { command: 'status' })) as DaemonStatus;
    for (const { pid } of status.guests) if (pid !== undefined) this.#pids.add(pid);
    return status;
  }

  async guest(name: string): Promise<GuestReport> {
    const guest = (await this.status()).guests.find((each) => each.name === name);
    if (!guest) throw new Error(`no guest ${name}`);
    return guest;
  }

  /** Returns the guest once its worker reports its counters, which it must within a moment. */
  reporting(name: string): Promise<Required<Pick<GuestReport, 'report'>>> {
    return until(async () => {
      const { report } = await this.guest(name);
      return report && { report };
    });
  }

  /** Returns the guest once it serves. */
  serving(name: string): Promise<GuestReport & { pid: number }> {
    return until(async () => {
      const guest = await this.guest(name);
      return guest.state === 'serving' && guest.pid !== undefined ? { ...guest, pid: guest.pid } : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const { pid } = this.process;
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ');
      for (const child of children.filter((text) => text !== '')) this.#pids.add(Number(child));
      this.process.kill('SIGKILL');
      await this.exited;
    }
    // Workers whose supervisor is gone stop by themselves.
    await until(() => ![...this.#pids].some(isAlive));
  }
}
