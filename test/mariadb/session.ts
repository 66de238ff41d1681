import type mysql from 'mysql2/promise';
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

/** Settles when the session has waited for an answer of its engine for a moment. */
export async function untilWaiting(server: MariadbServer, id: number): Promise<void> {
  const asked = 'SELECT 1 FROM information_schema.PROCESSLIST';
  for (;;) {
    const rows = await server.query(`${asked} WHERE ID = ${id} AND COMMAND = 'Query' AND TIME_MS > 300`);
    if (rows.length > 0) return;
  }
}
