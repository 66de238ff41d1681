/**
 * Reads that the server plans as 'Using index': the host answers them from the entries of the index, and the answer is that
 * of InnoDB.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Session } from '../../../lab/mariadb/session.js';
import { until } from '../../../lab/daemon/daemon.js';
import { useServer } from '../suite.js';

const server = useServer();
const ENGINES = ['VAMOS', 'InnoDB'] as const;
const ROWS = 500;
let session: Session;

/** By name: type, and an expression of `seq` for its values. */
const COLUMNS: Record<string, [type: string, value: string]> = {
  i: ['INT NOT NULL', 'CAST(seq AS SIGNED) * 77777 - 20000000'],
  tiny: ['TINYINT', 'IF(seq % 7 = 0, NULL, CAST(seq % 256 AS SIGNED) - 128)'],
  medium: ['MEDIUMINT', 'IF(seq % 11 = 0, NULL, CAST(seq AS SIGNED) * 30000 - 8000000)'],
  umedium: ['MEDIUMINT UNSIGNED NOT NULL', 'seq * 33000'],
  big: ['BIGINT', 'IF(seq % 5 = 0, NULL, (CAST(seq AS SIGNED) - 250) * 36893488147419103)'],
  ubig: ['BIGINT UNSIGNED NOT NULL', '18446744073709551615 - seq * 36893488147419103'],
  amount: ['DECIMAL(20,6)', 'IF(seq % 9 = 0, NULL, (250 - CAST(seq AS SIGNED)) * 1234567.654321)'],
  da: ['DATE', "IF(seq % 8 = 0, NULL, IF(seq % 8 = 1, 0, '0999-01-01' + INTERVAL seq * 6000 DAY))"],
  dt: ['DATETIME(3)', "'1001-01-01' + INTERVAL seq * 600000.123 MINUTE"],
  ti: ['TIME(2) NOT NULL', 'SEC_TO_TIME(CAST(seq AS SIGNED) * 12345.67 - 3000000)'],
  ts: ['TIMESTAMP(6) NULL', 'IF(seq % 3, FROM_UNIXTIME(1 + seq * 4000000.000001), NULL)'],
  y: ['YEAR', 'IF(seq % 4 = 0, NULL, 1901 + seq % 255)'],
  fixedbytes: ['BINARY(5) NOT NULL', 'UNHEX(LPAD(HEX(seq * 16777259 % 1099511627776), 10, 0))'],
  bytes: ['VARBINARY(12)', 'IF(seq % 6 = 0, NULL, CHAR(seq % 3, 0, 255, seq % 256 USING binary))'],
  empty: ['VARBINARY(300) NOT NULL', "IF(seq % 2, '', REPEAT(CHAR(0), seq % 5))"],
  choice: ["ENUM('z', 'y', 'x')", 'IF(seq % 10 = 0, NULL, 1 + seq % 3)'],
  choices: ["SET('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i') NOT NULL", 'seq % 512'],
  bits: ['BIT(11)', 'IF(seq % 13 = 0, NULL, seq * 4 % 2048)'],
  ip: ['INET6', "IF(seq % 14 = 0, NULL, INET6_NTOA(UNHEX(LPAD(HEX(seq * 999983), 32, 'fe80'))))"],
  ident: [
    'UUID',
    "IF(seq % 15 = 0, NULL, CONCAT(LPAD(HEX(seq * 7919), 8, 'f'), '-1234-1abc-9def-00112233', LPAD(seq, 4, 0)))",
  ],
};

