import { readFileSync } from 'node:fs';
import type mysql from 'mysql2/promise';
import { until } from '../daemon/daemon.js';
import type { MariadbServer } from './server.js';

/** A connection in a test of several: rows come as arrays, errors as their codes. */
export class Session implements AsyncDisposable {
  private constructor(readonly connection: mysql.Connection) {}

  /** @param settings assignments of SET SESSION */
  static async open(server: MariadbServer, ...settings: string[]): Promise<Session> {
    const session = new Session(await server.connect());
    for (const setting of settings) await session.sql(`SET SESSION ${setting}`);
    return session;
  }

  get id(): number {
    return this.connection.threadId;
  }

  /** Runs statements one after the other. @returns the rows of the last one, or its header */
  async sql(...statements: string[]): Promise<unknown> {
    let result: unknown;
    for (const statement of statements) {
      [result] = await this.connection.query({ sql: statement, rowsAsArray: true });
    }
    return result;
  }

  /** The error that the statement ends with. */
  async refusal(statement: string): Promise<mysql.QueryError> {
    try {
      await this.connection.query(statement);
    } catch (error) {
      return error as mysql.QueryError;
    }
    throw new Error(`did not fail: ${statement}`);
  }

  async code(statement: string): Promise<string> {
    return (await this.refusal(statement)).code ?? 'no code';
  }

  /** Number of rows of t that the condition holds for. */
  async count(condition = 'TRUE'): Promise<number> {
    const rows = (await this.sql(`SELECT COUNT(*) FROM t WHERE ${condition}`)) as [[number]];
    return rows[0][0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.destroy();
    await Promise.resolve();
  }
}

/** Settles when a statement of the session has run for a moment, which does not say how far it came. */
export async function untilRunning(server: MariadbServer, id: number): Promise<void> {
  await untilInProcessList(server, `ID = ${id} AND INFO IS NOT NULL AND TIME_MS > 300`);
}

/** Settles when a statement of the session waits in GET_LOCK(). */
export async function untilInGetLock(server: MariadbServer, id: number): Promise<void> {
  await untilInState(server, id, 'User lock');
}

/** Settles when the process list shows this state of the session. */
export async function untilInState(server: MariadbServer, id: number, state: string): Promise<void> {
  await untilInProcessList(server, `ID = ${id} AND STATE = '${state}'`);
}

async function untilInProcessList(server: MariadbServer, condition: string): Promise<void> {
  const asked = `SELECT 1 FROM information_schema.PROCESSLIST WHERE ${condition}`;
  await until(async () => (await server.query(asked)).length > 0);
}

/** Settles when a statement waits for a row lock: any of the engine's, so there should be one that can. */
export async function untilLocked(server: MariadbServer, engine = 'VAMOS'): Promise<void> {
  await until(async () => (await lockWaits(server, engine)) > 0);
}

/**
 * How many statements wait for a row lock of the engine. It is its own state of this moment: whoever releases a lock has
 * ended the waits for it when its statement is answered. (information_schema.INNODB_TRX shows what was a tenth of a second ago.)
 */
export async function lockWaits(server: MariadbServer, engine: string): Promise<number> {
  if (engine === 'VAMOS') return (await server.host!.counters())['operationsParked']!;
  if (engine !== 'InnoDB') throw new Error(`${engine} does not tell which statements wait`);
  const [row] = await server.query('SHOW ENGINE INNODB STATUS');
  // Before the transactions stand those of the last deadlock.
  const transactions = String(row!['Status']).split('LIST OF TRANSACTIONS FOR EACH SESSION')[1]!;
  return transactions.match(/^LOCK WAIT /gm)?.length ?? 0;
}

/**
 * Settles when InnoDB has purged what transactions removed that have ended. While a snapshot of it is open, it does not.
 */
export async function untilPurged(server: MariadbServer): Promise<void> {
  await server.query('CREATE TABLE IF NOT EXISTS test.purged (id INT) ENGINE=InnoDB');
  const status = async () => {
    const [row] = await server.query('SHOW ENGINE INNODB STATUS');
    const [, next, purged] = /Trx id counter (\d+)\nPurge done for trx's n:o < (\d+)/.exec(
      String(row!['Status']),
    )!;
    return { next: Number(next), purged: Number(purged) };
  };
  // The status shows which transactions the purge has begun with. It begins with the second one when the first one's is done.
  for (let round = 0; round < 2; round++) {
    await server.query('INSERT INTO test.purged VALUES (1)');
    await server.query('DELETE FROM test.purged');
    const { next } = await status();
    await until(async () => (await status()).purged >= next);
  }
}

/** How many of the connections wait for the lock of a table's definition. */
export async function definitionWaits(server: MariadbServer, ids: readonly number[]): Promise<number> {
  const rows = await server.query(
    `SELECT TID FROM information_schema.PROCESSLIST WHERE ID IN (${ids.join()}) AND STATE LIKE 'Waiting for table %'`,
  );
  // The server goes on to show this of a thread that has the lock, until that runs again: then it sleeps no more.
  return rows.filter(({ TID }) => isSleeping(server.pid, Number(TID))).length;
}

function isSleeping(pid: number, thread: number): boolean {
  try {
    return /^State:\s+S/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1'));
  } catch {
    return false;
  }
}
