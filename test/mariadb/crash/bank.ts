/** The tables of the bank, and the audit that compares them with what clients were told. */
import type mysql from 'mysql2/promise';
import type { Book } from './book.js';

/** The number of accounts. Half of them are in each of the two tables `accounts` and `savings`. */
export const ACCOUNTS = 60;
const FUNDS = 1000;
/**
 * How many rows one entry has in `events`. All of them are there, or none: few, or more than a store commits
 * as they come.
 */
const PARTS = { few: 3, many: 100 };
/** What is added to a client's number for the second row of its tally. */
export const TWIN = 1000;
/** Entries that are rolled back to a savepoint are numbered from here. */
export const DECOY = -1_000_000;

export const tableOf = (account: number): string => (account < ACCOUNTS / 2 ? 'accounts' : 'savings');

/** A client's tally, as the last audit found it. */
interface Tally {
  times: number;
  total: number;
  last: number;
}

type Rows = mysql.RowDataPacket[];
type Query = (sql: string) => Promise<Rows>;

/** Names of each table's indexes, with a condition that holds for all its rows. */
const INDEXES: Record<string, Record<string, string>> = {
  accounts: { PRIMARY: 'id >= 0', balance: 'balance > -100000000' },
  savings: { PRIMARY: 'id >= 0', balance: 'balance > -100000000' },
  journal: {
    PRIMARY: 'id > -10000000',
    origin: 'origin >= 0',
    target: 'target >= 0',
    client: 'client >= 0',
  },
  events: { event: 'event >= 0', part: 'part >= 0' },
  tallies: { PRIMARY: 'client >= 0', last: 'last >= 0' },
};
const COLUMNS: Record<string, string> = {
  accounts: 'id, balance, moves',
  savings: 'id, balance, moves',
  journal: 'id, client, origin, target, amount',
  events: 'event, part',
  tallies: 'client, times, total, last',
};
export const TABLES = Object.keys(INDEXES);

export class Bank {
  readonly #tallies = new Map<number, Tally>();
  /** Which client wrote which tally entries, since the last audit. */
  readonly #tallied = new Map<number, number[]>();
  readonly #kinds = new Map<number, 'journal' | 'event' | 'tally'>();
  /** The part of each event. */
  readonly #parts = new Map<number, number>();

  constructor(readonly book: Book) {}

  async create(query: (sql: string) => Promise<unknown>, engine: string, clients: number): Promise<void> {
    const accounts = (table: string) =>
      Array.from({ length: ACCOUNTS }, (_, id) => id)
        .filter((id) => tableOf(id) === table)
        .map((id) => `(${id}, ${FUNDS}, 0)`)
        .join(', ');
    for (const table of ['accounts', 'savings']) {
      await query(
        `CREATE TABLE ${table} (id INT PRIMARY KEY, balance INT NOT NULL, moves INT NOT NULL, KEY balance (balance)) ENGINE=${engine}`,
      );
      await query(`INSERT INTO ${table} VALUES ${accounts(table)}`);
    }
    await query(
      'CREATE TABLE journal (id INT PRIMARY KEY, client INT NOT NULL, origin INT NOT NULL, target INT NOT NULL, amount INT NOT NULL, ' +
        `KEY origin (origin), KEY target (target), UNIQUE KEY client (client, id)) ENGINE=${engine}`,
    );
    // It has no key of its own, so that a row which is there twice is not refused.
    await query(
      `CREATE TABLE events (event INT NOT NULL, part INT NOT NULL, KEY event (event), KEY part (part, event)) ENGINE=${engine}`,
    );
    await query(
      `CREATE TABLE tallies (client INT PRIMARY KEY, times INT NOT NULL, total BIGINT NOT NULL, last INT NOT NULL, KEY last (last)) ENGINE=${engine}`,
    );
    const tallies: string[] = [];
    for (let client = 0; client < clients; client++) {
      this.#tallies.set(client, { times: 0, total: 0, last: 0 });
      tallies.push(`(${client}, 0, 0, 0), (${client + TWIN}, 0, 0, 0)`);
    }
    await query(`INSERT INTO tallies VALUES ${tallies.join(', ')}`);
  }

