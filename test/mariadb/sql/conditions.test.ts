import { afterAll, beforeAll, expect, test } from 'vitest';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';

// Conditions that the host evaluates. Each is tried with vamos_pushdown on and off: the rows are the same, and EXPLAIN
// tells whether all of it went to the host.

let server: MariadbServer;
let session: Session;

const TABLE = `CREATE TABLE t (
  id INT PRIMARY KEY, tiny TINYINT, small SMALLINT UNSIGNED, medium MEDIUMINT, whole INT, big BIGINT,
  large BIGINT UNSIGNED, flag BOOLEAN, money DECIMAL(10,2), price DECIMAL(20,6), huge DECIMAL(65,10), ratio DOUBLE,
  single FLOAT, fixed DOUBLE(10,2), day DATE, moment DATETIME, other_moment DATETIME, exact DATETIME(6), span TIME, long_span TIME(3),
  stamp TIMESTAMP NULL, fine_stamp TIMESTAMP(3) NULL, year YEAR, bits BIT(12), bits_63 BIT(63), bits_64 BIT(64),
  word VARCHAR(20) COLLATE utf8mb4_bin,
  loose VARCHAR(20) COLLATE utf8mb4_nopad_bin, latin VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin,
  fold VARCHAR(20) COLLATE utf8mb4_general_ci, code CHAR(4) CHARACTER SET latin1 COLLATE latin1_bin,
  raw VARBINARY(20), four BINARY(4), blob_column BLOB, kind ENUM('a', 'b', 'c'), twice BIGINT AS (whole * 2) VIRTUAL,
  KEY (whole), KEY (word), KEY (moment))`;

const WORDS = [
  'a',
  'a ',
  'ab',
  'abc',
  'A',
  'ä',
  'b',
  '',
  ' ',
  '%',
  'a%b',
  'a_b',
  'a\\\\b',
  'zz',
  '\\t',
  'aéö',
];

/** A row of values that meet each other's limits; some are NULL. */
function row(id: number): string {
  const orNull = (period: number, value: string) => (id % period === 3 ? 'NULL' : value);
  const word = `'${WORDS[id % WORDS.length]}'`;
  const edge = id % 50;
  const big = ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-1', '0'][id % 5]!;
  const day = ["'0000-00-00'", "'2024-00-00'", "'2024-02-29'", "'1000-01-01'", "'9999-12-31'"];
  return `(${[
    id,
    orNull(7, `${(edge - 25) * 5}`),
    orNull(8, `${edge * 1300}`),
    orNull(9, `${(edge - 25) * 300000}`),
    orNull(5, `${(edge - 25) * 80000000}`),
    orNull(11, id % 4 === 0 ? big : `${(edge - 25) * 1000}`),
    orNull(12, id % 4 === 0 ? '18446744073709551615' : `${edge}`),
    orNull(6, `${id % 2}`),
    orNull(7, `${(edge - 25) * 1.25}`),
    orNull(8, `${(edge - 25) * 1234567}.${String(edge).padStart(6, '0')}`),
    orNull(9, `${edge - 25}.0000000001`),
    orNull(7, id % 6 === 0 ? big : `${(edge - 25) / 4}`),
    orNull(6, `${(edge - 25) / 10}`),
    orNull(5, `${edge}.55`),
    orNull(8, id % 4 === 0 ? day[id % day.length]! : `'2024-01-01' + INTERVAL ${edge} DAY`),
    orNull(9, id % 7 === 0 ? "'0000-00-00'" : `'2024-01-01' + INTERVAL ${edge} HOUR`),
    orNull(5, `'2024-01-01' + INTERVAL ${id % 40} HOUR`),
    orNull(7, `'2024-01-01 00:00:00.5' + INTERVAL ${edge * 100001} MICROSECOND`),
    orNull(6, `SEC_TO_TIME((${edge} - 25) * 3000)`),
    orNull(5, `SEC_TO_TIME((${edge} - 25) * 0.25)`),
    orNull(8, id % 9 === 0 ? "'0000-00-00'" : `'2024-03-30 20:00:00' + INTERVAL ${edge * 20} HOUR`),
    orNull(7, `'2024-06-01 12:00:00.125' + INTERVAL ${edge * 250000} MICROSECOND`),
    orNull(6, ['0', '1901', '1970', '2000', '2155'][id % 5]!),
    orNull(9, `${edge * 80}`),
    orNull(8, ['9223372036854775807', '0', '1', '3'][id % 4]!),
    orNull(7, ['18446744073709551615', '0', '9223372036854775808', '3'][id % 4]!),
    orNull(7, word),
    orNull(8, word),
    orNull(9, word),
    orNull(5, word),
    orNull(6, `LEFT(${word}, 4)`),
    orNull(7, word),
    orNull(8, `LEFT(${word}, 2)`),
    orNull(9, `REPEAT('x', ${edge % 3 === 0 ? edge * 1000 : edge})`),
    orNull(5, `'${['a', 'b', 'c'][id % 3]}'`),
  ].join(', ')}, DEFAULT)`;
}

