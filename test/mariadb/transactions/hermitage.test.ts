/** The table of docs/isolation.md is what happens: on VAMOS and on InnoDB, in the same server. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../src/native.js';
import { until } from '../../../lab/daemon/daemon.js';
import { CASES, LEVELS, SETUP, type Case, type Level, type Rows, type Run } from './hermitage.js';
import { Session, lockWaits } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();
const FILE = path.join(packageRoot, 'docs/isolation.md');
const BEGIN =
  '<!-- made by test/mariadb/transactions/hermitage.test.ts; VAMOS_WRITE_DOCS=1 writes it anew -->';
const END = '<!-- end -->';

/** A transaction of a case: its statements run one after the other, beside those of the others. */
class Transaction {
  isRunning = false;
  isRefused = false;
  #last = Promise.resolve();

  constructor(readonly session: Session) {}

  /** Runs the statement behind those that it was given before; not where the transaction was refused meanwhile. */
  run(statement: string, onRows: (rows: Rows) => void): void {
    const number = ++this.#given;
    this.isRunning = true;
    this.#last = this.#last
      .then(async () => {
        if (this.isRefused) return;
        const rows = await this.session.sql(statement);
        if (Array.isArray(rows)) onRows(rows as Rows);
      })
      .catch((error: { code: string }) => {
        if (error.code !== 'ER_LOCK_DEADLOCK') throw error as unknown as Error;
        this.isRefused = true;
      })
      .finally(() => {
        if (number === this.#given) this.isRunning = false;
      });
  }
  #given = 0;

  /** @throws what a statement failed with, unless that was a deadlock */
  end(): Promise<void> {
    return this.#last;
  }
}

async function perform(
  engine: string,
  sessions: readonly Session[],
  level: Level,
  { steps }: Case,
): Promise<{ run: Run; waited: boolean }> {
  const session = sessions[0]!;
  for (const each of sessions) await each.sql('ROLLBACK', `SET SESSION TRANSACTION ISOLATION LEVEL ${level}`);
  await session.sql(...SETUP.map((text) => (text.startsWith('CREATE') ? `${text} ENGINE=${engine}` : text)));
  for (const each of sessions) await each.sql('BEGIN');

  const transactions = sessions.map((each) => new Transaction(each));
  const running = () => transactions.filter(({ isRunning }) => isRunning).length;
  const rows = new Map<number, Rows>();
  let waited = false;
  for (const [step, [number, statement]] of steps.entries()) {
    transactions[number - 1]!.run(statement, (read) => rows.set(step, read));
    // Until each of them has done what it was given, or waits for a lock.
    await until(async () => {
      const before = running();
      const locked = before > 0 ? await lockWaits(server(), engine) : 0;
      // If all wait now they all waited before: no other connection could have let them go on.
      if (locked !== before || running() !== before) return false;
      waited ||= locked > 0;
      return true;
    });
  }
  await Promise.all(transactions.map((each) => each.end()));
  const isRefused = transactions.some((each) => each.isRefused);
  const last = (await session.sql('ROLLBACK', 'SELECT * FROM test ORDER BY id')) as Rows;
  return { run: { rows, isRefused, last }, waited };
}

async function outcome(
  engine: string,
  sessions: readonly Session[],
  level: Level,
  each: Case,
): Promise<string> {
  const { run, waited } = await perform(engine, sessions, level, each);
  const how = run.isRefused ? ' (deadlock)' : waited ? ' (waits)' : '';
  return `${each.happened(run) ? '**happens**' : 'no'}${how}`;
}

test('anomalies happen at the isolation levels that docs/isolation.md says, and nowhere else', async () => {
  const open = () => Promise.all([1, 2, 3].map(() => Session.open(server())));
  const [own, theirs] = await Promise.all([open(), open()]);
  const lines = [`| Case | | ${LEVELS.join(' | ')} |`, `|---|---|${LEVELS.map(() => '---').join('|')}|`];
  for (const each of CASES) {
    const cells: string[] = [];
    for (const level of LEVELS) {
      const vamos = await outcome('VAMOS', own, level, each);
      const innodb = await outcome('InnoDB', theirs, level, each);
      cells.push(vamos === innodb ? vamos : `${vamos}; InnoDB: ${innodb}`);
    }
    lines.push(`| ${each.name} | ${each.title} | ${cells.join(' | ')} |`);
  }
  const text = await readFile(FILE, 'utf8');
  const [before, rest] = text.split(BEGIN) as [string, string];
  const after = rest.split(END)[1]!;
  const options = { ...(await resolveConfig(FILE)), filepath: FILE };
  const made = await format(`${before}${BEGIN}\n\n${lines.join('\n')}\n\n${END}${after}`, options);
  if (process.env['VAMOS_WRITE_DOCS']) await writeFile(FILE, made);
  expect(made).toBe(await readFile(FILE, 'utf8'));
}, 600_000);