  /**
   * Begins a transaction that writes a row of `journal`.
   * @returns its number
   */
  beginMove(): number {
    const id = this.book.take();
    this.#kinds.set(id, 'journal');
    return id;
  }

  /** Begins a transaction that writes this many rows of `events`. */
  beginEvent(size: keyof typeof PARTS): { id: number; parts: number } {
    const id = this.book.take();
    const parts = PARTS[size];
    this.#kinds.set(id, 'event');
    this.#parts.set(id, parts);
    return { id, parts };
  }

  /** Begins a transaction that adds its number to both rows of the client's tally. */
  beginTally(client: number): number {
    const id = this.book.take();
    this.#kinds.set(id, 'tally');
    this.#tallied.set(client, [...(this.#tallied.get(client) ?? []), id]);
    return id;
  }

  /**
   * Compares the tables with the book, while no client works. Settles the outcomes that were not known.
   * @returns what is wrong, one line each
   */
  async audit(query: Query): Promise<string[]> {
    const faults = [
      ...this.book.takeSurprises(),
      ...(await this.#auditAccounts(query)),
      ...(await this.#auditEntries(query)),
      ...(await this.#auditTallies(query)),
      ...(await this.#auditIndexes(query)),
    ];
    for (const row of await query('XA RECOVER')) faults.push(`left prepared: ${String(row['data'])}`);
    for (const id of this.book.unknown) faults.push(`the audit has not settled ${id}`);
    return faults;
  }

  /** Checks the sum of all money, and each account by its journal. */
  async #auditAccounts(query: Query): Promise<string[]> {
    const faults: string[] = [];
    const rows = await query('SELECT * FROM accounts UNION ALL SELECT * FROM savings ORDER BY id');
    if (rows.length !== ACCOUNTS) faults.push(`there are ${rows.length} accounts`);
    const sum = rows.reduce((total, row) => total + Number(row['balance']), 0);
    if (sum !== ACCOUNTS * FUNDS) faults.push(`the sum of all accounts is ${sum}`);
    const moved = await query(
      'SELECT account, SUM(amount) AS amount, COUNT(*) AS moves FROM (SELECT origin AS account, -amount AS amount FROM journal ' +
        'UNION ALL SELECT target, amount FROM journal) AS moved GROUP BY account',
    );
    const expected = new Map(moved.map((row) => [Number(row['account']), row]));
    for (const row of rows) {
      const id = Number(row['id']);
      const balance = FUNDS + Number(expected.get(id)?.['amount'] ?? 0);
      const moves = Number(expected.get(id)?.['moves'] ?? 0);
      if (Number(row['balance']) !== balance || Number(row['moves']) !== moves) {
        faults.push(
          `account ${id} has ${row['balance']} after ${row['moves']} moves, by the journal ${balance} after ${moves}`,
        );
      }
    }
    return faults;
  }

  /** Checks that each transfer has one row in the journal, and each event all its parts once. */
  async #auditEntries(query: Query): Promise<string[]> {
    const faults: string[] = [];
    const found = new Set<number>();
    for (const row of await query('SELECT id FROM journal')) {
      const id = Number(row['id']);
      found.add(id);
      if (this.#kinds.get(id) !== 'journal') faults.push(`the journal has ${id}, which was never committed`);
    }
    for (const row of await query(
      'SELECT event, COUNT(*) AS parts, COUNT(DISTINCT part) AS kinds, MIN(part) AS lowest, MAX(part) AS highest FROM events GROUP BY event',
    )) {
      const id = Number(row['event']);
      found.add(id);
      if (this.#kinds.get(id) !== 'event') faults.push(`there is an event ${id}, which was never made`);
      const parts = this.#parts.get(id) ?? 0;
      const isWhole =
        Number(row['parts']) === parts &&
        Number(row['kinds']) === parts &&
        Number(row['lowest']) === 0 &&
        Number(row['highest']) === parts - 1;
      if (!isWhole)
        faults.push(`event ${id} is there with ${row['parts']} rows, ${row['kinds']} of ${parts} parts`);
    }
    for (const [id, outcome] of this.book.outcomes) {
      if (this.#kinds.get(id) === 'tally') continue;
      if (outcome === 'unknown') this.book.settle(id, found.has(id));
      else if (outcome === 'done' && !found.has(id)) faults.push(`${id} was acknowledged and is lost`);
      else if (outcome === 'undone' && found.has(id)) faults.push(`${id} is there, though it was refused`);
    }
    for (const id of found)
      if (this.book.outcome(id) === undefined) faults.push(`${id} is there, unfinished`);
    return faults;
  }

  /**
   * Checks that both rows of a client's tally have what was acknowledged added once, and some of the unknown.
   */
  async #auditTallies(query: Query): Promise<string[]> {
    const faults: string[] = [];
    const rows = new Map((await query('SELECT * FROM tallies')).map((row) => [Number(row['client']), row]));
    for (const [client, before] of this.#tallies) {
      const [row, twin] = [rows.get(client), rows.get(client + TWIN)];
      if (!row || !twin) {
        faults.push(`the tally of client ${client} is gone`);
        continue;
      }
      const now = { times: Number(row['times']), total: Number(row['total']), last: Number(row['last']) };
      const asTwin = Number(twin['times']) === now.times && Number(twin['total']) === now.total;
      if (!asTwin || Number(twin['last']) !== now.last)
        faults.push(`the tallies of client ${client} differ: ${JSON.stringify([row, twin])}`);
      const ids = this.#tallied.get(client) ?? [];
      const done = ids.filter((id) => this.book.outcome(id) === 'done');
      const unknown = ids.filter((id) => this.book.outcome(id) === 'unknown');
      const base = { times: before.times + done.length, total: before.total + sumOf(done) };
      const some = subsets(unknown).find(
        (subset) =>
          now.times === base.times + subset.length &&
          now.total === base.total + sumOf(subset) &&
          now.last === Math.max(before.last, ...done, ...subset),
      );
      if (!some) {
        faults.push(
          `client ${client}'s tally is ${JSON.stringify(now)}, was ${JSON.stringify(before)}, acknowledged ${done.join(' ')}, ` +
            `unknown ${unknown.join(' ')}, refused ${ids.filter((id) => this.book.outcome(id) === 'undone').join(' ')}`,
        );
      }
      for (const id of unknown) this.book.settle(id, some?.includes(id) ?? false);
      this.#tallies.set(client, now);
      this.#tallied.delete(client);
    }
    return faults;
  }

  /** Checks that every index of a table gives the same rows. */
  async #auditIndexes(query: Query): Promise<string[]> {
    const faults: string[] = [];
    for (const row of await query(`CHECK TABLE ${TABLES.join(', ')} EXTENDED`)) {
      if (row['Msg_type'] !== 'status' || row['Msg_text'] !== 'OK')
        faults.push(`CHECK TABLE ${row['Table']}: ${row['Msg_type']} ${row['Msg_text']}`);
    }
    for (const [table, indexes] of Object.entries(INDEXES)) {
      const seen = new Set<string>();
      for (const [index, condition] of Object.entries(indexes)) {
        const [row] = await query(
          `SELECT COUNT(*) AS n, BIT_XOR(CRC32(CONCAT_WS(',', ${COLUMNS[table]!}))) AS sum FROM ${table} FORCE INDEX (${index}) WHERE ${condition}`,
        );
        seen.add(`${row!['n']} rows of sum ${row!['sum']}`);
      }
      if (seen.size !== 1) faults.push(`the indexes of ${table} differ: ${[...seen].join('; ')}`);
    }
    return faults;
  }
}

const sumOf = (ids: readonly number[]): number => ids.reduce((sum, id) => sum + id, 0);

/** Returns all subsets; there are few ids whose outcome is not known. */
function subsets(ids: readonly number[]): number[][] {
  if (ids.length > 12) throw new Error(`too many unknown outcomes: ${ids.length}`);
  return ids.reduce<number[][]>((all, id) => [...all, ...all.map((subset) => [...subset, id])], [[]]);
}
