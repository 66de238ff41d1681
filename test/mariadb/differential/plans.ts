/**
 * Plans of joins over tables whose values are spread evenly, unevenly or one by the other: they read no more rows on VAMOS than
 * on InnoDB after ANALYZE TABLE, as far as two samples can tell. Tables may have been opened while they were empty or small. Nothing is
 * pushed to the host, so that both engines count the same.
 */
import fc from 'fast-check';
import type { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';
import type { DifferentialOptions } from './property.js';
import { number16, pick } from './schema.js';

/** How many times the rows that InnoDB reads for all queries of a case, and how many more, may be read. */
const MORE_ROWS = 2;
const FEW_ROWS = 1000;
/** A query for which InnoDB reads more is left out, and its time saved. */
const MOST_ROWS = 30_000;
/** How long a failing case is made smaller. */
const SHRINK_MS = 60_000;

const COLUMNS = 4;
const SPREADS = [
  // Evenly.
  'seq * 7919 % $rows',
  'seq * 7919 % 200',
  'seq * 7919 % 20',
  // In runs.
  'seq DIV 10',
  // Few values have most of the rows.
  'FLOOR(POW(seq * 7919 % 10007 / 10007, 3) * 200)',
  'FLOOR(POW(seq * 7919 % 10007 / 10007, 4) * $rows)',
  // Mostly the same.
  'IF(seq % 10, NULL, seq)',
  'IF(seq % 50, 1, seq)',
];
/** Values that follow from another column's. */
const FOLLOWING = ['$before', '$before DIV 2', '$before % 10'];

const tableSpec = fc.record({
  rows: fc.constantFrom(20, 200, 1000, 3000),
  spreads: fc.array(number16, { minLength: COLUMNS, maxLength: COLUMNS }),
  keys: fc.array(fc.uniqueArray(fc.nat(COLUMNS - 1), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 4,
    size: 'max',
  }),
  /** Opened by a query before this share of its rows, in eighths, was there. */
  openedAt: fc.constantFrom(0, 0, 0, 1, 4, 8),
  removed: fc.constantFrom(0, 0, 0, 2, 10),
});
type TableSpec = typeof tableSpec extends fc.Arbitrary<infer Spec> ? Spec : never;
const querySpec = fc.record({
  tables: fc.array(number16, { minLength: 2, maxLength: 4, size: 'max' }),
  on: fc.array(number16, { minLength: 4, maxLength: 4 }),
  filters: fc.array(fc.record({ form: number16, table: number16, column: number16, value: number16 }), {
    minLength: 1,
    maxLength: 2,
  }),
  form: number16,
});
type QuerySpec = typeof querySpec extends fc.Arbitrary<infer Spec> ? Spec : never;
const caseSpec = fc.record({
  tables: fc.array(tableSpec, { minLength: 1, maxLength: 4, size: 'max' }),
  queries: fc.array(querySpec, { minLength: 4, maxLength: 12, size: 'max' }),
  analyzes: fc.boolean(),
});
type Case = typeof caseSpec extends fc.Arbitrary<infer Spec> ? Spec : never;

const column = (number: number) => `c${number % COLUMNS}`;

function valuesOf({ rows, spreads }: TableSpec): string[] {
  const values: string[] = [];
  for (const [at, spread] of spreads.entries()) {
    const text =
      at > 0 && spread % 3 === 0
        ? pick(FOLLOWING, spread >> 4).replace('$before', `(${values[at - 1]!})`)
        : pick(SPREADS, spread >> 4);
    values.push(text.replaceAll('$rows', String(rows)));
  }
  return values;
}

const load = (table: string, spec: TableSpec, from: number, to: number) =>
  `INSERT INTO ${table} SELECT seq, ${valuesOf(spec).join(', ')}, REPEAT('x', 40) FROM seq_${from}_to_${to}`;

function queryOf({ tables, on, filters, form }: QuerySpec, specs: readonly TableSpec[]): string {
  const chosen = tables.map((each) => each % specs.length);
  const joined = chosen.map((table, at) => {
    if (at === 0) return `t${table} a0`;
    const [first, ...others] = [on[at]!, on[at]! >> 3, on[at]! >> 6].map((choice) => {
      const left = `a${choice % at}.${choice % 11 === 0 ? 'id' : column(choice >> 2)}`;
      const right = `a${at}.${choice % 7 === 0 ? 'id' : column(choice >> 4)}`;
      return `${left} = ${right}`;
    });
    // Where two columns are compared, one of their indexes finds fewer rows.
    const all = [first, ...others.slice(0, pick([0, 1, 1, 2], on[at]! >> 10))];
    return `${pick(['JOIN', 'JOIN', 'JOIN', 'LEFT JOIN'], on[at]! >> 12)} t${table} a${at} ON ${all.join(' AND ')}`;
  });
  const conditions = filters.map((filter) => {
    const at = filter.table % chosen.length;
    const { rows } = specs[chosen[at]!]!;
    const name = `a${at}.${filter.form % 4 === 0 ? 'id' : column(filter.column)}`;
    const value = filter.value % rows;
    return pick(
      [
        `${name} = ${value}`,
        `${name} = ${value % 20}`,
        `${name} BETWEEN ${value} AND ${value + Math.ceil(rows / 50)}`,
        `${name} IN (${value}, ${value % 7}, ${value % 100})`,
      ],
      filter.form >> 2,
    );
  });
  const from = `FROM ${joined.join(' ')} WHERE ${conditions.join(' AND ')}`;
  const shown = `a0.${column(form >> 4)}`;
  return pick(
    [
      `SELECT COUNT(*), SUM(a0.c0), MAX(a${chosen.length - 1}.c1) ${from}`,
      `SELECT COUNT(*), SUM(a0.c0), MAX(a${chosen.length - 1}.c1) ${from}`,
      `SELECT ${shown}, COUNT(*) ${from} GROUP BY ${shown}`,
      `SELECT COUNT(*), SUM(c2) FROM t${chosen[0]!} WHERE ${column(form >> 6)} IN (SELECT ${shown} ${from})`,
    ],
    form,
  );
}

interface Reading {
  read: number;
  isCut: boolean;
  answer: string;
}

async function run(session: Session, query: string, most: number): Promise<Reading> {
  const counted = async () => {
    const counters = (await session.sql("SHOW SESSION STATUS LIKE 'Handler_read%'")) as [string, string][];
    return counters.reduce((sum, [, value]) => sum + Number(value), 0);
  };
  const before = await counted();
  const rows = (await session.sql(`${query} LIMIT ROWS EXAMINED ${most}`)) as unknown[];
  const warnings = (await session.sql('SHOW WARNINGS')) as unknown[][];
  const isCut = warnings.some(([, code]) => code === QUERY_CUT);
  const answer = rows.map((row) => JSON.stringify(row)).sort();
  return { read: (await counted()) - before, isCut, answer: answer.join() };
}
const QUERY_CUT = 1931;

async function prepare(session: Session, engine: string, { tables, analyzes }: Case): Promise<void> {
  await session.sql(`CREATE OR REPLACE DATABASE plans_${engine}`, `USE plans_${engine}`);
  for (const [at, spec] of tables.entries()) {
    const keys = spec.keys.map((parts) => `KEY (${parts.map(column).join(', ')})`);
    const columns = Array.from({ length: COLUMNS }, (_, number) => `${column(number)} INT`);
    await session.sql(
      `CREATE TABLE t${at} (id INT PRIMARY KEY, ${columns.join(', ')}, other VARCHAR(100), ${keys.join(', ')}) ENGINE=${engine}`,
    );
    const early = Math.floor((spec.rows * spec.openedAt) / 8);
    if (early > 0) await session.sql(load(`t${at}`, spec, 1, early));
    await session.sql(
      `SELECT COUNT(*) FROM t${at} x JOIN t${at} y ON x.c1 = y.c0 AND x.c2 = y.c2 WHERE x.id = 1`,
    );
    if (early < spec.rows) await session.sql(load(`t${at}`, spec, early + 1, spec.rows));
    if (spec.removed > 0) await session.sql(`DELETE FROM t${at} WHERE id % ${spec.removed} = 0`);
  }
  if (analyzes || engine === 'InnoDB')
    await session.sql(`ANALYZE TABLE ${tables.map((_, at) => `t${at}`).join()}`);
}

/** @returns rows that each of the engines read */
async function runCase(
  sessions: readonly [Session, Session],
  engines: [string, string],
  each: Case,
): Promise<[number, number]> {
  await Promise.all(sessions.map((session, at) => prepare(session, engines[at]!, each)));
  const lines: string[] = [];
  const total: [number, number] = [0, 0];
  for (const spec of each.queries) {
    const query = queryOf(spec, each.tables);
    const right = await run(sessions[1], query, MOST_ROWS);
    if (right.isCut) continue;
    const own = await run(sessions[0], query, MOST_ROWS * 20);
    lines.push(`${query}; -- ${own.read} rows, ${engines[1]} ${right.read}`);
    if (!own.isCut && own.answer !== right.answer)
      throw new Error(`${query}\n-- answers ${own.answer} and ${right.answer}`);
    total[0] += own.read;
    total[1] += right.read;
  }
  if (total[0] > total[1] * MORE_ROWS + FEW_ROWS) {
    const tables = each.tables.map(
      (spec, at) =>
        `-- t${at}: ${JSON.stringify(spec.keys)}, ${spec.rows} rows, opened at ${spec.openedAt} of 8: ${valuesOf(spec).join(', ')}`,
    );
    throw new Error(
      [...tables, ...lines, `-- ${engines[0]} read ${total[0]} rows, ${engines[1]} ${total[1]}`].join('\n'),
    );
  }
  return total;
}

export const PLANS_SERVER = {
  args: [
    '--innodb-buffer-pool-size=64M',
    '--vamos-pushdown=OFF',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-flush-method=nosync',
  ],
};

/**
 * @returns rows that the engines read
 * @throws Error with the smallest case that was found in which the first one reads many more rows
 */
export async function checkPlans(
  server: MariadbServer,
  { runs, seed, path, engines = ['VAMOS', 'InnoDB'], progress }: DifferentialOptions,
): Promise<[number, number]> {
  // What an engine filters by itself it does not count.
  const settings = "optimizer_switch = 'index_condition_pushdown=off,rowid_filter=off'";
  await using one = await Session.open(server, settings);
  await using other = await Session.open(server, settings);
  const total: [number, number] = [0, 0];
  let done = 0;
  let queries = 0;
  let failedAt: number | undefined;
  const property = fc.asyncProperty(caseSpec, async (each) => {
    if (failedAt !== undefined && Date.now() - failedAt > SHRINK_MS) return;
    try {
      const read = await runCase([one, other], engines, each);
      if (failedAt !== undefined) return;
      total[0] += read[0];
      total[1] += read[1];
      queries += each.queries.length;
      progress?.(++done, queries);
    } catch (error) {
      failedAt ??= Date.now();
      throw error;
    }
  });
  const details = await fc.check(property, { numRuns: runs, seed, ...(path !== undefined && { path }) });
  if (details.failed) {
    const { errorInstance, counterexamplePath } = details;
    const text = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
    throw new Error(`seed ${seed}, path ${counterexamplePath}, case ${done + 1}:\n${text}`);
  }
  return total;
}
