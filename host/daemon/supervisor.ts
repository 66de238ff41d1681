import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { VamosError } from '../../src/protocol/errors.js';
import { makeCheckpoint, type CheckpointSummary } from '../backup/checkpoint.js';
import type { Progress } from '../backup/copier.js';
import { packageVersion } from '../../src/native.js';
import { checkApart, makeGuest, type Configuration, type GuestConfiguration } from './configuration.js';
import { Guest, type GuestStatus } from './guest.js';
import type { RepairReport } from '../modules/tables/binding.js';
import type { StoreReport, VerifyProgress } from '../modules/tables/verify.js';
import type { Report } from './messages.js';

/** What a change of the guests did. */
export interface Change {
  added: string[];
  removed: string[];
  /** Guests that were started anew because their configuration changed. */
  changed: string[];
}

/** What a verification of a guest's tables found. */
export interface GuestVerification extends StoreReport {
  what: 'guest';
  guest: string;
  isSound: boolean;
  startedAt: string;
  tookMs: number;
}

const LOG_PROGRESS_MS = 30_000;
const MAX_LOGGED_FINDINGS = 20;

/** A guest with its worker's counters, where there are any. */
export interface GuestReport extends GuestStatus {
  report?: Report;
}

/** Keeps the guests of one daemon: those of its configuration, and those added while it runs. */
export class Supervisor {
  #guests = new Map<string, Guest>();
  #configuration: Configuration;
  /** Guests that were added while the daemon runs; a new configuration leaves them alone. */
  #added: Record<string, GuestConfiguration>;
  /** The latest of the changes, which run one after another. */
  #changes: Promise<unknown> = Promise.resolve();
  #isStopping = false;
  readonly #checkpoints = new Map<string, Promise<unknown>>();
  readonly #stopping = new AbortController();

  constructor(
    configuration: Configuration,
    private readonly log: Logger,
  ) {
    this.#configuration = configuration;
    this.#added = this.#loadAdded();
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /**
   * Starts all guests; those that fail are started again from time to time.
   * @throws the first guest's VamosError if none of them serves, unless the data of one are damaged: these
   * are repaired through this daemon, which says until then what is wrong with them
   */
  async start(): Promise<void> {
    const wanted = { ...this.#added, ...this.#configuration.guests };
    checkApart(wanted);
    const results = await Promise.allSettled(
      Object.entries(wanted).map(([name, guest]) => this.#startGuest(name, guest)),
    );
    const failures = results.filter((result) => result.status === 'rejected');
    const isDamaged = failures.some(({ reason }) => VamosError.from(reason).code === 'CORRUPTION');
    if (failures[0] && failures.length === results.length && !isDamaged) {
      await this.stop();
      throw failures[0].reason;
    }
  }

  /** Serves one more guest until it is removed. A guest that can't be served is not added. */
  add(name: unknown, value: unknown): Promise<GuestStatus> {
    return this.#change(async () => {
      const { name: checkedName, guest } = makeGuest(name, value);
      if (this.#guests.has(checkedName)) {
        throw new VamosError('BAD_CONFIGURATION', `name: there is a guest ${checkedName} already`);
      }
      checkApart({ ...this.#wanted(), [checkedName]: guest });
      try {
        await this.#startGuest(checkedName, guest);
      } catch (error) {
        await this.#stopGuest(checkedName);
        throw error;
      }
      this.#added[checkedName] = guest;
      this.#saveAdded();
      return this.#guests.get(checkedName)!.status();
    });
  }

  /** Stops serving a guest; its data stay. A guest of the configuration file comes back with the next reload. */
  remove(name: string): Promise<void> {
    return this.#change(async () => {
      if (!this.#guests.has(name)) throw new VamosError('BAD_REQUEST', `there is no guest ${name}`);
      await this.#stopGuest(name);
      delete this.#added[name];
      this.#saveAdded();
    });
  }

  /** Says what the damaged root of a refused guest has lost, and with `acceptLoss` serves it without that. */
  repair(name: string, acceptLoss: boolean): Promise<RepairReport> {
    return this.#change(() => {
      const guest = this.#guests.get(name);
      if (!guest) throw new VamosError('BAD_REQUEST', `there is no guest ${name}`);
      return guest.repair(acceptLoss);
    });
  }

