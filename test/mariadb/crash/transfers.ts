/**
 * Clients that move money between accounts while the server, the host's worker or both are killed. Each client remembers
 * what was acknowledged; afterwards the tables must hold all of that once, and nothing that was refused.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type mysql from 'mysql2/promise';
import type { MariadbServer } from '../server.js';

const ACCOUNTS = 20;
const FUNDS = 1000;
/** How long clients may fail to get through after a kill. */
const RECOVERY_MS = 60_000;

export const VICTIMS = ['mariadbd', 'worker', 'both'] as const;
export type Victim = (typeof VICTIMS)[number];

/** Errors after which the client can't know whether its commit was done. */
const UNKNOWN = ['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ER_ERROR_DURING_COMMIT'];
/** As the engine says so: 2000 and the code OUTCOME_UNKNOWN. */
const UNKNOWN_MESSAGE = /^Got (temporary )?error 2044 /;

export interface CrashTotals {
  acknowledged: number;
  refused: number;
  unknown: number;
}

/** The tables, and what clients were told of their transfers and events. */
export class Transfers {
  readonly #server: MariadbServer;
  readonly #acknowledged = new Set<number>();
  readonly #refused = new Set<number>();
  readonly #unknown = new Set<number>();
  /** Why transactions were refused, and how often. */
  readonly refusals = new Map<string, number>();
  #next = 1;

  constructor(server: MariadbServer) {
    this.#server = server;
  }

  async create(engine: string): Promise<void> {
    const rows = Array.from({ length: ACCOUNTS }, (_, id) => `(${id}, ${FUNDS})`).join(', ');
    for (const sql of [
      `CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL) ENGINE=${engine}`,
      `CREATE TABLE ledger (transfer INT PRIMARY KEY, origin INT, target INT, amount INT, KEY (origin), KEY (target)) ENGINE=${engine}`,
      // No key of its own: a row that is there twice is not refused.
      `CREATE TABLE events (event INT, KEY (event)) ENGINE=${engine}`,
      `INSERT INTO accounts VALUES ${rows}`,
    ])
      await this.#server.query(sql);
  }

  get totals(): CrashTotals {
    return {
      acknowledged: this.#acknowledged.size,
      refused: this.#refused.size,
      unknown: this.#unknown.size,
    };
  }

