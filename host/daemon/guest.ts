import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import { ErrorCode, VamosError, type ErrorName } from '../../src/protocol/errors.js';
import { formatBytes, type Configuration, type GuestConfiguration } from './configuration.js';
import type { Hold } from '../backup/checkpoint.js';
import { fromWorkerSchema, type FromWorker, type Report, type ToWorker } from './messages.js';
import type { StoreReport, VerifyOptions, VerifyProgress } from '../modules/tables/verify.js';
import { resolveUser } from './user.js';
import type { RepairReport } from '../modules/tables/binding.js';
import { makeFolder } from '../make_folder.js';

/**
 * What a guest's worker does. starting: it opens the root. serving. waiting: it ended without being asked, or
 * because its store could not write (then there is an error), and is started again soon. failed: the root or
 * a channel can't be opened, which is tried again from time to time. repairing: a process looks at the
 * damaged root, as asked. stopping and stopped: as asked.
 */
export type GuestState = 'starting' | 'serving' | 'waiting' | 'failed' | 'repairing' | 'stopping' | 'stopped';

export interface GuestStatus {
  name: string;
  state: GuestState;
  /** The process id of the worker, while there is one. */
  pid?: number;
  root: string;
  channels: string[];
  /** Worker starts beyond the first. */
  restarts: number;
  /** The ISO time at which the state began. */
  since: string;
  lastExit?: { at: string; reason: string };
  error?: { code: string; message: string };
}

/** The daemon's settings that a guest's process management follows. */
export type GuestSettings = Pick<Configuration, 'restart' | 'stopMs' | 'logLevel'>;

const REPORT_TIMEOUT_MS = 2000;
const MEMORY_CHECK_MS = 1000;
/**
 * The size of a worker's young generation. Requests and replies stand in memory beside the heap, which V8
 * gives back when it has collected the young generation. With its usual 16 MiB so much gathers until then
 * that V8 collects the whole heap instead, again and again: scans of 100 rows cost the worker a third less
 * processor time with 2 MiB.
 */
const SEMI_SPACE_MEBIBYTES = 2;
const PAGE_BYTES = 4096;

/** A promise with its resolve and reject. */
class Settlement {
  resolve!: () => void;
  reject!: (error: VamosError) => void;
  readonly promise = new Promise<void>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

/** One guest. Keeps one worker process running for it. */
export class Guest {
  #state: GuestState = 'stopped';
  #since = new Date();
  #worker: ChildProcess | undefined;
  #starts = 0;
  /** How often the worker has ended in a row without having been healthy for a while. */
  #failures = 0;
  #error: VamosError | undefined;
  #lastExit: { at: Date; reason: string } | undefined;
  /** Why we killed the worker, if we did. */
  #killReason: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reports = new Map<number, (report: Report | undefined) => void>();
  /** Questions that the worker has not answered, by id. */
  #asked = new Map<
    number,
    {
      resolve: (answer: FromWorker) => void;
      reject: (error: VamosError) => void;
      onProgress: ((progress: VerifyProgress) => void) | undefined;
    }
  >();
  #nextId = 1;
  #repair: Promise<RepairReport> | undefined;
  #settled = new Settlement();
  #stopped = new Settlement();

  constructor(
    readonly name: string,
    readonly configuration: GuestConfiguration,
    private readonly settings: GuestSettings,
    private readonly log: Logger,
  ) {
    this.#settled.promise.catch(() => undefined);
  }

  /**
   * Starts the worker. Resolves once it serves; rejects if this first attempt failed (it is started again all
   * the same).
   */
  start(): Promise<void> {
    this.#launch();
    return this.#settled.promise;
  }

