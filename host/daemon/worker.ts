/**
 * A guest's worker process: one root, the guest's channels, and nothing else. The supervisor starts it (guest.ts) and
 * speaks with it through IPC; when the supervisor is gone the worker stops by itself.
 */
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Listener } from '../../src/channel/channel.js';
import { listenChannel } from '../../src/channel/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import { RpcServer } from '../../src/rpc/host/server.js';
import { openModules, type ModuleSetting, type OpenModules } from '../modules/registry.js';
import { repairTables, type TablesModule } from '../modules/tables/module.js';
import type { StoreReport } from '../modules/tables/verify.js';
import { checkServable } from '../backup/manifest.js';
import { makeLogger } from './logger.js';
import type { FromWorker, Report, ToWorker } from './messages.js';

type Start = Extract<ToWorker, { kind: 'start' }>;

/**
 * How often to try to open a root that is in use: a worker whose daemon was killed may still be closing it.
 * Attempts are counted, not time, since both processes may have stood still.
 */
const ROOT_IN_USE_TRIES = 40;
const ROOT_IN_USE_PAUSE_MS = 100;
/** How long a worker without a supervisor may take to stop; less than all those pauses. */
const ORPHAN_STOP_MS = 2000;
/** The exit code of a worker whose store could not write its log (EX_IOERR of sysexits.h). */
const STORE_FAILED = 74;
const MAX_LOGGED_FINDINGS = 20;
/** The part of the time for a stop that requests under way get; the rest is for sync and close. */
const DRAIN_SHARE = 0.75;

class Worker {
  readonly log: Logger;
  readonly #start: Start;
  readonly #listeners: Listener[] = [];
  #modules: OpenModules | undefined;
  #server: RpcServer | undefined;

  constructor(start: Start) {
    this.#start = start;
    this.log = makeLogger(start.logLevel, { guest: start.name });
  }

  /**
   * Opens the root and the channels.
   * @throws VamosError why one of them can't be opened
   */
  async open(): Promise<void> {
    const { root, channels, limits, scrub, token } = this.#start.guest;
    checkServable(root);
    const modules = (this.#modules = await openRoot({
      root,
      ...limits,
      scrub: {
        bytesPerSecond: scrub.bytesPerSecond,
        intervalMs: scrub.intervalHours * 3_600_000,
        onFindings: (report) => this.#tellFindings(report),
      },
      onFailure: (error) => void this.#fail(error),
      onMessage: ({ isError, text }) =>
        this.log[isError ? 'error' : 'warn']({ message: text }, 'store: message'),
    }));
    const server = new RpcServer(Object.values(modules), {
      ...(token !== undefined && { token }),
      maxFrameBytes: limits.maxFrameBytes,
      requestWindowBytes: limits.windowBytes,
      maxStreams: limits.streams,
      stopTimeoutMs: this.#start.stopMs * DRAIN_SHARE,
      onSession: ({ kind, session, epoch, program, address, error }) =>
        this.log.info(
          { session, epoch, program, address, ...(error && { code: error.code, error: error.message }) },
          kind === 'begin' ? 'session: begun' : 'session: ended',
        ),
    });
    this.#server = server;
    for (const { address, own } of channels) {
      const listener = await listenChannel(address, (channel) => server.accept(channel), {
        ownsSocket: own === 'daemon',
        maxFrameBytes: limits.maxFrameBytes,
        onRetry: (error, delayMs) =>
          this.log.debug(
            { address, code: error?.code, error: error?.message, delayMs },
            'channel: no QEMU there yet',
          ),
      });
      this.#listeners.push(listener);
      this.log.info({ address }, 'channel: open');
    }
  }

  get tables(): TablesModule {
    return this.#modules!.tables;
  }

  report(): Report {
    const { user, system } = process.cpuUsage();
    return {
      server: this.#server!.statistics(),
      modules: Object.fromEntries(
        Object.entries(this.#modules!).map(([name, module]) => [name, module.statistics()]),
      ),
      process: { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() },
    };
  }

  /**
   * Ends the sessions without answers, because the store can't go on. Whether its last commits are stored
   * shows when the next worker opens the root, so connectors ask that one.
   */
  async #fail({ code, message }: VamosError): Promise<void> {
    const error = new VamosError(code, `${message}; the worker starts again by itself`);
    this.log.error({ code, error: message }, 'store: cannot write its log');
    const closed = this.#server?.fail(error);
    await tell({ kind: 'failed', code, message: message.slice(0, 4000) });
    const late = delay(this.#start.stopMs);
    await Promise.race([closed, late]).catch(() => undefined);
    process.exit(STORE_FAILED);
  }

  #tellFindings({ findings, findingCount }: Pick<StoreReport, 'findings' | 'findingCount'>): void {
    for (const finding of findings.slice(0, MAX_LOGGED_FINDINGS)) this.log.error(finding, 'scrub: found');
    this.log.error(
      { findings: findingCount },
      'scrub: stored data are damaged; see docs/backups.md, and `vamos host verify` for the whole list',
    );
  }

  /** Accepts no more connectors, answers within the time what was begun, then syncs and closes. */
  async stop(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await this.#server?.stop();
  }
}