beforeAll(async () => {
  session = await Session.open(server(), "sql_mode = 'NO_ENGINE_SUBSTITUTION'", "time_zone = '+00:00'");
  const columns = Object.entries(COLUMNS);
  for (const engine of ENGINES) {
    await session.sql(
      `CREATE TABLE types_${engine} (id SMALLINT UNSIGNED PRIMARY KEY, low TINYINT, far VARCHAR(2000),
         ${columns.map(([name, [type]]) => `${name} ${type}`).join(', ')},
         ${columns.map(([name]) => `KEY up_${name} (${name}), KEY down_${name} (${name} DESC, low)`).join(', ')})
       ENGINE=${engine}`,
      `INSERT INTO types_${engine} (id, low, far, ${columns.map(([name]) => name).join(', ')})
       SELECT 65535 - seq, NULLIF(seq % 100, 50), REPEAT('x', 1000), ${columns.map(([, [, value]]) => value).join(', ')} FROM seq_1_to_${ROWS}`,
      `CREATE TABLE t_${engine} (
         a INT, b VARBINARY(8), c INT, u INT UNSIGNED, f DOUBLE, s VARCHAR(20), far VARCHAR(2000),
         PRIMARY KEY (a, b DESC), KEY c (c), UNIQUE u (u), UNIQUE cu (c, u DESC), KEY f (f), KEY s (s, c), KEY bs (b, s))
       ENGINE=${engine} DEFAULT CHARSET=utf8mb4`,
      `INSERT INTO t_${engine} SELECT seq % 20, CHAR(seq, 0 USING binary), IF(seq % 4 = 0, NULL, seq % 30),
         IF(seq % 10 = 0, NULL, seq), IF(seq % 3, seq / 7, -0.0), CONCAT('s', seq % 17), REPEAT('x', 1000)
       FROM seq_1_to_200`,
      `CREATE TABLE bare_${engine} (a INT, b INT, far VARCHAR(2000), KEY (a)) ENGINE=${engine}`,
      `INSERT INTO bare_${engine} SELECT seq % 40, seq, REPEAT('x', 1000) FROM seq_1_to_200`,
    );
  }
});
afterAll(() => session[Symbol.asyncDispose]());

/** The server asks for the next rows ahead, also of a query that has ended: nothing is counted before that is answered. */
async function rowsFromIndex(): Promise<number> {
  const host = server().host!;
  await until(async () => (await host.running()) === 0);
  return (await host.counters())['rowsFromIndex']!;
}

interface Answer {
  rows: unknown[];
  /** Rows that the host took from entries. */
  fromIndex: number;
}

/** What the query, of tables named NAME_*, answers on VAMOS: the same rows as on InnoDB, in any order. */
async function answer(query: string, reader = session): Promise<Answer> {
  const before = await rowsFromIndex();
  const rows = (await reader.sql(query.replaceAll('_*', '_VAMOS'))) as unknown[];
  const fromIndex = (await rowsFromIndex()) - before;
  const expected = (await reader.sql(query.replaceAll('_*', '_InnoDB'))) as unknown[];
  expect(sorted(rows), query).toEqual(sorted(expected));
  return { rows, fromIndex };
}

function sorted(rows: unknown[]): string[] {
  return rows.map((row) => JSON.stringify(row)).sort();
}

async function isIndexOnly(query: string): Promise<boolean> {
  const plan = (await session.sql(`EXPLAIN ${query.replaceAll('_*', '_VAMOS')}`)) as string[][];
  return plan.every((line) => /Using index(?! condition)/.test(line.at(-1)!));
}

describe.each(Object.keys(COLUMNS))('an index of %s', (name) => {
  test.each([`up_${name}`, `down_${name}`])('gives its values, %s', async (index) => {
    const columns = index.startsWith('up') ? `id, ${name}` : `${name}, id, low`;
    const whole = `SELECT ${columns} FROM types_* FORCE INDEX (${index})`;
    expect(await isIndexOnly(whole)).toBe(true);
    const { rows, fromIndex } = await answer(whole);
    expect(rows).toHaveLength(ROWS);
    expect(fromIndex).toBe(ROWS);
    const some = `${whole} WHERE ${name} IS NOT NULL AND id % 3 = 1 ORDER BY ${name} DESC LIMIT 50`;
    expect(await isIndexOnly(some)).toBe(true);
    expect((await answer(some)).fromIndex).toBeGreaterThan(0);
  });

  test('counts without its rows', async () => {
    const query = `SELECT COUNT(*), COUNT(${name}), MIN(id), MAX(id) FROM types_* FORCE INDEX (up_${name}) WHERE id > 65200`;
    expect((await answer(query)).fromIndex).toBe(ROWS);
  });
});

test.each([
  'SELECT a, b, c FROM t_* FORCE INDEX (c)',
  'SELECT b, c, u, a FROM t_* FORCE INDEX (cu)',
  'SELECT c, u FROM t_* FORCE INDEX (cu) WHERE c BETWEEN 5 AND 9 ORDER BY c DESC, u',
  'SELECT u, a FROM t_* FORCE INDEX (u) WHERE u > 150 ORDER BY u',
  'SELECT u, HEX(b) FROM t_* FORCE INDEX (u) WHERE u IN (3, 17, 20, 77, 1000)',
  'SELECT l.c, r.u FROM t_* l FORCE INDEX (c) JOIN t_* r FORCE INDEX (cu) ON r.c = l.c WHERE l.c > 3',
  'SELECT a FROM bare_* FORCE INDEX (a)',
])('%s', async (query) => {
  expect(await isIndexOnly(query)).toBe(true);
  const { rows, fromIndex } = await answer(query);
  expect(fromIndex).toBeGreaterThanOrEqual(rows.length);
  expect(rows.length).toBeGreaterThan(1);
});