  /** Lets the worker drain, sync and close; kills it after the configured bound. */
  async stop(): Promise<void> {
    await this.#repair?.catch(() => undefined);
    if (this.#state === 'stopped') return;
    if (this.#state !== 'stopping') {
      clearTimeout(this.#timer);
      this.#settled.reject(new VamosError('HOST_STOPPING', `guest ${this.name} is being stopped`));
      this.#setState('stopping');
      if (!this.#worker) this.#end();
      else {
        this.#send({ kind: 'stop' });
        this.#timer = setTimeout(() => {
          this.#kill(`did not stop within ${this.settings.stopMs} ms`);
        }, this.settings.stopMs + 500);
      }
    }
    await this.#stopped.promise;
  }

  /**
   * Says what the damaged root of this guest, which is refused, has lost; with acceptLoss the root is served
   * again without that.
   * @throws VamosError BAD_REQUEST where the guest is not refused
   */
  async repair(acceptLoss: boolean): Promise<RepairReport> {
    // An attempt that is under way ends soon, with success or failure.
    while (this.#state === 'starting' && this.#worker) {
      await Promise.race([once(this.#worker, 'exit'), once(this.#worker, 'message')]);
    }
    if (this.#state !== 'failed' || this.#repair) {
      throw new VamosError(
        'BAD_REQUEST',
        `guest ${this.name} is ${this.#state}: only one that failed is repaired`,
      );
    }
    clearTimeout(this.#timer);
    this.#setState('repairing');
    this.#repair = runRepair(this.name, this.configuration, acceptLoss);
    let isRepaired = false;
    try {
      const report = await this.#repair;
      isRepaired = report.damage === '' || report.keptIn !== '';
      if (report.keptIn !== '') this.log.warn(report, 'guest: the loss of commits was accepted');
      return report;
    } finally {
      this.#repair = undefined;
      this.#setState('failed');
      if (isRepaired) this.#launch();
      else this.#again(this.settings.restart.failedMs);
    }
  }

  /** Returns the worker's counters; undefined where it doesn't serve or doesn't answer in time. */
  report(): Promise<Report | undefined> {
    if (this.#state !== 'serving') return Promise.resolve(undefined);
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#takeReport(id, undefined), REPORT_TIMEOUT_MS);
      this.#reports.set(id, (report) => {
        clearTimeout(timer);
        resolve(report);
      });
      this.#send({ kind: 'report', id });
    });
  }

  /**
   * Keeps the files of the guest's tables as they are at one moment.
   * @throws VamosError
   */
  async hold(): Promise<Hold> {
    const worker = this.#serving();
    const lost = new AbortController();
    worker.once('exit', () => lost.abort(this.#workerEnded()));
    const answer = await this.#ask((id) => ({ kind: 'hold', id }));
    if (answer.kind !== 'held') throw new VamosError('INTERNAL', 'the worker held no files');
    return {
      files: answer.files,
      lost: lost.signal,
      // A worker that has ended holds no files.
      release: async () => {
        if (!lost.signal.aborted) await this.#ask((id) => ({ kind: 'release', id })).catch(() => undefined);
      },
    };
  }

  /**
   * Reads all that the guest's tables hold, while the guest goes on.
   * @throws VamosError
   */
  async verify({ bytesPerSecond, signal, onProgress }: VerifyOptions): Promise<StoreReport> {
    let id = 0;
    const asked = this.#ask((number) => ({ kind: 'verify', id: (id = number), bytesPerSecond }), onProgress);
    const cancel = () => this.#send({ kind: 'cancel', id });
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const answer = await asked;
      if (answer.kind !== 'verified') throw new VamosError('INTERNAL', 'the worker verified nothing');
      return answer.report;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /**
   * Returns the worker.
   * @throws VamosError BAD_REQUEST: no worker serves
   */
  #serving(): ChildProcess {
    if (this.#state === 'serving' && this.#worker) return this.#worker;
    const why = this.#error ? ` (${this.#error.code}: ${this.#error.message})` : '';
    throw new VamosError(
      'BAD_REQUEST',
      `guest ${this.name} is ${this.#state}${why}: this takes one that serves`,
    );
  }

  #workerEnded(): VamosError {
    return new VamosError('HOST_STOPPING', `the worker of guest ${this.name} ended meanwhile; try again`);
  }

  async #ask(
    message: (id: number) => ToWorker,
    onProgress?: (progress: VerifyProgress) => void,
  ): Promise<FromWorker> {
    this.#serving();
    const id = this.#nextId++;
    return await new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject, onProgress });
      this.#send(message(id));
    });
  }

