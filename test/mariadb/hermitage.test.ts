/** The table of docs/isolation.md is what happens: on VAMOS and on InnoDB, in the same server. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { until } from '../daemon/daemon.js';
import { CASES, LEVELS, SETUP, type Case, type Level, type Rows, type Run } from './hermitage.js';
import { Session } from './session.js';
import { useServer } from './suite.js';

const server = useServer();
const FILE = path.join(packageRoot, 'docs/isolation.md');
const BEGIN = '<!-- made by test/mariadb/hermitage.test.ts; VAMOS_WRITE_DOCS=1 writes it anew -->';
const END = '<!-- end -->';

/** A transaction of a case: its statements run one after the other, while those of others do. */
class Transaction {
  /** What it has not answered yet. */
  running: Promise<void> | undefined;
  isRefused = false;
  readonly later: number[] = [];

  constructor(readonly session: Session) {}
}

async function perform(
  engine: string,
  sessions: readonly Session[],
  level: Level,
  { steps }: Case,
): Promise<{ run: Run; waited: boolean }> {
  const transactions = sessions.map((session) => new Transaction(session));
  for (const session of sessions)
    await session.sql('ROLLBACK', `SET SESSION TRANSACTION ISOLATION LEVEL ${level}`);
  const session = sessions[0]!;
  await session.sql(...SETUP.map((text) => (text.startsWith('CREATE') ? `${text} ENGINE=${engine}` : text)));
  for (const each of sessions) await each.sql('BEGIN');

  const run: Run = { rows: new Map(), isRefused: false, last: [] };
  let waited = false;
  const start = (transaction: Transaction, step: number) => {
    if (transaction.isRefused) return;
    transaction.running = transaction.session.sql(steps[step]![1]).then(
      (rows) => {
        transaction.running = undefined;
        if (Array.isArray(rows)) run.rows.set(step, rows as Rows);
        const next = transaction.later.shift();
        if (next !== undefined) start(transaction, next);
      },
      (error: { code: string }) => {
        transaction.running = undefined;
        if (error.code !== 'ER_LOCK_DEADLOCK') throw error as unknown as Error;
        transaction.isRefused = run.isRefused = true;
      },
    );
  };
  for (const [step, [number]] of steps.entries()) {
    const transaction = transactions[number - 1]!;
    if (transaction.running) {
      transaction.later.push(step);
      continue;
    }
    start(transaction, step);
    // An end waits for no lock, but perhaps for the disk.
    if (isEnd(steps[step]![1])) await Promise.resolve(transaction.running);
    // Until all that still run wait for a lock.
    await until(async () => {
      const running = transactions.filter((each) => each.running !== undefined);
      if (running.length === 0) return true;
      const locked = await waiting(engine, transactions);
      const isSettled = running.length === transactions.filter((each) => each.running !== undefined).length;
      if (locked === running.length && isSettled) waited = true;
      return locked === running.length && isSettled;
    });
  }
  await until(() => transactions.every((each) => !each.running));
  run.last = (await session.sql('ROLLBACK', 'SELECT * FROM test ORDER BY id')) as Rows;
  return { run, waited };
}

const isEnd = (text: string) => ['COMMIT', 'ROLLBACK'].includes(text);

/** How many of the transactions wait for a lock. */
async function waiting(engine: string, transactions: Transaction[]): Promise<number> {
  if (engine === 'VAMOS') return (await server().host!.requests()).parked;
  const ids = transactions.map(({ session }) => session.id).join(', ');
  const sql = `SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id IN (${ids}) AND trx_state = 'LOCK WAIT'`;
  return (await server().query(sql)).length;
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
