/** Runs the same statements on tables of two engines in one server, and compares all that a client sees of them. */
import { isDeepStrictEqual } from 'node:util';
import type mysql from 'mysql2/promise';
import type { MariadbServer } from '../server.js';
import { createTable, makeTable } from './schema.js';
import { inspection, statementOf, type Program, type Sql, type World } from './statements.js';

/** A statement that takes longer hangs. */
const STATEMENT_MS = 30_000;
const CONNECTION_ERRORS = ['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'ENOENT'];

const ERROR_DURING_COMMIT = '1180';
const DUPLICATE = 1062;
const KEEPS_WARNINGS = /^(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET)/;

/** What a client sees of a statement. */
export interface Outcome {
  error?: { errno: number; message: string };
  rows?: string[];
  affected?: number;
  info?: string;
  gaveId?: boolean;
  warnings: string[];
}

export interface Side {
  engine: string;
  connection: mysql.Connection;
}

/** The engines answered differently, or one did not answer. */
export class Mismatch extends Error {
  override name = 'Mismatch';
}

/** Two databases of the same tables. */
export class Pair {
  readonly #server: MariadbServer;
  readonly #engines: [string, string];
  #sides: Side[] = [];

  constructor(server: MariadbServer, engines: [string, string]) {
    this.#server = server;
    this.#engines = engines;
  }

  /**
   * Runs the program on both.
   * @returns how many statements that were
   * @throws Mismatch with a script that shows it
   */
  async run(program: Program): Promise<number> {
    const script: string[] = [];
    try {
      await this.#begin();
      const world: World = { tables: [], names: 0 };
      for (const [index, spec] of program.tables.entries()) {
        const table = makeTable(`t${index}`, spec);
        const text = createTable(table);
        await this.#both({ text, anyCount: true, effect: () => world.tables.push(table) }, script);
      }
      for (const step of program.steps) {
        const sql = world.tables.length > 0 ? statementOf(step, world) : undefined;
        if (sql) await this.#both(sql, script);
      }
      await this.#both({ text: 'COMMIT' }, script);
      for (const sql of inspection(world)) await this.#both(sql, script);
      return script.length;
    } catch (error) {
      if (!(error instanceof Mismatch)) await this.#recover();
      const shown = script.map((text) => `${text};`).join('\n');
      const reason = error instanceof Error ? error.message : String(error);
      throw new Mismatch(`${shown}\n-- ${reason}`, { cause: error });
    }
  }

  async #begin(): Promise<void> {
    if (this.#sides.length === 0) {
      for (const engine of this.#engines)
        this.#sides.push({ engine, connection: await this.#server.connect({ flags: ['-FOUND_ROWS'] }) });
    }
    for (const [index, { engine, connection }] of this.#sides.entries()) {
      const database = `d${index}`;
      await connection.changeUser({ database: 'test' });
      await ask(connection, `CREATE OR REPLACE DATABASE ${database}`);
      await ask(connection, `USE ${database}`);
      await ask(connection, `SET default_storage_engine = ${engine}, max_error_count = 65535`);
    }
  }

  /** A server that died or hangs is started again, so that the failure can be made smaller. */
  async #recover(): Promise<void> {
    for (const { connection } of this.#sides) connection.destroy();
    this.#sides = [];
    await this.#server.kill();
    await this.#server.host?.kill();
    await this.#server.host?.start();
    await this.#server.start();
  }

  async #both(sql: Sql, script: string[]): Promise<void> {
    script.push(sql.text);
    const outcomes = [];
    for (const side of this.#sides) outcomes.push(await outcomeOf(side, sql));
    const [one, other] = outcomes as [Outcome, Outcome];
    if (isLaterDuplicate(one, other)) return;
    if (!isDeepStrictEqual(one, other)) throw new Mismatch(difference(this.#engines, one, other));
    if (!one.error) sql.effect?.();
  }
}

/** Rows of a statement go to the host together: a bad value of a later row is met before a duplicate of an earlier one. */
function isLaterDuplicate(one: Outcome, other: Outcome): boolean {
  return one.error !== undefined && one.error.errno !== DUPLICATE && other.error?.errno === DUPLICATE;
}

/** The answer within a time; else the server hangs. */
async function ask(connection: mysql.Connection, sql: string): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer in ${STATEMENT_MS} ms: ${sql}`));
    }, STATEMENT_MS);
  });
  try {
    const options: mysql.QueryOptions = { sql, rowsAsArray: true, typeCast: false };
    const [result] = await Promise.race([connection.query(options), late]);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

export async function outcomeOf({ engine, connection }: Side, sql: Sql): Promise<Outcome> {
  let outcome: Outcome;
  try {
    const result = await ask(connection, sql.text);
    if (Array.isArray(result)) {
      const rows = (result as (Buffer | null)[][]).map((row) => row.map(readable).join(', '));
      outcome = { rows: sql.ordered ? rows : rows.sort(), warnings: [] };
    } else {
      const { affectedRows, info, insertId } = result as mysql.ResultSetHeader;
      outcome = { warnings: [] };
      if (!sql.anyCount) Object.assign(outcome, { affected: affectedRows, info, gaveId: insertId !== 0 });
    }
  } catch (error) {
    const { code, errno, message } = error as mysql.QueryError;
    if (errno === undefined || CONNECTION_ERRORS.includes(code)) {
      throw new Error(`on ${engine}: ${message}`, { cause: error });
    }
    // What the message names is the same where it is the same row that was refused.
    const says = code === 'ER_DUP_ENTRY' && !sql.anyRowOrder ? message : '';
    outcome = { error: { errno, message: says }, warnings: [] };
  }
  // Some leave the warnings of the statement before.
  if (!outcome.error && !KEEPS_WARNINGS.test(sql.text)) {
    const warnings = (await ask(connection, 'SHOW WARNINGS')) as Buffer[][];
    // A row that an autocommit insert sends with its commit is refused there: the server says so, too.
    const isOfCommit = ([, code]: Buffer[]) => code!.toString() === ERROR_DURING_COMMIT;
    outcome.warnings = warnings
      .filter((row) => !isOfCommit(row))
      .map((row) => row.map((value) => value.toString()).join(' '));
    if (sql.anyRowOrder) {
      outcome.warnings = outcome.warnings.map((text) => text.replace(/ at row \d+$/, '')).sort();
    }
    outcome.warnings = outcome.warnings.map((text) => text.replaceAll(/\bd[01](?=[.`])/g, 'd'));
  }
  if (sql.text.startsWith('CHECK TABLE') && outcome.rows) {
    outcome.rows = outcome.rows.map((row) => row.replaceAll(/\bd[01]\./g, 'd.'));
  }
  return outcome;
}