  status(): GuestStatus {
    const pid = this.#worker?.pid;
    return {
      name: this.name,
      state: this.#state,
      ...(pid === undefined ? {} : { pid }),
      root: this.configuration.root,
      channels: this.configuration.channels.map(({ address }) => address),
      restarts: Math.max(0, this.#starts - 1),
      since: this.#since.toISOString(),
      ...(this.#lastExit && {
        lastExit: { at: this.#lastExit.at.toISOString(), reason: this.#lastExit.reason },
      }),
      ...(this.#error && { error: { code: this.#error.code, message: this.#error.message } }),
    };
  }

  #launch(): void {
    this.#starts += 1;
    this.#error = undefined;
    this.#killReason = undefined;
    this.#setState('starting');
    try {
      this.#worker = forkWorker(this.name, this.configuration);
    } catch (error) {
      this.#fail(VamosError.from(error));
      this.#setState('failed');
      this.#again(this.settings.restart.failedMs);
      return;
    }
    const worker = this.#worker;
    worker.on('message', (message) => this.#receive(message));
    worker.on('error', (error) => this.log.error({ error: error.message }, 'worker: process trouble'));
    // 'close' would wait for the programs that inherited its stderr.
    worker.once('exit', (code, signal) => this.#exited(code, signal));
    if (worker.pid === undefined) {
      // The fork itself failed; 'error' says why, and no exit will follow.
      this.#exited(null, null);
      return;
    }
    this.#send({
      kind: 'start',
      name: this.name,
      guest: this.configuration,
      logLevel: this.settings.logLevel,
      stopMs: this.settings.stopMs,
    });
    const memoryCheck = setInterval(() => this.#checkMemory(), MEMORY_CHECK_MS);
    worker.once('exit', () => clearInterval(memoryCheck));
  }

  #receive(value: unknown): void {
    const { success, data: message } = fromWorkerSchema.safeParse(value);
    if (!success || message.kind === 'repaired') {
      this.#kill('sent the supervisor what it does not understand');
    } else if (message.kind === 'report') {
      this.#takeReport(message.id, message.report);
    } else if (message.kind === 'failed') {
      this.#fail(errorOf(message));
    } else if (message.kind === 'progress') {
      this.#asked.get(message.id)?.onProgress?.(message.progress);
    } else if (message.kind !== 'serving') {
      const asked = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (message.kind === 'refused') asked?.reject(errorOf(message));
      else asked?.resolve(message);
    } else if (this.#state === 'starting') {
      this.#setState('serving');
      this.#settled.resolve();
      this.log.info({ worker: this.#worker?.pid }, 'guest: serving');
      this.#timer = setTimeout(() => (this.#failures = 0), this.settings.restart.healthyMs);
    }
  }

  #fail(error: VamosError): void {
    this.#error = error;
    this.log.error({ code: error.code, error: error.message }, 'guest: cannot serve');
    this.#settled.reject(error);
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    const pid = this.#worker?.pid;
    this.#worker = undefined;
    clearTimeout(this.#timer);
    for (const id of this.#reports.keys()) this.#takeReport(id, undefined);
    for (const { reject } of this.#asked.values()) reject(this.#workerEnded());
    this.#asked.clear();
    if (this.#state === 'stopping') {
      this.log.info({ worker: pid, reason: this.#killReason }, 'guest: stopped');
      this.#end();
      return;
    }
    const how = signal ? `signal ${signal}` : code === null ? 'could not be started' : `exit code ${code}`;
    const why = this.#error?.code ?? this.#killReason;
    const reason = why === undefined ? how : `${why} (${how})`;
    this.#lastExit = { at: new Date(), reason };
    if (this.#error && this.#state === 'starting') {
      this.#setState('failed');
      this.#again(this.settings.restart.failedMs);
      return;
    }
    this.#settled.reject(new VamosError('INTERNAL', `worker of guest ${this.name} ended: ${reason}`));
    this.#setState('waiting');
    this.log.error({ worker: pid, reason }, 'guest: worker ended unasked');
    const { firstMs, longestMs } = this.settings.restart;
    this.#again(Math.min(longestMs, firstMs * 2 ** Math.min(this.#failures, 30)));
    this.#failures += 1;
  }

  /**
   * Launches the worker again after about this time, which varies so that many workers don't come back
   * simultaneously.
   */
  #again(delayMs: number): void {
    const jitteredMs = Math.round(delayMs * (0.5 + Math.random() / 2));
    this.log.info({ inMs: jitteredMs }, 'guest: worker will be started again');
    this.#timer = setTimeout(() => this.#launch(), jitteredMs);
  }

  #end(): void {
    this.#setState('stopped');
    this.#stopped.resolve();
  }

  #kill(reason: string): void {
    if (!this.#worker) return;
    this.#killReason = reason;
    this.log.error({ worker: this.#worker.pid, reason }, 'guest: killing its worker');
    this.#worker.kill('SIGKILL');
  }

  #send(message: ToWorker): void {
    // A worker that is gone already is noticed by its exit.
    this.#worker?.send(message, () => undefined);
  }

  #takeReport(id: number, report: Report | undefined): void {
    const take = this.#reports.get(id);
    this.#reports.delete(id);
    take?.(report);
  }

  #checkMemory(): void {
    let statm: string;
    try {
      statm = readFileSync(`/proc/${this.#worker?.pid}/statm`, 'latin1');
    } catch {
      return; // It has just ended.
    }
    const residentBytes = Number(statm.split(' ')[1]) * PAGE_BYTES;
    const { memoryBytes } = this.configuration.limits;
    if (residentBytes > memoryBytes) {
      this.#kill(`used ${formatBytes(residentBytes)} of memory, its limit is ${formatBytes(memoryBytes)}`);
    }
  }

  #setState(state: GuestState): void {
    this.#state = state;
    this.#since = new Date();
  }
}

function errorOf({ code, message }: { code: string; message: string }): VamosError {
  return new VamosError(Object.hasOwn(ErrorCode, code) ? (code as ErrorName) : 'INTERNAL', message);
}

/**
 * Runs worker.ts with no more than it needs. Its configuration comes through IPC, since it may hold a token.
 */
function forkWorker(name: string, guest: GuestConfiguration): ChildProcess {
  const user = guest.user === undefined ? undefined : resolveUser(guest.user);
  makeRoot(guest.root, user);
  const heapMebibytes = Math.floor(guest.limits.memoryBytes / 2 / 2 ** 20);
  const command = [
    ...confinement(),
    process.execPath,
    `--max-old-space-size=${heapMebibytes}`,
    `--max-semi-space-size=${SEMI_SPACE_MEBIBYTES}`,
    // The heap is small: threads that help to collect it cost more than they save (half of it where
    // processors are busy).
    '--single-threaded-gc',
    '--enable-source-maps',
  ];
  const environment = ['PATH', 'LANG', 'TZ', 'LD_LIBRARY_PATH', 'TMPDIR']
    .filter((key) => process.env[key] !== undefined)
    .map((key) => [key, process.env[key]] as const);
  return fork(path.join(import.meta.dirname, 'worker.js'), [name], {
    execPath: command[0]!,
    execArgv: command.slice(1),
    // libuv's threads are those that the module files works on.
    env: { ...Object.fromEntries(environment), UV_THREADPOOL_SIZE: String(guest.limits.threads) },
    // The worker is in a session and process group of its own, so that Ctrl-C at the terminal reaches the
    // supervisor alone, which lets it drain.
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    ...user,
  });
}

/**
 * Looks at a damaged root in a process of the guest's user.
 * @throws VamosError
 */
async function runRepair(
  name: string,
  guest: GuestConfiguration,
  acceptLoss: boolean,
): Promise<RepairReport> {
  const worker = forkWorker(name, guest);
  const ended = new Promise<undefined>((resolve) => {
    worker.once('exit', () => resolve(undefined));
    worker.once('error', () => resolve(undefined));
  });
  const answered = new Promise<unknown>((resolve) => worker.once('message', resolve));
  worker.send({ kind: 'repair', name, guest, acceptLoss } satisfies ToWorker, () => undefined);
  const { data: message } = fromWorkerSchema.safeParse(await Promise.race([answered, ended]));
  await ended;
  if (message?.kind === 'repaired') return message.report;
  if (message?.kind !== 'failed')
    throw new VamosError('INTERNAL', `guest ${name}: its repair ended without an answer`);
  throw errorOf(message);
}

function makeRoot(root: string, user: { uid: number; gid: number } | undefined): void {
  try {
    if (!makeFolder(root, 0o700)) return;
    if (user) chownSync(root, user.uid, user.gid);
  } catch (cause) {
    throw new VamosError('STORAGE_FAILED', `root ${root}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Commands that confine the worker: no core dumps (they would hold a guest's data) and no way to more rights.
 * Both tools become the worker by exec.
 */
function confinement(): string[] {
  const tools = [
    ['/usr/bin/prlimit', '--core=0'],
    ['/usr/bin/setpriv', '--no-new-privs'],
  ];
  return tools.filter(([file]) => existsSync(file!)).flat();
}