test.each([
  ['a key of a unique index', 1, 'SELECT a, b FROM t_* WHERE u = 33'],
  [
    'keys of a unique index in a join',
    8,
    'SELECT r.a FROM bare_* l JOIN t_* r ON r.u = l.b WHERE l.b IN (1, 2, 3) OR l.a = 5',
  ],
  ['rows that are counted', 56, 'SELECT COUNT(*) FROM t_* FORCE INDEX (c) WHERE c >= 18'],
  ['rows that are counted in an index of texts', 200, 'SELECT COUNT(*), SUM(a) FROM t_* FORCE INDEX (s)'],
  [
    'values that are summed',
    200,
    'SELECT SUM(c), MAX(u), COUNT(*) FROM t_* FORCE INDEX (cu) WHERE u % 3 = 1',
  ],
])('from entries: %s', async (_, count, query) => {
  expect((await answer(query)).fromIndex).toBe(count);
});

test.each([
  ['a float has lost its sign there', 'SELECT f, a FROM t_* FORCE INDEX (f)'],
  ['a text is a sort key there', 'SELECT s, a FROM t_* FORCE INDEX (s)'],
  ['the server asks for all parts of the index, a text among them', 'SELECT b FROM t_* FORCE INDEX (bs)'],
  ['a column is not in the index', 'SELECT u FROM t_* FORCE INDEX (c) WHERE c > 2'],
  ['they are locked', 'SELECT c FROM t_* FORCE INDEX (c) WHERE c > 2 FOR UPDATE'],
])('rows are read where %s', async (_, query) => {
  const { rows, fromIndex } = await answer(query);
  expect(rows.length).toBeGreaterThan(0);
  expect(fromIndex).toBe(0);
});

test.each(['REPEATABLE READ', 'READ COMMITTED'])(
  '%s sees in an index what it sees in rows',
  async (isolation) => {
    await using reader = await Session.open(server());
    await reader.sql(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`, 'BEGIN');
    const queries = [
      'SELECT a, b, c FROM t_* FORCE INDEX (c)',
      'SELECT a, b, c, u FROM t_* FORCE INDEX (cu)',
      'SELECT COUNT(*), SUM(u) FROM t_* FORCE INDEX (u) WHERE u > 0',
      'SELECT a FROM t_* FORCE INDEX (u) WHERE u = 500',
    ];
    const look = async () => {
      for (const query of queries) {
        const { rows, fromIndex } = await answer(query, reader);
        expect(fromIndex, query).toBeGreaterThanOrEqual(Math.min(rows.length, 1));
      }
    };
    await look();
    const both = (write: string) => ENGINES.map((engine) => write.replaceAll('_*', `_${engine}`));
    await session.sql(
      ...both('UPDATE t_* SET c = c + 100 WHERE a = 7'),
      ...both('DELETE FROM t_* WHERE a = 8'),
      ...both("INSERT INTO t_* (a, b, c, u) VALUES (100, 'x', NULL, 500)"),
    );
    await look();
    // Rows that the other one changed, too, become its own.
    await reader.sql(
      ...both("UPDATE t_* SET far = 'own' WHERE a = 7"),
      ...both('UPDATE t_* SET c = NULL, u = u + 1000 WHERE a = 9'),
      ...both('DELETE FROM t_* WHERE a = 10'),
    );
    await look();
    await reader.sql(...both("INSERT INTO t_* (a, b, c, u) VALUES (101, 'x', 3, 501)"), 'SAVEPOINT s');
    await reader.sql(...both('UPDATE t_* SET c = 1, u = NULL WHERE a = 11'));
    await look();
    await reader.sql('ROLLBACK TO SAVEPOINT s');
    await look();
    await reader.sql('ROLLBACK');
    await look();
    await session.sql(
      ...both('DELETE FROM t_* WHERE a = 100'),
      ...both('UPDATE t_* SET c = c - 100 WHERE a = 7'),
    );
  },
);
