import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type mysql from 'mysql2/promise';
import { Choices } from '../../../bench/order_entry/random.js';
import { connect, type Vamos } from '../../../entry/guest.js';
import { Bank, TABLES } from './bank.js';
import { compareWithLog } from './binary_log.js';
import { Book } from './book.js';
import type { Client } from './client.js';
import { FAULTS, FAULT_NAMES, faultsOf, type FaultName } from './faults.js';
import { MysqlClient } from './mysql_client.js';
import { LocalPlace, type Place, type PlaceOptions } from './place.js';
import { Report } from './report.js';
import { TypescriptClient } from './typescript_client.js';

export type ClientKind = 'mysql' | 'typescript' | 'both';

/** A place and how it is used. Each setting holds for some rounds, and then all begins anew. */
export interface Setting extends PlaceOptions {
  name: string;
  xa: boolean;
  clients: ClientKind;
}

/**
 * The settings. A server's log knows nothing of what other connectors write, and can't be replayed where XA
 * transactions interleave.
 */
export const SETTINGS: readonly Setting[] = [
  { name: 'socket', binaryLog: false, port: false, impatient: false, xa: true, clients: 'both' },
  { name: 'binary log', binaryLog: true, port: false, impatient: false, xa: false, clients: 'mysql' },
  { name: 'port', binaryLog: false, port: true, impatient: false, xa: true, clients: 'both' },
  { name: 'impatient', binaryLog: true, port: true, impatient: true, xa: false, clients: 'mysql' },
];

/** The setting in a guest of QEMU, for which there is no time in a usual run of all tests. */
export const GUEST_SETTING: Setting = {
  name: 'guest',
  binaryLog: false,
  port: false,
  impatient: false,
  xa: true,
  clients: 'both',
};

const CONNECTIONS = 16;
/** How many streams of TypeScript connectors work beside the server's clients, or alone. */
const STREAMS_BESIDE = 4;
const STREAMS_ALONE = 16;
const STREAMS_A_CONNECTOR = 4;
/** How long a statement of an audit waits for the host. */
const AUDIT_TIMEOUT_MS = 120_000;
/** How the engine says that a statement lost its session, or found none in the time of its setting. */
const LOST = /the session ended|host daemon unreachable|no answer in time/;
const MOST_READS = 50;
const BEAT_MS = 10;
/** Beats of this process after a fault's end in which every client must be served: time in which the machine ran. */
const MOST_BEATS = 6000;
/** How long clients get to end after a failure. */
const GIVEN_UP_MS = 20_000;

export interface RoundsOptions {
  setting: Setting;
  rounds: number;
  seed: number;
  faults?: readonly FaultName[];
  engine?: string;
  report?: Report;
  progress?: (text: string) => void;
  /** Opens another place than processes of this machine. */
  open?: (setting: Setting) => Promise<Place>;
}

/**
 * Clients at work while parts are killed, frozen or cut, one fault a round; audits after each.
 * @throws Error with what was lost, doubled or out of order
 */
export async function crashRounds(options: RoundsOptions): Promise<Report> {
  const {
    setting,
    rounds,
    seed,
    engine = 'VAMOS',
    report = new Report(),
    open = (o) => LocalPlace.start(o),
  } = options;
  await using place = await open(setting);
  const choices = new Choices(seed);
  const possible = faultsOf(place, options.faults ?? FAULT_NAMES);
  if (possible.length === 0) throw new Error('no fault of those wanted is possible here');
  const book = new Book();
  const bank = new Bank(book);
  const query = async (sql: string) => {
    const connection = await place.connect();
    try {
      // Some settings have statements give up early, which an audit must not.
      await connection.query(`SET vamos_request_timeout_ms = ${AUDIT_TIMEOUT_MS}`);
      return (await connection.query<mysql.RowDataPacket[]>(sql))[0];
    } finally {
      connection.destroy();
    }
  };
  /** For the audit, which only reads: a machine that stands still for a moment may cost the server its session once more. */
  const readAgain = async (sql: string) => {
    for (let tries = 1; ; tries++) {
      try {
        const rows = await query(sql);
        if (tries === MOST_READS || !rows.some((row) => LOST.test(String(row['Msg_text'])))) return rows;
      } catch (error) {
        if (tries === MOST_READS || !LOST.test((error as Error).message)) throw error;
      }
    }
  };
  await using team = await Team.make(place, bank, setting, engine, seed);
  await bank.create(query, engine, team.clients.length);
  let upcoming: FaultName[] = [];
  for (let round = 0; round < rounds; round++) {
    if (upcoming.length === 0) upcoming = choices.shuffled(possible);
    const fault = upcoming.pop()!;
    const before = team.counts;
    try {
      const serviceMs = await team.round(place, fault, choices);
      const wrong = await bank.audit(readAgain);
      if (wrong.length > 0) throw new Error(wrong.slice(0, 30).join('\n'));
      report.add(fault, before, team.counts, serviceMs);
      const { acknowledged, foundDone, foundUndone } = book.counts;
      options.progress?.(
        `${setting.name}, round ${round + 1}: ${fault}; served after ${(serviceMs / 1000).toFixed(2)} s; ` +
          `${acknowledged} acknowledged, unknown ${foundDone} done, ${foundUndone} not`,
      );
    } catch (error) {
      const log = path.join(mkdtempSync(path.join(os.tmpdir(), 'vamos-crash-')), 'log');
      writeFileSync(log, place.log);
      const message =
        `seed ${seed}, setting '${setting.name}', round ${round + 1}, ${fault}: ${(error as Error).message}\n` +
        `refusals: ${[...book.refusals].map(([reason, times]) => `${times} × ${reason}`).join('\n  ')}\nlogs: ${log}`;
      // It is reported now, since what is left may not end.
      options.progress?.(`VIOLATION: ${message}`);
      throw new Error(message, { cause: error });
    }
  }
  report.addRefusals(book.refusals);
  const isAllInLog = setting.binaryLog && !setting.xa && setting.clients === 'mysql';
  if (isAllInLog && place.server) {
    await compareLog(place.server).catch((error: unknown) => {
      options.progress?.(`VIOLATION: ${String(error)}`);
      throw error;
    });
  }
  return report;
}