async function openRoot(setting: ModuleSetting): Promise<OpenModules> {
  for (let tries = 1; ; tries++) {
    try {
      return await openModules(setting);
    } catch (error) {
      const failure = VamosError.from(error);
      if (failure.code !== 'ROOT_IN_USE' || tries === ROOT_IN_USE_TRIES) throw failure;
      await delay(ROOT_IN_USE_PAUSE_MS);
    }
  }
}

function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

/** Undefined until the worker is told to start; then settles when it serves. */
let opening: Promise<Worker> | undefined;
let isStopping = false;

async function start(message: Start): Promise<Worker> {
  process.title = `vamos-worker ${message.name}`;
  const worker = new Worker(message);
  try {
    await worker.open();
  } catch (error) {
    const { code, message: text } = VamosError.from(error);
    await tell({ kind: 'failed', code, message: text.slice(0, 4000) });
    process.exit(1);
  }
  await tell({ kind: 'serving' });
  return worker;
}

async function repair({ name, guest, acceptLoss }: Extract<ToWorker, { kind: 'repair' }>): Promise<never> {
  process.title = `vamos-repair ${name}`;
  try {
    const report = repairTables(path.join(guest.root, 'tables'), acceptLoss);
    await tell({ kind: 'repaired', report });
  } catch (error) {
    const { code, message: text } = VamosError.from(error);
    await tell({ kind: 'failed', code, message: text.slice(0, 4000) });
  }
  process.exit(0);
}

async function stop(): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  const worker = await opening;
  try {
    await worker?.stop();
  } catch (error) {
    const { code, message } = VamosError.from(error);
    worker?.log.error({ code, error: message }, 'worker: did not close in order');
    process.exit(1);
  }
  process.exit(0);
}

/** Cancels what runs for the supervisor and may take long, by id. */
const cancellations = new Map<number, AbortController>();

/** Answers what the supervisor asks of a worker that serves. */
async function answer(
  message: Exclude<ToWorker, { kind: 'start' | 'stop' | 'repair' | 'cancel' }>,
): Promise<FromWorker> {
  const { id } = message;
  const worker = await opening!;
  try {
    switch (message.kind) {
      case 'report':
        return { kind: 'report', id, report: worker.report() };
      case 'hold':
        return { kind: 'held', id, files: await worker.tables.holdFiles() };
      case 'release':
        await worker.tables.releaseFiles();
        return { kind: 'released', id };
      case 'verify': {
        const cancelled = new AbortController();
        cancellations.set(id, cancelled);
        const report = await worker.tables.verify({
          bytesPerSecond: message.bytesPerSecond,
          signal: cancelled.signal,
          onProgress: (progress) => void tell({ kind: 'progress', id, progress }),
        });
        return { kind: 'verified', id, report };
      }
    }
  } catch (error) {
    const { code, message: text } = VamosError.from(error);
    return { kind: 'refused', id, code, message: text.slice(0, 4000) };
  } finally {
    cancellations.delete(id);
  }
}

process.on('message', (message: ToWorker) => {
  if (message.kind === 'start') opening = start(message);
  else if (message.kind === 'repair') void repair(message);
  else if (message.kind === 'stop') void stop();
  else if (message.kind === 'cancel') {
    cancellations.get(message.id)?.abort(new VamosError('CANCELLED', 'the one who asked for it is gone'));
  } else if (opening) void answer(message).then(tell);
});
process.on('SIGTERM', () => void stop());
process.on('disconnect', () => {
  // The supervisor was killed. What does not close in time loses no commit: it is as if this worker was
  // killed too.
  setTimeout(() => process.exit(1), ORPHAN_STOP_MS).unref();
  void stop();
});
