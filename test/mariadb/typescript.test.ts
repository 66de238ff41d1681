/** A TypeScript connector beside the server, on tables that MariaDB made. */
import type mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, type Table, type TableDefinition, type Vamos } from '../../entry/guest.js';
import { useServer } from './suite.js';

type Row = Record<string, unknown>;
/** A table that was opened by its name. */
type AnyTable = Table<TableDefinition>;

const server = useServer({ args: ['--default-time-zone=SYSTEM'] });
let connection: mysql.Connection;
let vamos: Vamos;

beforeAll(async () => {
  connection = await server().connect({ supportBigNumbers: true, charset: 'utf8mb4' });
  await connection.query("SET sql_mode = ''");
  vamos = await connect(server().host!.channel);
});

afterAll(async () => {
  await vamos.close();
});

const sql = async (text: string): Promise<Row[]> => (await connection.query<mysql.RowDataPacket[]>(text))[0];
const open = (name: string): Promise<AnyTable> => vamos.tables.open(`test/${name}`);

describe('a table that MariaDB made', () => {
  test('shows the values that mysql2 shows', async () => {
    await sql(`CREATE TABLE kinds (
      id INT PRIMARY KEY, tiny TINYINT, small SMALLINT UNSIGNED, medium MEDIUMINT, large BIGINT, huge BIGINT UNSIGNED,
      price DECIMAL(30,10), ratio DOUBLE, part FLOAT, born DATE, at DATETIME(6), seen TIMESTAMP(3) NULL, lasts TIME(2),
      made YEAR, colour ENUM('red','it''s green'), tags SET('a','b','c'), flags BIT(12), code CHAR(5) COLLATE latin1_swedish_ci,
      name VARCHAR(50), note TEXT, raw VARBINARY(10), fixed BINARY(4), picture LONGBLOB, doc JSON, address INET6, number UUID,
      place POINT, shape POLYGON) ENGINE=VAMOS CHARSET=utf8mb4`);
    await sql(`INSERT INTO kinds VALUES
      (1, -128, 65535, -8388608, -9223372036854775808, 18446744073709551615, -12345678901234567890.0123456789, 0.1, 1.5,
       '2024-02-29', '1999-12-31 23:59:59.123456', '2020-06-01 12:00:00.5', '-838:59:59.25', 2026, 'it''s green', 'a,c',
       b'101010101010', 'né', 'Größe 漢 😀', REPEAT('text ', 100), x'00ff', 'ab', REPEAT('p', 300000), '{"a": [1, 2]}',
       '2001:db8::1', '123e4567-e89b-12d3-a456-426614174000', POINT(1.5, -2), POLYGON(LINESTRING(POINT(0,0),POINT(1,0),
       POINT(1,1),POINT(0,0)))),
      (2, ${new Array(27).fill('NULL').join(', ')}),
      (3, 127, 0, 8388607, 9007199254740991, 0, 0, -1e300, -0.25, '1000-01-01', '0000-00-00 00:00:00', '1970-01-02 00:00:00',
       '00:00:00', 0, '', '', b'0', '', '', '', '', '', '', '""', '::', '00000000-0000-0000-0000-000000000000', POINT(0,0), NULL)`);
    const expected = await sql('SELECT * FROM kinds ORDER BY id');
    const rows = await (await open('kinds')).rndScan().all();
    expect(rows).toEqual(expected.map((row) => ({ ...row })));
  });

  test('is read by its indexes, where their order is known', async () => {
    await sql(`CREATE TABLE words (
      id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(30) NOT NULL, kind CHAR(8) COLLATE utf8mb4_bin, weight DECIMAL(6,2),
      UNIQUE (word), KEY kinds (kind, weight DESC), KEY starts (word(2))) ENGINE=VAMOS CHARSET=utf8mb4 COLLATE utf8mb4_general_ci`);
    expect(await sql('CHECK TABLE words EXTENDED')).toMatchObject([{ Msg_text: 'OK' }]);
    await sql(`INSERT INTO words (word, kind, weight) VALUES ('Äpfel', 'fruit', 1.5), ('birne', 'fruit', 2), ('Tee', 'drink', NULL),
      ('a b', 'x', 0), ('a', 'x', 1), ('a!', 'x', 2)`);
    expect(await sql('CHECK TABLE words EXTENDED')).toMatchObject([{ Msg_text: 'OK' }]);
    const table = await open('words');
    expect(await table.indexRead('word', { word: 'APFEL' })).toMatchObject({ word: 'Äpfel' });
    expect(await table.indexRead('word', { word: 'birne  ' })).toMatchObject({ id: 2 });
    const words = async (text: string): Promise<unknown[]> => (await sql(text)).map((row) => row.word);
    const scanned = async (rows: AsyncIterable<Row>): Promise<unknown[]> => {
      const all: unknown[] = [];
      for await (const row of rows) all.push(row.word);
      return all;
    };
    expect(await scanned(table.indexScan('word'))).toEqual(
      await words('SELECT word FROM words ORDER BY word'),
    );
    expect(await scanned(table.indexScan('kinds', { equal: { kind: 'fruit' } }))).toEqual(['birne', 'Äpfel']);
    expect(await scanned(table.indexScan('starts', { equal: { word: 'A' } }))).toEqual(['a b', 'a']);
  });

  test('takes rows that MariaDB finds by every index', async () => {
    const table = await open('words');
    const written = await table.writeRows([
      { word: 'Zwiebel', kind: 'root', weight: '3.25' },
      { word: 'a  \t', kind: 'x ', weight: '-0.5' },
    ]);
    expect(written[0]!.id).toBeGreaterThan(6);
    for (const [where, index] of [
      ["word = 'zwiebel'", 'word'],
      ["kind = 'root' AND weight = 3.25", 'kinds'],
      [`id = ${String(written[0]!.id)}`, 'PRIMARY'],
      ["word LIKE 'zw%'", 'starts'],
    ]) {
      expect(await sql(`SELECT word FROM words FORCE INDEX (${index}) WHERE ${where}`)).toEqual([
        { word: 'Zwiebel' },
      ]);
    }
    await expect(table.writeRow({ word: 'TEE', kind: null, weight: null })).rejects.toMatchObject({
      code: 'DUPLICATE_KEY',
      index: 'word',
    });
    expect(await sql('CHECK TABLE words EXTENDED')).toMatchObject([{ Msg_text: 'OK' }]);
    await sql("INSERT INTO words (word) VALUES ('later')");
    expect(await sql('SELECT COUNT(DISTINCT id) AS n, COUNT(*) AS m FROM words')).toEqual([{ n: 9, m: 9 }]);
  });

  test('keeps what a change does not name, to the microsecond', async () => {
    await sql(
      `CREATE TABLE events (id BIGINT PRIMARY KEY, at DATETIME(6), text MEDIUMTEXT, big MEDIUMBLOB) ENGINE=VAMOS`,
    );
    await sql("INSERT INTO events VALUES (1, '2024-01-01 10:00:00.123456', 'one', REPEAT('b', 500000))");
    const table = await open('events');
    await vamos.tables.transaction(async (transaction) => {
      const events = transaction.table(table);
      const row = (await events.get({ id: 1 }))!;
      await events.updateRow(row, { text: 'uno' });
    });
    expect(
      await sql(
        'SELECT CAST(at AS CHAR) AS at, text, MD5(big) = MD5(REPEAT("b", 500000)) AS same FROM events',
      ),
    ).toEqual([{ at: '2024-01-01 10:00:00.123456', text: 'uno', same: 1 }]);
    const row = (await table.get({ id: 1 }))!;
    await table.updateRow(row, { big: Buffer.alloc(400_000, 'c') });
    expect(await sql('SELECT LENGTH(big) AS n, LEFT(big, 2) AS start FROM events')).toEqual([
      { n: 400_000, start: Buffer.from('cc') },
    ]);
    await table.deleteRow((await table.get({ id: 1 }))!);
    expect(await sql('SELECT * FROM events')).toEqual([]);
  });

  test('has its transactions respected on both sides', async () => {
    await sql('CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL) ENGINE=VAMOS');
    await sql('INSERT INTO accounts VALUES (1, 100), (2, 100)');
    const table = await open('accounts');
    await using transaction = vamos.tables.begin();
    const accounts = transaction.table(table);
    const row = (await accounts.get({ id: 1 }, { lock: 'exclusive' }))!;
    await accounts.updateRow(row, { balance: 50 });
    expect(await sql('SELECT balance FROM accounts WHERE id = 1')).toEqual([{ balance: 100 }]);
    await sql('SET innodb_lock_wait_timeout = 1, vamos_lock_wait_timeout = 1');
    await expect(sql('UPDATE accounts SET balance = balance + 1 WHERE id = 1')).rejects.toMatchObject({
      code: 'ER_LOCK_WAIT_TIMEOUT',
    });
    await transaction.commit();
    expect(await sql('SELECT balance FROM accounts WHERE id = 1')).toEqual([{ balance: 50 }]);

    await sql('BEGIN');
    await sql('UPDATE accounts SET balance = 0 WHERE id = 2');
    expect(await table.get({ id: 2 })).toEqual({ id: 2, balance: 100 });
    await expect(table.get({ id: 2 }, { lock: 'shared', wait: 'no-wait' })).rejects.toMatchObject({
      code: 'LOCK_NOT_AVAILABLE',
    });
    await sql('COMMIT');
    expect(await table.get({ id: 2 })).toEqual({ id: 2, balance: 0 });
  });

  test('says which index it can not keep, and which column it can not compute', async () => {
    await sql(
      'CREATE TABLE stern (id INT PRIMARY KEY, word VARCHAR(9) COLLATE utf8mb4_unicode_ci, KEY (word)) ENGINE=VAMOS',
    );
    await expect((await open('stern')).writeRow({ id: 1, word: 'a' })).rejects.toThrow(
      /whose order only MariaDB knows/,
    );
    await sql('CREATE TABLE made (id INT PRIMARY KEY, twice INT AS (id * 2) STORED) ENGINE=VAMOS');
    await sql('INSERT INTO made (id) VALUES (4)');
    const table = await open('made');
    expect(await table.get({ id: 4 })).toEqual({ id: 4, twice: 8 });
    await expect(table.writeRow({ id: 1 })).rejects.toThrow(/MariaDB computes column twice/);
  });

  test('without a primary key shows its rows, and takes new ones', async () => {
    await sql('CREATE TABLE heap (word VARCHAR(9) COLLATE utf8mb4_bin, n INT) ENGINE=VAMOS');
    await sql("INSERT INTO heap VALUES ('a', 1), ('b', 2)");
    const table = await open('heap');
    await table.writeRow({ word: 'c', n: 3 });
    expect(await table.rndScan().all()).toEqual([
      { word: 'a', n: 1 },
      { word: 'b', n: 2 },
      { word: 'c', n: 3 },
    ]);
    expect(await sql('SELECT SUM(n) AS n FROM heap')).toEqual([{ n: '6' }]);
  });
});
