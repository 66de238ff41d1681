/** A TypeScript connector's filters and aggregates on tables that MariaDB made. */
import type mysql from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, type Filter, type Table, type TableDefinition, type Vamos } from '../../entry/guest.js';
import { useServer } from './suite.js';

const server = useServer({ args: ['--default-time-zone=SYSTEM'] });
let connection: mysql.Connection;
let vamos: Vamos;
let goods: Table<TableDefinition>;

const sql = async (text: string): Promise<Record<string, unknown>[]> =>
  (await connection.query<mysql.RowDataPacket[]>(text))[0];

beforeAll(async () => {
  connection = await server().connect({ supportBigNumbers: true, charset: 'utf8mb4' });
  await sql(`CREATE TABLE goods (
    id INT PRIMARY KEY, stock SMALLINT UNSIGNED, huge BIGINT UNSIGNED, price DECIMAL(10,2), rate DOUBLE, part FLOAT,
    made DATE, sold DATETIME(3), seen TIMESTAMP NULL, lasts TIME(1), year YEAR, colour ENUM('red','green'), flags BIT(10),
    code CHAR(6) COLLATE latin1_bin, name VARCHAR(30) COLLATE utf8mb4_bin, exact VARCHAR(30) COLLATE utf8mb4_nopad_bin,
    label VARCHAR(30) COLLATE utf8mb4_general_ci, raw VARBINARY(10), note TEXT, address INET6
  ) ENGINE=VAMOS CHARSET=utf8mb4`);
  await sql(`INSERT INTO goods VALUES
    (1, 0, 18446744073709551615, -1.50, 0.1, 0.1, '2024-02-29', '2024-02-29 10:00:00.250', '2024-02-29 10:00:00', '-00:00:01.5',
      1999, 'red', b'1000000001', 'ab', 'tea', 'tea', 'Tea', 'a', 'one', '::1'),
    (2, 65535, 0, 99999999.99, -2, 1.5, '1000-01-01', '1999-12-31 23:59:59.999', NULL, '100:00:00', 2026, 'green', b'0', 'ab ',
      'tea ', 'tea ', 'TEA', 'a ', NULL, '2001:db8::1'),
    (3, 7, 9007199254740993, 0.01, 1e300, -1, '9999-12-31', '2024-02-29 10:00:00.251', '2001-01-01 00:00:00', '00:00:00', 0, NULL,
      b'11', 'b', 'tease', 'Größe', 'x', '', '', '::'),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`);
  vamos = await connect(server().host!.channel);
  goods = await vamos.tables.open('test/goods');
});

afterAll(async () => {
  await vamos.close();
});

test.each<[string, Filter<TableDefinition>]>([
  ['stock >= 7', { stock: { gte: 7 } }],
  ['huge > 9007199254740992', { huge: { gt: '9007199254740992' } }],
  ['huge = 9007199254740993', { huge: 9007199254740993n }],
  ['price = -1.5', { price: '-1.5' }],
  ['price < 1 AND price > -100', { price: { lt: 1, gt: '-100' } }],
  ['rate IN (0.1, 1e300)', { rate: { in: [0.1, 1e300] } }],
  ['part <= 1', { part: { lte: 1 } }],
  ["made = '2024-02-29'", { made: new Date(2024, 1, 29) }],
  ["made > '1999-01-01'", { made: { gt: new Date(1999, 0, 1) } }],
  ["sold <= '2024-02-29 10:00:00.250'", { sold: { lte: new Date(2024, 1, 29, 10, 0, 0, 250) } }],
  ["seen < '2010-01-01'", { seen: { lt: new Date(2010, 0, 1) } }],
  ["lasts < '00:00:01'", { lasts: { lt: '00:00:01.0' } }],
  ['year >= 1999', { year: { gte: 1999 } }],
  ["colour = 'green'", { colour: 'green' }],
  ["NOT (colour <=> 'green')", { colour: { ne: 'green' } }],
  ["flags > b'11'", { flags: { gt: Buffer.from([0, 3]) } }],
  ["code = 'ab'", { code: 'ab' }],
  ["name = 'tea'", { name: 'tea' }],
  ["name LIKE 'teas%'", { name: { startsWith: 'teas' } }],
  ["name > 'tea'", { name: { gt: 'tea' } }],
  ["exact = 'tea'", { exact: 'tea' }],
  ["exact LIKE 'Grö%'", { exact: { startsWith: 'Grö' } }],
  ["raw = 'a'", { raw: Buffer.from('a') }],
  ["raw >= 'a'", { raw: { gte: Buffer.from('a') } }],
  ["address IN ('::', '2001:db8::1')", { address: { in: ['::', '2001:db8::1'] } }],
  ['note IS NULL', { note: null }],
  ['label IS NOT NULL AND stock = 0', { label: { ne: null }, stock: 0 }],
  ["stock = 7 OR name IS NULL OR colour = 'green'", [{ stock: 7 }, { name: null }, { colour: 'green' }]],
])('a filter finds what WHERE %s does', async (condition, where) => {
  const expected = await sql(`SELECT id FROM goods WHERE ${condition} ORDER BY id`);
  expect(expected.length).toBeGreaterThan(0);
  expect(expected.length).toBeLessThan(4);
  expect(await goods.rndScan({ where, columns: ['id'] }).all()).toEqual(expected.map((row) => ({ ...row })));
});

test('aggregates have the values that mysql2 shows', async () => {
  const sums = ['stock', 'huge', 'price', 'rate', 'part'];
  const ends = [
    'stock',
    'huge',
    'price',
    'rate',
    'made',
    'sold',
    'seen',
    'lasts',
    'year',
    'name',
    'exact',
    'raw',
    'address',
  ];
  const list = (name: string, columns: string[]) =>
    columns.map((each) => `${name}(${each}) AS ${each}`).join(', ');
  const [sum] = await sql(`SELECT ${list('SUM', sums)} FROM goods`);
  const [min] = await sql(`SELECT ${list('MIN', ends)} FROM goods`);
  const [max] = await sql(`SELECT ${list('MAX', ends)} FROM goods`);
  expect(await goods.aggregate({ sum: sums, min: ends, max: ends })).toEqual({ count: 4, sum, min, max });
  expect(await goods.aggregate({ where: { id: 4 }, sum: ['price'], max: ['name'] })).toEqual({
    count: 1,
    sum: { price: null },
    min: {},
    max: { name: null },
  });
});

test('a column whose strings only MariaDB can compare is named', () => {
  expect(() => goods.rndScan({ where: { label: 'tea' } })).toThrow(
    /^column label has the collation utf8mb4_general_ci, by which the host can't compare/,
  );
  expect(() => goods.rndScan({ where: { price: '1.005' } })).toThrow(
    /^column price: 1.005 is no decimal\(10,2\)/,
  );
});
