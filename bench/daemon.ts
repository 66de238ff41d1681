import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../src/native.js';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;

/** The host daemon as its user starts it: a process of its own that serves one guest. */
export class HostDaemon {
  #process: ChildProcess | undefined;

  /** @param logFile gets all that the daemon prints */
  constructor(
    private readonly root: string,
    private readonly channel: string,
    private readonly control: string,
    private readonly logFile?: string,
  ) {}

  /**
   * Returns the process that serves the guest: the supervisor's only child; undefined while there is none.
   */
  async workerPid(): Promise<number | undefined> {
    const pid = this.#process?.pid;
    if (pid === undefined) return undefined;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1').catch(() => '');
    return children === '' ? undefined : Number(children.trim().split(' ')[0]);
  }

  async start(): Promise<void> {
    const cli = path.join(packageRoot, 'dist/entry/cli.js');
    const args = ['host', '--root', this.root, '--channel', this.channel, '--control', this.control];
    const child = spawn(process.execPath, [cli, ...args, '--log-level', 'warn'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // The demo handles Ctrl-C itself, and closes things in their order.
      detached: true,
    });
    this.#process = child;
    if (this.logFile !== undefined) {
      const log = createWriteStream(this.logFile, { flags: 'a' });
      child.stdout.on('data', (chunk: Buffer) => log.write(chunk));
      child.stderr.on('data', (chunk: Buffer) => log.write(chunk));
      child.once('close', () => log.end());
    }
    let output = '';
    const serving = new Promise<void>((resolve, reject) => {
      const take = (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-8000);
        if (/^vamos: serving guest/m.test(output)) resolve();
        else if (/^vamos: serving no/m.test(output))
          reject(new Error(`the daemon serves no guest\n${output}`));
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.once('error', reject);
      child.once('exit', (code) => {
        reject(new Error(`the daemon ended with ${code}\n${output}`));
      });
    });
    const timeout = sleep(START_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw new Error(`the daemon does not serve after ${START_TIMEOUT_MS / 1000} s\n${output}`);
    });
    await Promise.race([serving, timeout]);
  }

  /** Lets the daemon drain, sync and end. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const isInTime = await Promise.race([
      ended.then(() => true),
      sleep(STOP_TIMEOUT_MS, false, { ref: false }),
    ]);
    if (isInTime) return;
    child.kill('SIGKILL');
    await ended;
  }
}
