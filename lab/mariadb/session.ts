import { readFileSync } from 'node:fs';
import type mysql from 'mysql2/promise';
import { until } from '../daemon/daemon.js';
import type { MariadbServer } from './server.js';

/** A connection in a test with several: rows come as arrays, errors as their codes. */
export class Session implements AsyncDisposable {
  private constructor(readonly connection: mysql.Connection) {}

  /**
   * Opens a session.
   * @param settings assignments of SET SESSION
   */
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

  /** Returns the error that the statement ends with. */
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

  /** Returns the number of rows of t for which the condition holds. */
  async count(condition = 'TRUE'): Promise<number> {
    const rows = (await this.sql(`SELECT COUNT(*) FROM t WHERE ${condition}`)) as [[number]];
    return rows[0][0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.destroy();
    await Promise.resolve();
  }
}

/** Settles when a statement of the session has run for a moment, which does not say how far it has come. */
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

/**
 * Settles when a statement waits for a row lock of the engine; no other test may cause such waits meanwhile.
 */
export async function untilLocked(server: MariadbServer, engine = 'VAMOS'): Promise<void> {
  await until(async () => (await lockWaits(server, engine)) > 0);
}

/**
 * Returns how many statements wait for a row lock of the engine, at this moment: when a statement is answered
 * that released a lock, the waits for that lock have ended. (information_schema.INNODB_TRX shows the state of
 * a tenth of a second ago.)
 */
export async function lockWaits(server: MariadbServer, engine: string): Promise<number> {
  if (engine === 'VAMOS') return (await server.host!.counters())['operationsParked']!;
  if (engine !== 'InnoDB') throw new Error(`${engine} does not tell which statements wait`);
  const [row] = await server.query('SHOW ENGINE INNODB STATUS');
  // The transactions of the last deadlock stand before the present ones.
  const transactions = String(row!['Status']).split('LIST OF TRANSACTIONS FOR EACH SESSION')[1]!;
  return transactions.match(/^LOCK WAIT /gm)?.length ?? 0;
}

/**
 * Settles when InnoDB has purged what ended transactions removed. While a snapshot of it is open, it does
 * not.
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
  // The status shows which transactions the purge has begun with. It begins with the second when it has
  // finished the first.
  for (let round = 0; round < 2; round++) {
    await server.query('INSERT INTO test.purged VALUES (1)');
    await server.query('DELETE FROM test.purged');
    const { next } = await status();
    await until(async () => (await status()).purged >= next);
  }
}

/** Returns how many of the connections wait for the lock of a table's definition. */
export async function definitionWaits(server: MariadbServer, ids: readonly number[]): Promise<number> {
  const rows = await server.query(
    `SELECT TID FROM information_schema.PROCESSLIST WHERE ID IN (${ids.join()}) AND STATE LIKE 'Waiting for table %'`,
  );
  // The server still shows this state of a thread that got the lock, until the thread runs again: then it no
  // longer sleeps.
  return rows.filter(({ TID }) => isSleeping(server.pid, Number(TID))).length;
}

function isSleeping(pid: number, thread: number): boolean {
  try {
    return /^State:\s+S/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1'));
  } catch {
    return false;
  }
}