  /**
   * Makes the guests those of this configuration and the added ones. Guests that did not change are not
   * touched.
   */
  reload(configuration: Configuration): Promise<Change> {
    return this.#change(async () => {
      const wanted = { ...this.#added, ...configuration.guests };
      checkApart(wanted);
      const { guests: _guests, ...settings } = configuration;
      const { guests: _oldGuests, ...oldSettings } = this.#configuration;
      if (!isDeepStrictEqual(settings, oldSettings)) {
        this.log.warn('daemon: settings outside of guests changed; they hold after a restart of the daemon');
      }
      const change: Change = { added: [], removed: [], changed: [] };
      for (const [name, guest] of this.#guests) {
        const now = wanted[name];
        if (!now) change.removed.push(name);
        else if (!isDeepStrictEqual(now, guest.configuration)) change.changed.push(name);
      }
      change.added = Object.keys(wanted).filter((name) => !this.#guests.has(name));
      this.#configuration = { ...oldSettings, guests: configuration.guests };
      await Promise.all([...change.removed, ...change.changed].map((name) => this.#stopGuest(name)));
      // A guest that fails says so in the log and the status, and is started again.
      await Promise.allSettled(
        [...change.changed, ...change.added].map((name) => this.#startGuest(name, wanted[name]!)),
      );
      this.log.info(change, 'daemon: configuration reloaded');
      return change;
    });
  }

  /**
   * Makes a checkpoint of a guest that serves. It does not wait for changes of the guests, of which there may
   * be many meanwhile.
   * @throws VamosError see makeCheckpoint
   */
  async checkpoint(
    name: string,
    options: { target: string; base?: string | undefined; copy?: boolean | undefined },
    asker: { signal: AbortSignal; tell(progress: Progress): void },
  ): Promise<CheckpointSummary> {
    const guest = this.#guests.get(name);
    if (!guest) throw new VamosError('BAD_REQUEST', `there is no guest ${name}`);
    const { target, base, copy } = options;
    if (this.#checkpoints.has(target)) {
      throw new VamosError('BAD_REQUEST', `${target}: a checkpoint is being made there already`);
    }
    const log = this.log.child({ guest: name, target });
    const making = makeCheckpoint({
      guest: name,
      root: guest.configuration.root,
      target,
      ...(base !== undefined && { base }),
      ...(copy && { copy }),
      vamos: packageVersion(),
      hold: () => guest.hold(),
      signal: AbortSignal.any([asker.signal, this.#stopping.signal]),
      onProgress: (progress) => asker.tell(progress),
    });
    this.#checkpoints.set(target, making);
    try {
      const summary = await making;
      const { madeAt, bytes, linked, copied } = summary;
      log.info({ madeAt, bytes, linked, copied }, 'checkpoint: made');
      return summary;
    } catch (error) {
      const { code, message } = VamosError.from(error);
      log.error({ code, error: message }, 'checkpoint: failed');
      throw error;
    } finally {
      this.#checkpoints.delete(target);
    }
  }

  /**
   * Reads all that a guest's tables hold, while the guest goes on.
   * @throws VamosError
   */
  async verify(
    name: string,
    bytesPerSecond: number | undefined,
    asker: { signal: AbortSignal; tell(progress: VerifyProgress): void },
  ): Promise<GuestVerification> {
    const guest = this.#guests.get(name);
    if (!guest) throw new VamosError('BAD_REQUEST', `there is no guest ${name}`);
    const startedAt = new Date();
    const log = this.log.child({ guest: name });
    log.info({ bytesPerSecond }, 'verify: begun');
    let loggedMs = Date.now();
    const report = await guest.verify({
      bytesPerSecond,
      signal: asker.signal,
      onProgress: (progress) => {
        asker.tell(progress);
        if (Date.now() - loggedMs < LOG_PROGRESS_MS) return;
        loggedMs = Date.now();
        log.info(progress, 'verify: goes on');
      },
    });
    const tookMs = Date.now() - startedAt.getTime();
    const { bytes, findingCount, totals, findings } = report;
    for (const finding of findings.slice(0, MAX_LOGGED_FINDINGS)) log.error(finding, 'verify: found');
    log.info({ bytes, tookMs, findings: findingCount, ...totals }, 'verify: done');
    return {
      what: 'guest',
      guest: name,
      isSound: findingCount === 0,
      startedAt: startedAt.toISOString(),
      tookMs,
      ...report,
    };
  }

  /** Lets all workers drain, sync and close, each within the configured bound. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#stopping.abort(new VamosError('HOST_STOPPING', 'the daemon is stopping'));
    await Promise.allSettled(this.#checkpoints.values());
    await Promise.all([...this.#guests.values()].map((guest) => guest.stop()));
  }

  /** Returns all guests, with the counters of those that serve. */
  report(): Promise<GuestReport[]> {
    return Promise.all(
      [...this.#guests.values()].map(async (guest) => {
        const report = await guest.report();
        return { ...guest.status(), ...(report && { report }) };
      }),
    );
  }

  #wanted(): Record<string, GuestConfiguration> {
    return Object.fromEntries([...this.#guests].map(([name, guest]) => [name, guest.configuration]));
  }

  #change<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#changes.then(() => {
      if (this.#isStopping) throw new VamosError('HOST_STOPPING', 'the daemon is stopping');
      return run();
    });
    this.#changes = result.catch(() => undefined);
    return result;
  }

  #startGuest(name: string, configuration: GuestConfiguration): Promise<void> {
    const guest = new Guest(name, configuration, this.#configuration, this.log.child({ guest: name }));
    this.#guests.set(name, guest);
    return guest.start();
  }

  async #stopGuest(name: string): Promise<void> {
    await this.#guests.get(name)?.stop();
    this.#guests.delete(name);
  }

  get #addedFile(): string | undefined {
    const { stateDirectory } = this.#configuration;
    return stateDirectory === undefined ? undefined : path.join(stateDirectory, 'guests.json');
  }

  #loadAdded(): Record<string, GuestConfiguration> {
    const file = this.#addedFile;
    if (file === undefined) return {};
    let content: string;
    try {
      content = readFileSync(file, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw new VamosError('BAD_CONFIGURATION', `stateDirectory: ${(cause as Error).message}`, { cause });
    }
    try {
      const entries = Object.entries(JSON.parse(content) as Record<string, unknown>);
      return Object.fromEntries(entries.map(([name, value]) => [name, makeGuest(name, value).guest]));
    } catch (cause) {
      throw new VamosError('BAD_CONFIGURATION', `${file}: ${(cause as Error).message}`, { cause });
    }
  }

  #saveAdded(): void {
    const file = this.#addedFile;
    if (file === undefined) return;
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    // The file may hold tokens, so only its owner may read it. It is renamed into place, so that it is always
    // whole.
    writeFileSync(`${file}.new`, JSON.stringify(this.#added, undefined, 2), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}
