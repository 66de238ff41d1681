import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { MariadbServer } from '../../../lab/mariadb/server.js';

// Each type and collation once with ENGINE=VAMOS and once with ENGINE=InnoDB, in one server: rows, orders and lookups by
// index are the same.

interface Sample {
  /** The type as in CREATE TABLE. */
  type: string;
  /** SQL expressions. */
  values: string[];
  /** Characters in the index; 0: all. */
  prefix?: number;
  notIndexed?: boolean;
}

const INTEGERS: Sample[] = [
  ['TINYINT', 7],
  ['SMALLINT', 15],
  ['MEDIUMINT', 23],
  ['INT', 31],
  ['BIGINT', 63],
].flatMap(([name, bits]) => {
  const top = 2n ** BigInt(bits!);
  return [
    { type: `${name}`, values: ['0', '1', '-1', String(-top), String(top - 1n), '-128', '127', '100'] },
    {
      type: `${name} UNSIGNED`,
      values: ['0', '1', '200', String(2n * top - 1n), String(top), String(top - 1n)],
    },
  ];
});

const NUMBERS: Sample[] = [
  ...INTEGERS,
  { type: 'FLOAT', values: ['0', '-0e0', '1.5', '-1.5', '3e38', '-3e38', '1e-38'] },
  { type: 'DOUBLE', values: ['0', '-0e0', '1.5', '-1.5', '1e308', '-1e308', '5e-324', '0.1'] },
  { type: 'DECIMAL(10,2)', values: ['0', '-1', '1.25', '-1.25', '99999999.99', '-99999999.99', '0.01'] },
  { type: 'DECIMAL(65,30)', values: ['0', '1e30', '-1e30', '0.000000000000000000000000000001'] },
  { type: 'BIT(1)', values: ["b'0'", "b'1'"] },
  { type: 'BIT(13)', values: ["b'0'", "b'1'", "b'1111111111111'", "b'100000000'", "b'11111111'"] },
  { type: 'BIT(64)', values: ["b'0'", "b'1'", '18446744073709551615', '9223372036854775808'] },
  { type: 'YEAR', values: ["'0000'", "'1901'", "'2155'", "'2026'", "'1970'"] },
];

const TIMES: Sample[] = [0, 1, 3, 6].flatMap((digits) => [
  {
    type: `TIME(${digits})`,
    values: [
      "'00:00:00'",
      "'-838:59:59.9'",
      "'838:59:59'",
      "'-00:00:00.5'",
      "'12:34:56.789012'",
      "'-1:00:00'",
    ],
  },
  {
    type: `DATETIME(${digits})`,
    values: [
      "'0000-00-00'",
      "'1000-01-01'",
      "'9999-12-31 23:59:59'",
      "'2026-02-03 04:05:06.789012'",
      "'2000-00-00'",
    ],
  },
  {
    type: `TIMESTAMP(${digits}) NULL`,
    values: ["'1970-01-02'", "'2038-01-18 03:14:07'", "'2026-02-03 04:05:06.789012'", "'2000-01-01'"],
  },
]);

const OTHERS: Sample[] = [
  { type: 'DATE', values: ["'0000-00-00'", "'1000-01-01'", "'9999-12-31'", "'2026-11-22'", "'2026-00-00'"] },
  { type: "ENUM('small','medium','x''y')", values: ["'medium'", "'small'", "'x''y'", "'medium'"] },
  { type: "SET('a','b','c','d','e')", values: ["''", "'a'", "'a,e'", "'b'", "'a,b,c,d,e'"] },
  {
    type: `SET(${Array.from({ length: 20 }, (_, n) => `'m${n}'`).join()})`,
    values: ["''", "'m0'", "'m19'", "'m0,m19'", "'m8,m9'"],
  },
  {
    type: 'INET6',
    values: ["'::'", "'::1'", "'fe80::1'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'", "'1.2.3.4'"],
  },
  { type: 'INET4', values: ["'0.0.0.0'", "'255.255.255.255'", "'10.1.2.3'", "'127.0.0.1'"] },
  {
    type: 'UUID',
    values: [
      "'123e4567-e89b-12d3-a456-426614174000'",
      "'00000000-0000-0000-0000-000000000001'",
      "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
      "'018f0000-1111-7000-8000-000000000000'",
      "'123e4567-e89b-12d3-a456-426614174001'",
    ],
  },
  { type: 'JSON', values: [`'{"a": [1, 2]}'`, `'null'`, `'[]'`], prefix: 8 },
  { type: 'POINT', values: ['POINT(1, 2)', 'POINT(-1, 0)'], notIndexed: true },
  { type: 'GEOMETRY', values: ["ST_GeomFromText('LINESTRING(0 0, 1 1)')", 'POINT(3, 4)'], notIndexed: true },
];