  /** Clients at work for a while, one kill in the middle; all is served again when this is done. */
  async round(victim: Victim, clients: number, killAfterMs: number): Promise<void> {
    const stop = new AbortController();
    const before = this.#acknowledged.size;
    const work = Promise.all(Array.from({ length: clients }, (_, n) => this.#client(n, stop.signal)));
    try {
      await delay(killAfterMs);
      await this.#kill(victim);
      // The clients come through again.
      const since = this.#acknowledged.size;
      const deadline = Date.now() + RECOVERY_MS;
      while (this.#acknowledged.size < since + clients) {
        if (Date.now() > deadline) {
          const refusals = JSON.stringify([...this.refusals]);
          throw new Error(
            `no client got through for ${RECOVERY_MS} ms after the kill of ${victim}: ${refusals}`,
          );
        }
        await delay(5);
      }
    } finally {
      stop.abort();
      await work;
    }
    if (this.#acknowledged.size === before) throw new Error('nothing was done');
  }

  /** @returns what is wrong, one line each */
  async faults(): Promise<string[]> {
    const faults: string[] = [];
    const [sum] = await this.#server.query('SELECT SUM(balance) AS sum FROM accounts');
    if (Number(sum!['sum']) !== ACCOUNTS * FUNDS) faults.push(`the sum of all accounts is ${sum!['sum']}`);
    const wrong = await this.#server.query(
      `SELECT id, balance, ${FUNDS} + IFNULL((SELECT SUM(amount) FROM ledger WHERE target = id), 0) - ` +
        'IFNULL((SELECT SUM(amount) FROM ledger WHERE origin = id), 0) AS expected FROM accounts HAVING balance <> expected',
    );
    for (const row of wrong)
      faults.push(`account ${row['id']} has ${row['balance']}, by the ledger ${row['expected']}`);
    const written = await this.#server.query(
      'SELECT transfer AS id, 1 AS times FROM ledger UNION ALL SELECT event, COUNT(*) FROM events GROUP BY event',
    );
    const found = new Map(written.map((row) => [row['id'] as number, Number(row['times'])]));
    for (const [id, times] of found) {
      if (times !== 1) faults.push(`${id} is there ${times} times`);
      if (this.#refused.has(id)) faults.push(`${id} is there, though it was refused`);
    }
    for (const id of this.#acknowledged)
      if (!found.has(id)) faults.push(`${id} was acknowledged and is lost`);
    for (const table of ['accounts', 'ledger', 'events']) {
      for (const row of await this.#server.query(`CHECK TABLE ${table} EXTENDED`)) {
        if (row['Msg_type'] !== 'status' || row['Msg_text'] !== 'OK')
          faults.push(`CHECK TABLE ${table}: ${row['Msg_type']} ${row['Msg_text']}`);
      }
    }
    for (const row of await this.#server.query('XA RECOVER')) faults.push(`left prepared: ${row['data']}`);
    return faults;
  }

  async #kill(victim: Victim): Promise<void> {
    const host = this.#server.host;
    if (victim === 'mariadbd') await this.#server.kill();
    else if (victim === 'worker') await host!.killWorker();
    else await Promise.all([this.#server.kill(), host!.killWorker()]);
    if (victim !== 'mariadbd') await host!.workerPid();
    if (victim !== 'worker') await this.#server.start();
  }

  async #client(number: number, signal: AbortSignal): Promise<void> {
    let connection: mysql.Connection | undefined;
    while (!signal.aborted) {
      try {
        connection ??= await this.#server.connect();
      } catch {
        await delay(20);
        continue;
      }
      const id = this.#next++;
      const isAlive =
        id % 4 === 0 ? await this.#event(connection, id) : await this.#transfer(connection, id, number);
      if (!isAlive) {
        connection.destroy();
        connection = undefined;
      }
    }
    connection?.destroy();
  }

  /** An insert that is a transaction of its own. */
  async #event(connection: mysql.Connection, id: number): Promise<boolean> {
    try {
      await connection.query('INSERT INTO events VALUES (?)', [id]);
      this.#acknowledged.add(id);
      return true;
    } catch (error) {
      return this.#failed(id, error as mysql.QueryError, true);
    }
  }

  async #transfer(connection: mysql.Connection, id: number, client: number): Promise<boolean> {
    const origin = (id * 7 + client) % ACCOUNTS;
    const target = (origin + 1 + (id % (ACCOUNTS - 1))) % ACCOUNTS;
    const amount = (id % 9) + 1;
    let isCommitting = false;
    try {
      await connection.query('START TRANSACTION');
      await connection.query('SELECT * FROM accounts WHERE id IN (?, ?) FOR UPDATE', [origin, target]);
      await connection.query('UPDATE accounts SET balance = balance - ? WHERE id = ?', [amount, origin]);
      await connection.query('UPDATE accounts SET balance = balance + ? WHERE id = ?', [amount, target]);
      await connection.query('INSERT INTO ledger VALUES (?, ?, ?, ?)', [id, origin, target, amount]);
      isCommitting = true;
      await connection.query('COMMIT');
      this.#acknowledged.add(id);
      return true;
    } catch (error) {
      const isAlive = this.#failed(id, error as mysql.QueryError, isCommitting);
      // Some errors leave the transaction open.
      if (isAlive) await connection.query('ROLLBACK').catch(() => undefined);
      return isAlive;
    }
  }

  /** @returns whether the connection is of use still */
  #failed(id: number, { code, message, fatal }: mysql.QueryError, isCommitting: boolean): boolean {
    const isLost = fatal || UNKNOWN.slice(0, 3).includes(code);
    const isUnknown = isLost || UNKNOWN.includes(code) || UNKNOWN_MESSAGE.test(message);
    if (isCommitting && isUnknown) this.#unknown.add(id);
    else this.#refused.add(id);
    this.refusals.set(message, (this.refusals.get(message) ?? 0) + 1);
    return !isLost;
  }
}