async function compareLog(server: NonNullable<Place['server']>): Promise<void> {
  const queries = TABLES.map((table) => `SELECT * FROM ${table} ORDER BY 1, 2`);
  const same = await compareWithLog(server, queries);
  const wrong = TABLES.filter((_, number) => !same[number]);
  if (wrong.length > 0) throw new Error(`the binary log and the tables differ: ${wrong.join(', ')}`);
}

/** All clients of a place. */
class Team implements AsyncDisposable {
  readonly clients: Client[] = [];
  readonly #connectors: Vamos[] = [];

  private constructor(private readonly book: Book) {}

  static async make(place: Place, bank: Bank, setting: Setting, engine: string, seed: number): Promise<Team> {
    const team = new Team(bank.book);
    const choices = () => new Choices(seed * 1000 + team.clients.length);
    if (setting.clients !== 'typescript') {
      for (let number = 0; number < CONNECTIONS; number++) {
        const work = { engine, xa: setting.xa };
        team.clients.push(new MysqlClient(number, bank, choices(), () => place.connect(), work));
      }
    }
    const address = place.connectorAddress;
    if (setting.clients !== 'mysql' && address !== undefined) {
      const streams = setting.clients === 'both' ? STREAMS_BESIDE : STREAMS_ALONE;
      for (let stream = 0; stream < streams; stream++) {
        if (stream % STREAMS_A_CONNECTOR === 0)
          team.#connectors.push(await connect(address, { pingIntervalMs: 500 }));
        team.clients.push(
          new TypescriptClient(team.clients.length, bank, choices(), team.#connectors.at(-1)!),
        );
      }
    }
    return team;
  }

  get counts() {
    const reconnects = this.#connectors.reduce((sum, { counters }) => sum + counters.reconnects, 0);
    return { ...this.book.counts, reconnects: this.book.counts.reconnects + reconnects };
  }

  /**
   * Does one fault while all clients work.
   * @returns how long after its end the last client was served again
   */
  async round(place: Place, fault: FaultName, choices: Choices): Promise<number> {
    const stop = new AbortController();
    const work = this.clients.map((client) => client.work(stop.signal));
    const failure = new Promise<never>((_, reject) => {
      for (const each of work) each.catch(reject);
    });
    let endedMs = Infinity;
    const injured = async () => {
      await this.#served(place, performance.now());
      await delay(choices.between(0, 300));
      await FAULTS[fault].run(place, choices, () => (endedMs = performance.now()));
      return this.#served(place, endedMs);
    };
    let servedMs: number;
    try {
      servedMs = await Promise.race([injured(), failure]);
    } catch (error) {
      stop.abort();
      // Some may never end: there may be nothing left to serve them.
      await Promise.race([Promise.allSettled(work), delay(GIVEN_UP_MS)]);
      throw error;
    }
    stop.abort();
    await Promise.all(work);
    return servedMs - endedMs;
  }

  /**
   * Waits until each client had a transaction acknowledged that it began after this.
   * @returns when that was seen
   */
  async #served({ slowness }: Place, sinceMs: number): Promise<number> {
    for (let beats = 0; ; beats++) {
      const waiting = this.clients.filter(({ lastServedMs }) => lastServedMs <= sinceMs);
      if (waiting.length === 0) return performance.now();
      if (beats > MOST_BEATS * slowness)
        throw new Error(
          `${waiting.length} clients were not served for ${MOST_BEATS * slowness} beats of ${BEAT_MS} ms`,
        );
      await delay(BEAT_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) await client.close();
    await Promise.all(this.#connectors.map((connector) => connector.close()));
  }
}