const BINARIES: Sample[] = ['BINARY(5)', 'VARBINARY(300)', 'TINYBLOB', 'BLOB', 'MEDIUMBLOB', 'LONGBLOB'].map(
  (type) => ({
    type,
    values: [
      "''",
      "x'00'",
      "x'0000'",
      "x'0001'",
      "x'00ff'",
      "'a'",
      "'a '",
      "x'6100'",
      "'abcde'",
      "x'ffffffffff'",
    ],
    ...(type.endsWith('BLOB') ? { prefix: 4 } : {}),
  }),
);

const LARGE: Sample[] = [
  {
    type: 'LONGBLOB',
    values: ["REPEAT('x', 16384)", "REPEAT('y', 16385)", "REPEAT('z', 1100000)", "''"],
    prefix: 3,
  },
  { type: 'MEDIUMTEXT', values: ["REPEAT('xyz', 20000)", "REPEAT('ü', 60000)", "''"], prefix: 100 },
  { type: 'VARCHAR(16000)', values: ["REPEAT('x', 16000)", "''", "REPEAT('ü', 9000)"], prefix: 767 },
];

/** Strings around what collations disagree on: spaces and what sorts below them, case, accents, expansions. */
const STRINGS = [
  '',
  ' ',
  '  ',
  '\t',
  ' \t',
  'a',
  'a ',
  'a  ',
  'a\t',
  'a \t',
  'a\x01',
  'A',
  'a b',
  'a  b',
  'a!',
  'ab',
  'aB',
  'ae',
  'ä',
  'Ä',
  'ß',
  'ss',
  'é',
  'c',
  'ch',
  'h',
  'z',
  '~',
  '\u0e01',
  '\u0e40\u0e01',
  '\ufdfa',
  '中文',
  'か',
  'カ',
  '😀',
  'a\u0301',
  '\u200b',
];

const TEXT_TYPES = ['CHAR(10)', 'VARCHAR(40)', 'TEXT'];

let server: MariadbServer;
let connection: Connection;