beforeAll(async () => {
  // Summer time begins on 2024-03-31 at 2:00.
  server = await MariadbServer.start({ environment: { TZ: 'CET-1CEST,M3.5.0,M10.5.0/3' } });
  session = await Session.open(server, "sql_mode = 'ALLOW_INVALID_DATES'", "time_zone = '+02:00'");
  await session.sql(
    `${TABLE} ENGINE=VAMOS`,
    `INSERT INTO t VALUES ${Array.from({ length: 300 }, (_, id) => row(id)).join(',')}`,
    'ANALYZE TABLE t',
  );
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function rows(condition: string, pushdown: 'ON' | 'OFF'): Promise<unknown> {
  return session.sql(
    `SET SESSION vamos_pushdown = ${pushdown}`,
    `SELECT id FROM t IGNORE INDEX (whole, word, moment) WHERE ${condition} ORDER BY id`,
  );
}

async function extra(condition: string): Promise<string> {
  const plan = (await session.sql(
    'SET SESSION vamos_pushdown = ON',
    `EXPLAIN SELECT * FROM t IGNORE INDEX (whole, word, moment) WHERE ${condition}`,
  )) as string[][];
  return plan[0]!.at(-1)!;
}

/** The same rows with and without. */
async function expectPushed(condition: string): Promise<void> {
  expect(await rows(condition, 'ON'), condition).toEqual(await rows(condition, 'OFF'));
  expect(await extra(condition), condition).toContain('pushed condition');
}

async function expectKept(condition: string): Promise<void> {
  expect(await rows(condition, 'ON'), condition).toEqual(await rows(condition, 'OFF'));
  expect(await extra(condition), condition).not.toContain('pushed condition');
}

const OPERATORS = ['=', '<>', '<', '<=', '>', '>=', '<=>'];

/** Column and constants that it is compared with. */
const COMPARED: [string, string[]][] = [
  ['tiny', ['0', '5', '-125', '127', '200', '-300', '0.5', '4.9', 'NULL', "'5'", '18446744073709551615']],
  ['small', ['0', '1300', '65535', '-1', '1299.5', "'1300'", '9223372036854775807']],
  ['medium', ['0', '300000', '-8388608', '-300000.000']],
  ['whole', ['80000000', '-80000000', '2147483648', '80000000.5', "' 80000000'"]],
  [
    'big',
    ['0', '-1', '9223372036854775807', '9223372036854775808', '-9223372036854775808', "'1000'", '-1.5'],
  ],
  ['large', ['0', '18446744073709551615', '-1', '9223372036854775808', '18446744073709551614.5']],
  ['flag', ['0', '1', 'TRUE', 'FALSE', '2']],
  ['money', ['0', '1.25', '1.250000', '1.251', '-31.25', '10', "'1.25'", '99999999999.999']],
  ['price', ['0', '1234567.000026', '-30864175', '0.0000001']],
  ['ratio', ['0', '0.25', '0.25e0', '-6.25', '1e300', '9223372036854775807', "'0.25'", '1/4']],
  ['single', ['0', '0.1', '0.1e0', '0.5', '-2.5']],
  [
    'day',
    ["'2024-01-10'", "'2024-1-10'", "'0000-00-00'", "'2024-00-00'", "'2024-01-10 00:00:01'", '20240110'],
  ],
  ['day', ["DATE'2024-02-29'", "TIMESTAMP'2024-01-10 12:00:00'", "'9999-12-31'", "'24-01-10'"]],
  ['moment', ["'2024-01-01 10:00:00'", "'2024-01-02'", "'0000-00-00'", '20240101100000', "DATE'2024-01-02'"]],
  ['moment', ["'2024-01-01 10:00:00.5'", "'2024-01-01 09:59:59.999999'"]],
  ['exact', ["'2024-01-01 00:00:00.5'", "'2024-01-01 00:00:01.500010'", "'2024-01-01 00:00:02'"]],
  ['span', ["'00:00:00'", "'-10:00:00'", "'08:20:00.5'", "'-00:50:00.25'", "TIME'01:40:00'", '14000']],
  ['long_span', ["'00:00:00.250'", "'-00:00:00.2505'", "'00:00:01.0001'", "'-00:00:06.25'"]],
  ['stamp', ["'2024-04-01 12:00:00'", "'2024-04-01 12:00:00.5'", "'0000-00-00'", "DATE'2024-04-01'"]],
  ['fine_stamp', ["'2024-06-01 12:00:01.125'", "'2024-06-01 12:00:01.1255'", "'2024-06-01'"]],
  ['year', ['0', '1901', '2000', '1000', '3000', '-1', "'1970'", '70']],
  ['bits', ['0', '80', "b'1010000'", '4095', '5000', '80e0']],
  ['bits_63', ['0', '9223372036854775807', '-1', '2.5', '2.5e0', '9223372036854775808e0', "'3'"]],
  ['bits_64', ['0', '18446744073709551615', '9223372036854775808', '-1', '2.5', "'3'"]],
  ['word', ["'a'", "'a '", "'ab'", "''", "'ä'", "'aéö'", "'\\\\t'", "'%'", "CONCAT('a', 'b')", 'NULL']],
  ['loose', ["'a'", "'a '", "'ab'", "''"]],
  ['latin', ["'a'", "'a '", "'ä'", "''"]],
  ['code', ["'a'", "'a '", "'ab'", "''", "'zz'"]],
  ['raw', ["'a'", "'a '", "'ab'", "''", "x'c3a4'"]],
  ['four', ["'a'", "'a\\\\0\\\\0\\\\0'", "'zz\\\\0\\\\0'"]],
  ['fold', ["BINARY 'a'"]],
  ['LENGTH(blob_column)', ['0', '1', '30000']],
  ['LENGTH(word)', ['0', '1', '3.0']],
  ['tiny + medium', ['0', '300005', '-125']],
  ['whole * tiny', ['0', '400000000', '-1']],
  ['-money', ['1.25', '-31.25']],
  ['money * 2 - tiny', ['0', '10.00', '7.5']],
  ['medium', ['tiny', 'whole', 'money']],
  ['big', ['large', 'price']],
  ['latin', ['code']],
  ['raw', ['four']],
  ['moment', ['other_moment']],
];

test.each(COMPARED)('%s is compared by the host as by the server: %j', async (column, constants) => {
  for (const constant of constants) {
    for (const operator of OPERATORS) await expectPushed(`${column} ${operator} ${constant}`);
    await expectPushed(`${constant} >= ${column}`);
  }
});

test.each([
  'tiny BETWEEN -5 AND 10',
  'tiny NOT BETWEEN -5 AND 10',
  'tiny NOT BETWEEN NULL AND 10',
  'tiny BETWEEN 0.5 AND 10.5',
  'money BETWEEN -1.25 AND 7',
  'ratio BETWEEN -1 AND 1.5',
  "day BETWEEN '2024-01-10' AND '2024-01-20 12:00:00'",
  "moment BETWEEN '2024-01-01 03:00:00' AND '2024-01-01 20:00:00.5'",
  "stamp NOT BETWEEN '2024-04-01' AND '2024-04-01 13:00:00'",
  "span BETWEEN '-05:00:00' AND '05:00:00'",
  "word BETWEEN 'a' AND 'b'",
  '5 BETWEEN tiny AND small',
  'tiny IN (0, 5, 10)',
  'tiny NOT IN (0, 5, 10)',
  'tiny IN (0, NULL, 10)',
  'tiny NOT IN (0, NULL, 10)',
  'large IN (18446744073709551615, -1, 3)',
  'money IN (1.25, 2.5, 10, -1.250)',
  'ratio IN (0.25, 1, 2.5e0)',
  "day IN ('2024-01-10', '2024-01-11 00:00:01', NULL)",
  "moment IN ('2024-01-01 10:00:00', '2024-01-01 11:00:00')",
  "stamp IN ('2024-04-01 12:00:00', '2024-04-01 12:00:00.5')",
  'year IN (1901, 2000, 1)',
  "word IN ('a', 'ä', '')",
  "word NOT IN ('a', NULL)",
  "raw IN ('a', 'ab')",
  "word LIKE 'a%'",
  "word NOT LIKE 'a%'",
  "word LIKE 'a'",
  "word LIKE 'a '",
  "word LIKE 'a\\\\\\\\%'",
  "word LIKE 'a|%%' ESCAPE '|'",
  "word LIKE '%'",
  "word LIKE 'aé%'",
  "code LIKE 'a%'",
  "raw LIKE 'a%'",
  'whole IS NULL',
  'whole IS NOT NULL',
  'blob_column IS NULL',
  'kind IS NOT NULL',
  'fold IS NULL',
  'tiny + medium IS NULL',
  'flag',
  'NOT flag',
  'ratio AND money',
  '(tiny > 5) IS TRUE',
  '(tiny > 5) IS NOT TRUE',
  '(tiny > 5) IS FALSE',
  '(tiny > 5) IS NOT FALSE',
  'tiny > 5 XOR small > 1300',
  'tiny XOR small',
  'tiny > 5 AND small > 1300 AND word IS NOT NULL',
  "tiny > 5 OR small < 13000 OR word = 'a'",
  'NOT (tiny > 5 OR NOT (small > 1300 AND money < 3))',
])('%s is the same on the host', async (condition) => {
  await expectPushed(condition);
});

test.each([
  ['a collation that folds', "fold = 'a'"],
  ['a column of another character set', 'word = latin'],
  ['LIKE that begins with a wildcard', "word LIKE '%a'"],
  ['LIKE with a wildcard in its midst', "word LIKE 'a_b'"],
  ['numbers with a fixed fraction, which are equal where they nearly are', 'fixed = 5.55'],
  ['more digits than the host counts with', 'huge = 1'],
  ['a sum that may overflow', 'whole * whole * 2 > 0'],
  ['a difference that may be negative', 'small - small >= 0'],
  ['a column that the server computes', 'twice = 160000000'],
  ['a number in the place of a word', 'word = 0'],
  ['an enumeration', "kind = 'a'"],
  ['64 bits beside a number in floating point', 'bits_64 < 2.5e0'],
  ['64 bits between numbers in floating point', 'bits_64 BETWEEN -1e30 AND 3e0'],
  ['64 bits in a list of numbers in floating point', 'bits_64 IN (0e0, 3e0, -1e0)'],
  ['XOR of a fraction, which the server takes as a whole number', 'money XOR tiny > 5'],
  ['XOR with a constant fraction', 'tiny XOR 0.4'],
  ['RAND()', 'tiny > 1000 + RAND()'],
  ['a subquery', 'tiny > (SELECT MIN(id) FROM t AS other)'],
  ['a function of a column', 'ABS(tiny) = 5'],
])('%s stays with the server', async (_, condition) => {
  await expectKept(condition);
});

test('local times near a change of the clocks stay with the server', async () => {
  await session.sql('SET SESSION time_zone = SYSTEM');
  try {
    await expectKept("stamp > '2024-03-31 03:30:00'");
    await expectKept("stamp <= '2024-03-30 22:00:00'");
    await expectPushed("stamp > '2024-04-05 12:00:00'");
    await expectPushed("stamp <= '2024-04-05 12:00:00.5'");
  } finally {
    await session.sql("SET SESSION time_zone = '+02:00'");
  }
});

async function pushedConditions(): Promise<number> {
  const status = (await session.sql("SHOW GLOBAL STATUS LIKE 'Vamos_pushed_conditions'")) as string[][];
  return Number(status[0]![1]);
}

test('of an AND the host evaluates the parts that it can', async () => {
  const condition = 'tiny > 5 AND ABS(small) > 1300';
  await expectKept(condition);
  const before = await pushedConditions();
  await rows(condition, 'OFF');
  expect(await pushedConditions()).toBe(before);
  await rows(condition, 'ON');
  expect(await pushedConditions()).toBeGreaterThan(before);
});

test('what a parameter or variable is this time is what is compared', async () => {
  await session.sql(
    'SET SESSION vamos_pushdown = ON',
    "PREPARE s FROM 'SELECT COUNT(*) FROM t WHERE id < ? AND id >= @least'",
    'CREATE PROCEDURE counted(most INT) SELECT COUNT(*) FROM t WHERE id < most',
  );
  const counts: unknown[] = [];
  for (const [most, least] of [
    [100, 10],
    [50, 20],
    [300, 0],
  ]) {
    await session.sql(`SET @most = ${most}, @least = ${least}`);
    counts.push(await session.sql('EXECUTE s USING @most'));
    counts.push(((await session.sql(`CALL counted(${most})`)) as unknown[])[0]);
  }
  expect(counts).toEqual([90, 100, 30, 50, 300, 300].map((count) => [[count]]));
});

test('a condition holds for its statement alone', async () => {
  await session.sql('SET SESSION vamos_pushdown = ON', 'SELECT id FROM t WHERE tiny = 5 LIMIT 1');
  expect(await session.sql('SELECT COUNT(id) FROM t')).toEqual([[300]]);
  expect(await session.sql('SELECT COUNT(*) FROM (SELECT id FROM t) AS all_of_them')).toEqual([[300]]);
});

test('EXPLAIN tells which part an index answers', async () => {
  const plan = (await session.sql(
    'SET SESSION vamos_pushdown = ON',
    'EXPLAIN SELECT * FROM t FORCE INDEX (whole) WHERE whole BETWEEN 80000000 AND 400000000 AND tiny > 5',
  )) as string[][];
  expect(plan[0]!.at(-1)).toContain('Using index condition');
  expect(plan[0]!.at(-1)).toContain('Using where with pushed condition');
});

test.each([
  't LEFT JOIN t AS u ON u.id = t.tiny AND u.flag = 1 WHERE t.small > 1300',
  't LEFT JOIN t AS u ON u.id = t.tiny WHERE u.flag IS NULL',
  't LEFT JOIN t AS u ON u.whole = t.whole AND u.tiny > t.tiny WHERE t.id < 200',
  't JOIN t AS u ON u.whole = t.whole AND u.tiny > t.small WHERE t.id < 200 AND u.id > 5',
  't JOIN t AS u ON u.whole = t.whole AND u.whole > t.tiny + 5 WHERE u.money < 20',
  't JOIN t AS u ON u.id = t.tiny AND u.small > t.small WHERE t.flag AND u.money < 20',
  't WHERE EXISTS (SELECT 1 FROM t AS u WHERE u.whole = t.whole AND u.tiny > t.tiny AND u.flag = 1)',
  't WHERE t.tiny IN (SELECT u.id FROM t AS u WHERE u.flag = 1)',
  't WHERE t.tiny NOT IN (SELECT u.tiny FROM t AS u WHERE u.tiny > 5)',
  't WHERE t.tiny > (SELECT MIN(u.tiny) FROM t AS u WHERE u.whole = t.whole AND u.flag = 1)',
  '(SELECT * FROM t WHERE flag = 1) AS u WHERE u.tiny > 5',
  "t FORCE INDEX (whole, word) WHERE (whole > 800000000 OR word > 'ab') AND flag = 1",
])('queries have the same rows: FROM %s', async (from) => {
  const of = from.includes('AS u ON') ? 't.id, u.id' : 'id';
  const query = `SELECT COUNT(*), SUM(CRC32(CONCAT_WS(',', ${of}))) FROM ${from}`;
  for (const level of [2, 6, 8]) {
    await session.sql(
      `SET SESSION join_cache_level = ${level}, optimizer_switch = 'mrr=on,mrr_cost_based=off'`,
      'SET SESSION vamos_pushdown = OFF',
    );
    const kept = await session.sql(query);
    await session.sql('SET SESSION vamos_pushdown = ON');
    expect(await session.sql(query), `join_cache_level ${level}`).toEqual(kept);
  }
});

test('rows that a locking read leaves out keep their locks at REPEATABLE READ and lose them at READ COMMITTED', async () => {
  const other = await Session.open(server, 'vamos_lock_wait_timeout = 0', "sql_mode = 'ALLOW_INVALID_DATES'");
  await session.sql('SET SESSION vamos_pushdown = ON');
  const [[wanted]] = (await session.sql('SELECT MIN(id) FROM t WHERE tiny = 5')) as [[number]];
  const [[left]] = (await session.sql('SELECT MIN(id) FROM t WHERE tiny <> 5')) as [[number]];
  const change = (id: number) => `UPDATE t SET medium = 1 - medium WHERE id = ${id}`;
  for (const [isolation, mayChange] of [
    ['REPEATABLE READ', false],
    ['READ COMMITTED', true],
  ] as const) {
    await session.sql(
      `SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`,
      'BEGIN',
      'SELECT id FROM t IGNORE INDEX (whole) WHERE tiny = 5 FOR UPDATE',
    );
    if (mayChange) await other.sql(change(left));
    else expect(await other.code(change(left))).toBe('ER_LOCK_WAIT_TIMEOUT');
    expect(await other.code(change(wanted))).toBe('ER_LOCK_WAIT_TIMEOUT');
    await session.sql('ROLLBACK');
  }
  await other[Symbol.asyncDispose]();
});
