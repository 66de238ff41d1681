/** Runs the same statements on tables of several engines in one server, and compares all that a client sees of them. */
import { isDeepStrictEqual } from 'node:util';
import type mysql from 'mysql2/promise';
import type { MariadbServer } from '../../../lab/mariadb/server.js';
import type { Sql } from './sql.js';

/** A statement that takes longer hangs. */
const STATEMENT_MS = 120_000;
const CONNECTION_ERRORS = ['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'ENOENT'];

const CHANGES_ROWS = /^(INSERT|REPLACE|UPDATE|DELETE)/;
const KEEPS_WARNINGS = /^(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|SELECT (@|IS_FREE_LOCK)|PREPARE)/;

/** What a client sees of a statement. */
export interface Outcome {
  error?: {
    errno: number;
    message: string;
    /** Numbers of all errors that the server tells of a statement which changes rows. */
    errors?: number[];
  };
  /** The name and type of each column. */
  columns?: string[];
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

/** Where statements run that must mean the same everywhere. */
export interface SideOptions {
  /** The side's name in messages; by default its tables' engine. */
  name: string;
  engine?: string;
  /** Settings of each of its connections. */
  settings?: string;
  /** The number of connections to each; 1 if not given. */
  connections?: number;
}

/** The engines answered differently, or one did not answer. */
export class Mismatch extends Error {
  override name = 'Mismatch';
}

/** Runs statements of a sequence on all sides. */
export type Run = (sql: Sql) => Promise<void>;

/** Databases of the same tables; the last one is right. */
export class Sides {
  readonly #server: MariadbServer;
  readonly #options: readonly SideOptions[];
  /** Connections by side, then by number. */
  #sides: Side[][] = [];

  constructor(server: MariadbServer, options: readonly SideOptions[]) {
    this.#server = server;
    this.#options = options;
  }

  /**
   * Runs a sequence of statements on all, in databases of their own.
   * @returns how many statements that were
   * @throws Mismatch with a script that shows it
   */
  async run(sequence: (run: Run) => Promise<void>): Promise<number> {
    const script: string[] = [];
    try {
      await this.#begin();
      await sequence((sql) => this.#all(sql, script));
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
      for (const { name, engine = name, connections = 1 } of this.#options) {
        const side: Side[] = [];
        this.#sides.push(side);
        for (let n = 0; n < connections; n++)
          side.push({ engine, connection: await this.#server.connect({ flags: ['-FOUND_ROWS'] }) });
      }
    }
    await Promise.all(
      this.#sides.map(async (side, index) => {
        const database = `d${index}`;
        const { settings } = this.#options[index]!;
        for (const { connection } of side) await connection.changeUser({ database: 'test' });
        await ask(side[0]!.connection, `CREATE OR REPLACE DATABASE ${database}`);
        for (const { connection, engine } of side) {
          await ask(connection, `USE ${database}`);
          await ask(connection, `SET default_storage_engine = ${engine}, max_error_count = 65535`);
          if (settings !== undefined) await ask(connection, `SET ${settings}`);
        }
      }),
    );
  }

  /** A server that died or hangs is started again, so that the failure can be made smaller. */
  async #recover(): Promise<void> {
    for (const { connection } of this.#sides.flat()) connection.destroy();
    this.#sides = [];
    await this.#server.kill();
    await this.#server.host?.kill();
    await this.#server.host?.start();
    await this.#server.start();
  }

  async #all(sql: Sql, script: string[]): Promise<void> {
    const number = sql.connection ?? 0;
    script.push(number > 0 ? `/* connection ${number} */ ${sql.text}` : sql.text);
    const outcomes = await Promise.all(this.#sides.map((side) => outcomeOf(side[number]!, sql)));
    const right = outcomes.at(-1)!;
    for (const [index, outcome] of outcomes.entries()) {
      if (sql.anyError && (outcome.error || right.error)) return;
      if (isDeepStrictEqual(outcome, right)) continue;
      throw new Mismatch(
        difference([this.#options[index]!.name, this.#options.at(-1)!.name], outcome, right),
      );
    }
    if (!right.error) sql.effect?.();
  }
}

type Answer = [result: unknown, columns: mysql.FieldPacket[] | undefined];

/** Returns the answer, which must come within a time; else the server hangs. */
async function ask(connection: mysql.Connection, sql: string): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer in ${STATEMENT_MS} ms: ${sql}`));
    }, STATEMENT_MS);
  });
  try {
    const options: mysql.QueryOptions = { sql, rowsAsArray: true, typeCast: false };
    return await Promise.race([connection.query(options), late]);
  } finally {
    clearTimeout(timer);
  }
}

export async function outcomeOf({ engine, connection }: Side, sql: Sql): Promise<Outcome> {
  let outcome: Outcome;
  try {
    const [result, columns] = await ask(connection, sql.text);
    if (Array.isArray(result)) {
      const rows = (result as (Buffer | null)[][]).map((row) => row.map(readable).join(', '));
      outcome = {
        ...(sql.columns && { columns: (columns ?? []).map(describeColumn) }),
        rows: sql.ordered ? rows : rows.sort(),
        warnings: [],
      };
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
    if (CHANGES_ROWS.test(sql.text)) outcome.error!.errors = await errorsOf(connection);
  }
  // Some leave the warnings of the statement before.
  if (!outcome.error && !sql.anyWarnings && !KEEPS_WARNINGS.test(sql.text)) {
    const warnings = (await ask(connection, 'SHOW WARNINGS'))[0] as Buffer[][];
    outcome.warnings = warnings.map((row) => row.map((value) => value.toString()).join(' '));
    outcome.warnings = outcome.warnings.map((text) => text.replaceAll(/\bd\d(?=[.`])/g, 'd'));
    // They come as the rows are read, and count them: which index that is by is the optimizer's choice, by each engine's costs.
    if (sql.anyRowOrder || (outcome.rows && !sql.ordered)) {
      outcome.warnings = outcome.warnings.map((text) => text.replace(/ at row \d+$/, '')).sort();
    }
  }
  if (/^(CHECK|OPTIMIZE) TABLE/.test(sql.text) && outcome.rows) {
    outcome.rows = outcome.rows.map((row) => row.replaceAll(/\b[di]\d\./g, 'd.'));
  }
  return outcome;
}

async function errorsOf(connection: mysql.Connection): Promise<number[]> {
  const errors = (await ask(connection, 'SHOW ERRORS'))[0] as Buffer[][];
  return errors.map(([, code]) => Number(code));
}

function describeColumn(column: mysql.FieldPacket): string {
  const { name, columnType, columnLength, decimals, characterSet, flags } = column;
  return [name, columnType, columnLength, decimals, characterSet, flags].map(String).join(' ');
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
  for (const part of ['error', 'columns', 'affected', 'info', 'gaveId', 'warnings', 'rows'] as const) {
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