beforeAll(async () => {
  server = await MariadbServer.start();
  connection = await server.connect({ charset: 'utf8mb4', dateStrings: true, supportBigNumbers: true });
  await connection.query("SET sql_mode = '', time_zone = '+00:00'");
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function rows(sql: string): Promise<unknown[]> {
  const [found] = await connection.query<RowDataPacket[]>({ sql, rowsAsArray: true });
  return found;
}

async function both(sql: (table: string) => string): Promise<void> {
  expect(await rows(sql('vamos')), sql('vamos')).toEqual(await rows(sql('innodb')));
}

async function compare({ type, values, prefix = 0, notIndexed }: Sample): Promise<void> {
  const part = prefix > 0 ? `v(${prefix})` : 'v';
  const indexes = notIndexed ? '' : `, KEY up (${part}), KEY down (${part} DESC), KEY two (id2, ${part})`;
  for (const engine of ['vamos', 'innodb']) {
    await connection.query(`DROP TABLE IF EXISTS ${engine}`);
    await connection.query(
      `CREATE TABLE ${engine} (id INT PRIMARY KEY, id2 INT NOT NULL, v ${type}${indexes}) ENGINE=${engine}`,
    );
    const all = [...values, 'NULL', ...values.slice(0, 2), 'NULL'];
    for (let first = 0; first < all.length; first += 20) {
      const tuples = all
        .slice(first, first + 20)
        .map((value, n) => `(${first + n}, ${(first + n) % 2}, ${value})`);
      await connection.query(`INSERT INTO ${engine} VALUES ${tuples.join()}`);
    }
  }
  await both((table) => `SELECT *, HEX(v) FROM ${table} ORDER BY id`);
  if (notIndexed) return;
  await both((table) => `SELECT id FROM ${table} FORCE INDEX (up) WHERE v IS NULL ORDER BY id`);
  await both((table) => `SELECT id, HEX(v) FROM ${table} FORCE INDEX (up) ORDER BY v, id`);
  await both((table) => `SELECT id, HEX(v) FROM ${table} FORCE INDEX (down) ORDER BY v DESC, id DESC`);
  // Equal values stand in order of their primary keys, so an index gives what a sort by both gives.
  const orders = [
    ['up', 'v'],
    ['down', 'v DESC'],
  ];
  for (const [index, order] of prefix === 0 ? orders : []) {
    const byIndex = await rows(`SELECT id FROM vamos FORCE INDEX (${index}) ORDER BY ${order}`);
    expect(byIndex).toEqual(await rows(`SELECT id FROM vamos IGNORE INDEX (up, down) ORDER BY ${order}, id`));
  }
  for (const value of values) {
    for (const operator of ['=', '<', '<=', '>', '>=']) {
      await both(
        (table) => `SELECT id FROM ${table} FORCE INDEX (up) WHERE v ${operator} ${value} ORDER BY id`,
      );
    }
    expect(await rows(`SELECT id FROM vamos FORCE INDEX (down) WHERE v = ${value} ORDER BY id`)).toEqual(
      await rows(`SELECT id FROM vamos IGNORE INDEX (up, down, two) WHERE v = ${value} ORDER BY id`),
    );
    await both((table) => `SELECT id FROM ${table} FORCE INDEX (down) WHERE v >= ${value} ORDER BY id`);
    await both(
      (table) => `SELECT id FROM ${table} FORCE INDEX (two) WHERE id2 = 1 AND v <= ${value} ORDER BY id`,
    );
  }
  await both((table) => `SELECT COUNT(*), COUNT(DISTINCT v) FROM ${table}`);
  for (const engine of ['vamos', 'innodb']) {
    await connection.query(`UPDATE ${engine} SET v = ${values.at(-1)!} WHERE id % 3 = 0`);
    await connection.query(`DELETE FROM ${engine} WHERE id % 3 = 1`);
  }
  await both((table) => `SELECT id, HEX(v) FROM ${table} FORCE INDEX (up) ORDER BY v, id`);
}

const samples = { NUMBERS, TIMES, OTHERS, BINARIES, LARGE };
for (const [group, all] of Object.entries(samples)) {
  test(`${group.toLowerCase()}: rows, index orders and lookups are InnoDB's`, async () => {
    for (const sample of all) await compare(sample);
  }, 300_000);
}

test('temporal columns of mysql56_temporal_format=OFF are stored and sorted as InnoDB does', async () => {
  await connection.query('SET GLOBAL mysql56_temporal_format = OFF');
  try {
    for (const sample of TIMES) await compare(sample);
  } finally {
    await connection.query('SET GLOBAL mysql56_temporal_format = ON');
  }
}, 300_000);

/** One collation of each way to compare, and the server's defaults; but cp1250_czech_cs, which the server sorts otherwise than it compares. */
const COLLATIONS = [
  'latin1_swedish_ci',
  'latin1_german2_ci',
  'latin1_bin',
  'latin1_nopad_bin',
  'utf8mb4_general_ci',
  'utf8mb4_general_nopad_ci',
  'utf8mb4_bin',
  'utf8mb4_nopad_bin',
  'utf8mb4_unicode_ci',
  'utf8mb4_unicode_nopad_ci',
  'utf8mb4_unicode_520_ci',
  'utf8mb4_czech_ci',
  'utf8mb4_thai_520_w2',
  'utf8mb4_uca1400_ai_ci',
  'utf8mb4_uca1400_as_cs',
  'utf8mb4_uca1400_nopad_as_cs',
  'utf8mb3_general_ci',
  'utf8mb3_bin',
  'ucs2_general_ci',
  'utf16_unicode_ci',
  'utf16le_bin',
  'utf32_general_ci',
  'latin2_czech_cs',
  'gbk_chinese_ci',
  'sjis_japanese_ci',
  'tis620_thai_ci',
  'binary',
];

for (const collation of COLLATIONS) {
  test(`${collation}: character columns, whole and by prefix, are InnoDB's`, async () => {
    const charset = collation.split('_')[0]!;
    const collate = collation === 'binary' ? '' : ` COLLATE ${collation}`;
    const literals = STRINGS.map((text) => `CONVERT('${text}' USING ${charset})${collate}`);
    for (const type of TEXT_TYPES) {
      // InnoDB finds no such CHAR by its key.
      if (type.startsWith('CHAR') && /(unicode|uca1400).*_nopad/.test(collation)) continue;
      for (const prefix of type === 'TEXT' ? [3] : [0, 3]) {
        await compare({
          type: `${type} CHARACTER SET ${charset} COLLATE ${collation}`,
          values: literals,
          prefix,
        });
      }
    }
  }, 300_000);
}

test('unique keys tell apart what InnoDB tells apart', async () => {
  for (const collation of COLLATIONS) {
    const charset = collation.split('_')[0]!;
    const refused: Record<string, string[]> = {};
    for (const engine of ['vamos', 'innodb']) {
      await connection.query(`DROP TABLE IF EXISTS ${engine}`);
      await connection.query(
        `CREATE TABLE ${engine} (v VARCHAR(40) CHARACTER SET ${charset} COLLATE ${collation}, UNIQUE (v)) ENGINE=${engine}`,
      );
      refused[engine] = [];
      for (const text of STRINGS) {
        try {
          await connection.query(`INSERT INTO ${engine} VALUES (?)`, [text]);
        } catch {
          refused[engine].push(text);
        }
      }
    }
    expect(refused['vamos'], collation).toEqual(refused['innodb']);
  }
}, 300_000);
