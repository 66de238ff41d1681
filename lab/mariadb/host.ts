import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { Report } from '../../host/daemon/messages.js';
import { Daemon, until, type Folder } from '../daemon/daemon.js';

const GUEST = 'mariadb';

/** VAMOS_TEST_CACHE_BYTES: hosts keep rows in a cache of this size. */
function cacheLimit(): { cacheBytes?: number } {
  const bytes = process.env['VAMOS_TEST_CACHE_BYTES'];
  return bytes === undefined ? {} : { cacheBytes: Number(bytes) };
}

/** The host's side of a private server: a real daemon over a folder, with one guest whose channel is a UNIX socket. */
export class Host implements AsyncDisposable {
  readonly channel: string;
  readonly root: string;
  readonly #folder: Folder;
  #daemon: Daemon | undefined;

  /**
   * @param limits the guest's limits, as in the daemon's configuration
   * @param token the token that connectors must give
   * @param channels the guest's channels, if not one UNIX socket in the folder; the server uses the first
   */
  constructor(
    folder: Folder,
    limits: Record<string, string | number> = {},
    token?: string,
    channels = [`unix:${folder.file('channel.sock')}`],
  ) {
    this.#folder = folder;
    this.channel = channels[0]!;
    this.root = folder.file('host');
    const guest = {
      root: this.root,
      channels,
      limits: { ...cacheLimit(), ...limits },
      ...(token !== undefined && { token }),
    };
    // A killed worker comes back immediately, as often as a test kills it.
    const restart = { firstMs: 10, longestMs: 50, failedMs: 200 };
    writeFileSync(folder.file('host.yaml'), stringify({ restart, guests: { [GUEST]: guest } }));
  }

  async start(): Promise<void> {
    this.#daemon = await Daemon.start(this.#folder, [
      '--config',
      this.#folder.file('host.yaml'),
      '--log-level',
      'warn',
    ]);
    await this.workerPid();
  }

  /** Lets the daemon drain, sync and end. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    daemon?.process.kill('SIGTERM');
    await daemon?.exited;
  }

  /** Kills the daemon and its worker (SIGKILL); nothing serves until `start`. */
  async kill(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (!daemon) return;
    const workers = childrenOf(daemon.process.pid!);
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    await Promise.all(workers.map(killed));
  }

  /** Kills the daemon alone (SIGKILL); its worker ends by itself. Nothing serves until `start`. */
  async killSupervisor(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    daemon?.process.kill('SIGKILL');
    await daemon?.exited;
  }

  /** The process id of the daemon itself. */
  get supervisorPid(): number {
    const pid = this.#daemon?.process.pid;
    if (pid === undefined) throw new Error('the host does not run');
    return pid;
  }

  /** Kills the worker alone (SIGKILL); the daemon starts another one by itself. */
  async killWorker(): Promise<void> {
    await killed(await this.workerPid());
  }

  /** Returns the process id of the worker, once it serves. */
  async workerPid(): Promise<number> {
    const daemon = this.#daemon;
    if (!daemon) throw new Error('the host does not run');
    const { pid } = await until(async () => {
      const guest = await daemon.serving(GUEST);
      return isRunning(guest.pid) && guest;
    });
    return pid;
  }

  /** Returns what the worker counts of its tables, now. */
  async counters(): Promise<Record<string, number>> {
    return (await this.#report()).modules.tables!;
  }

  /** Returns how many requests of all sessions run. */
  async running(): Promise<number> {
    const { sessions } = (await this.#report()).server;
    return sessions.reduce((sum, { running }) => sum + running, 0);
  }

  /** Returns the worker's counters. There are none where it does not serve, or is slow to answer. */
  #report(): Promise<Report> {
    const daemon = this.#daemon;
    if (!daemon) throw new Error('the host does not run');
    return until(async () => (await daemon.guest(GUEST)).report);
  }

  /** What daemon and worker logged, as JSON lines, since the last start. */
  get log(): string {
    return this.#daemon?.stderr ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

function childrenOf(pid: number): number[] {
  if (!isRunning(pid)) return [];
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

/**
 * Says whether a process runs. A dead process whose parent died, too, may wait long to be collected; it
 * counts as ended.
 */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

async function killed(pid: number): Promise<void> {
  if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  while (isRunning(pid)) await delay(2);
}