function readable(value: Buffer | null): string {
  if (value === null) return 'NULL';
  const text = value.toString('utf8');
  const isPlain = /^[\p{L}\p{N}\p{P}\p{S} ]*$/u.test(text) && text.length < 100 && !text.includes('\ufffd');
  return isPlain ? `'${text}'` : `x'${value.subarray(0, 60).toString('hex')}'(${value.length})`;
}

export function difference(engines: [string, string], one: Outcome, other: Outcome): string {
  const lines: string[] = [];
  const show = (value: unknown) => JSON.stringify(value) ?? 'nothing';
  for (const part of ['error', 'affected', 'info', 'gaveId', 'warnings', 'rows'] as const) {
    if (isDeepStrictEqual(one[part], other[part])) continue;
    if (part === 'rows' && one.rows && other.rows) {
      lines.push(`rows: ${one.rows.length} and ${other.rows.length}`);
      const at = one.rows.findIndex((row, index) => row !== other.rows![index]);
      const first = at < 0 ? one.rows.length : at;
      lines.push(`at row ${first}, ${engines[0]}: ${one.rows[first] ?? 'none'}`);
      lines.push(`at row ${first}, ${engines[1]}: ${other.rows[first] ?? 'none'}`);
    } else {
      lines.push(
        `${part}, ${engines[0]}: ${show(one[part])}`,
        `${part}, ${engines[1]}: ${show(other[part])}`,
      );
    }
  }
  return lines.join('\n-- ');
}
