import { copyFile, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../../entry/guest.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';

let server: MariadbServer;
let connection: Connection;

beforeAll(async () => {
  server = await MariadbServer.start();
  connection = await server.connect();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await connection.query('DROP DATABASE IF EXISTS d');
  await connection.query('CREATE DATABASE d');
  await connection.query('USE d');
});

async function rows(sql: string): Promise<unknown[]> {
  const [found] = await connection.query<RowDataPacket[]>({ sql, rowsAsArray: true });
  return found;
}

const frm = (table: string): string => path.join(server.dataFolder, 'd', `${table}.frm`);
const makeT = 'CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(10), KEY (b)) ENGINE=VAMOS';

test('a table whose .frm is lost is discovered from the host', async () => {
  await connection.query(makeT);
  await connection.query("INSERT INTO t VALUES (1, 'x')");
  await connection.query('FLUSH TABLES');
  await rm(frm('t'));
  expect(await rows('SHOW TABLES')).toEqual([['t']]);
  expect(await rows('SELECT * FROM t')).toEqual([[1, 'x']]);
  expect(await readdir(path.join(server.dataFolder, 'd'))).toContain('t.frm');
});

test('a .frm of an older version is mended from the host', async () => {
  await connection.query(makeT);
  await connection.query('FLUSH TABLES');
  await copyFile(frm('t'), server.folder.file('old.frm'));
  await connection.query('ALTER TABLE t ADD COLUMN c INT DEFAULT 7, RENAME COLUMN b TO bb');
  await connection.query("INSERT INTO t (a, bb) VALUES (1, 'x')");
  await connection.query('FLUSH TABLES');
  await copyFile(server.folder.file('old.frm'), frm('t'));
  expect(await rows('SELECT a, bb, c FROM t')).toEqual([[1, 'x', 7]]);
});

test('CREATE TABLE … SELECT that fails leaves no table, and its name is free', async () => {
  const other = await server.connect();
  await connection.query('CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(10)) ENGINE=VAMOS');
  await connection.query("INSERT INTO t VALUES (1, '1'), (2, 'x')");
  await connection.query("SET sql_mode = 'STRICT_TRANS_TABLES', default_storage_engine = VAMOS");
  const tables = async () => (await server.host!.counters())['tables'];
  const before = await tables();
  expect(before).toBeGreaterThan(0);
  for (const [select, code] of [
    ['SELECT a FROM t WHERE b + 0 < 5', 'ER_TRUNCATED_WRONG_VALUE'],
    ['SELECT a + 9223372036854775806 FROM t', 'ER_DATA_OUT_OF_RANGE'],
    ['SELECT a, (SELECT a FROM t AS i WHERE i.a <= o.a) FROM t AS o', 'ER_SUBQUERY_NO_1_ROW'],
    ['SELECT a MOD 1 AS k FROM t', 'ER_DUP_ENTRY'],
  ] as const) {
    await expect(
      connection.query(
        `CREATE TABLE made ${code === 'ER_DUP_ENTRY' ? '(PRIMARY KEY (k))' : ''} AS ${select}`,
      ),
      select,
    ).rejects.toMatchObject({ code });
    expect(await rows('SHOW TABLES')).toEqual([['t']]);
    await other.query('CREATE TABLE d.made (a INT) ENGINE=VAMOS');
    await other.query('DROP TABLE d.made');
  }
  await connection.query('SELECT 1 FROM t');
  await expect.poll(tables, { timeout: 60_000 }).toBe(before);
  other.destroy();
});

test('a table that a crash kept from being dropped goes when the next server makes one', async () => {
  await connection.query(makeT);
  const vamos = await connect(server.host!.channel);
  await vamos.tables.rename('d/t', 'd/#sql-dropped-1');
  await vamos.close();
  const tables = async () => (await server.host!.counters())['tables'];
  const before = await tables();
  connection.destroy();
  await server.kill();
  await server.start();
  connection = await server.connect();
  await connection.query('CREATE TABLE d.made (a INT) ENGINE=VAMOS');
  expect(await tables()).toBe(before);
});

test('a change of the definition that changes no row copies nothing', async () => {
  await connection.query(makeT);
  await connection.query("INSERT INTO t VALUES (1, 'x'), (2, 'y')");
  for (const change of [
    'RENAME COLUMN b TO c',
    "ALTER COLUMN c SET DEFAULT 'z'",
    "COMMENT = 'said'",
    'RENAME INDEX b TO other',
    'ALTER INDEX other IGNORED',
    'ADD COLUMN v INT AS (a + 1) VIRTUAL',
  ]) {
    await expect(
      connection.query(`ALTER TABLE t ${change}, ALGORITHM=INSTANT`),
      change,
    ).resolves.toBeDefined();
    expect(await rows('SELECT a, c FROM t'), change).toEqual([
      [1, 'x'],
      [2, 'y'],
    ]);
  }
  await connection.query('INSERT INTO t (a) VALUES (3)');
  expect(await rows('SELECT a, c, v FROM t WHERE a = 3')).toEqual([[3, 'z', 4]]);
});

test('what changes rows is refused as instant, and copied', async () => {
  await connection.query(makeT);
  await connection.query("INSERT INTO t VALUES (1, 'x'), (2, 'y')");
  for (const change of ['ADD COLUMN c INT', 'MODIFY b CHAR(10)', 'ADD UNIQUE (b)', 'DROP PRIMARY KEY']) {
    await expect(
      connection.query(`ALTER TABLE t ${change}, ALGORITHM=INSTANT`),
      change,
    ).rejects.toMatchObject({
      code: 'ER_ALTER_OPERATION_NOT_SUPPORTED',
    });
    await connection.query(`ALTER TABLE t ${change}`);
    expect(await rows('SELECT a, b FROM t ORDER BY a'), change).toEqual([
      [1, 'x'],
      [2, 'y'],
    ]);
  }
});

test('AUTO_INCREMENT = n takes effect immediately', async () => {
  await connection.query('CREATE TABLE t (a INT AUTO_INCREMENT PRIMARY KEY) ENGINE=VAMOS');
  await connection.query('ALTER TABLE t AUTO_INCREMENT = 1000');
  await connection.query('INSERT INTO t VALUES ()');
  expect(await rows('SELECT a FROM t')).toEqual([[1000]]);
});

test('tables are renamed across databases, replaced, truncated and dropped with their database', async () => {
  await connection.query(makeT);
  await connection.query("INSERT INTO t VALUES (1, 'x')");
  await connection.query('CREATE DATABASE `d-2 ü`');
  await connection.query('RENAME TABLE t TO `d-2 ü`.`t-2 ü`');
  expect(await rows('SELECT * FROM `d-2 ü`.`t-2 ü`')).toEqual([[1, 'x']]);
  await connection.query('CREATE OR REPLACE TABLE `d-2 ü`.`t-2 ü` (z INT) ENGINE=VAMOS');
  await connection.query('INSERT INTO `d-2 ü`.`t-2 ü` VALUES (5)');
  await connection.query('TRUNCATE `d-2 ü`.`t-2 ü`');
  expect(await rows('SELECT * FROM `d-2 ü`.`t-2 ü`')).toEqual([]);
  await connection.query('DROP DATABASE `d-2 ü`');
  await connection.query('CREATE DATABASE `d-2 ü`');
  expect(await rows('SHOW TABLES FROM `d-2 ü`')).toEqual([]);
  await connection.query('DROP DATABASE `d-2 ü`');
});

test('temporary tables may come, be emptied and go within a transaction', async () => {
  await connection.query('BEGIN');
  await connection.query('CREATE TEMPORARY TABLE tt (a INT PRIMARY KEY) ENGINE=VAMOS');
  await connection.query('INSERT INTO tt VALUES (1), (2)');
  expect(await rows('SELECT COUNT(*) FROM tt')).toEqual([[2]]);
  await connection.query('TRUNCATE tt');
  expect(await rows('SELECT COUNT(*) FROM tt')).toEqual([[0]]);
  await connection.query('INSERT INTO tt VALUES (3)');
  await connection.query('DROP TEMPORARY TABLE tt');
  await connection.query('CREATE TEMPORARY TABLE tt (b INT) ENGINE=VAMOS');
  await connection.query('INSERT INTO tt VALUES (4)');
  await connection.query('COMMIT');
  expect(await rows('SELECT * FROM tt')).toEqual([[4]]);
  await connection.query('DROP TEMPORARY TABLE tt');
});

test('partitions are added, altered, exchanged and dropped', async () => {
  await connection.query(
    'CREATE TABLE p (a INT PRIMARY KEY, b INT) ENGINE=VAMOS PARTITION BY RANGE (a) ' +
      '(PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))',
  );
  await connection.query('INSERT INTO p VALUES (1, 1), (11, 11)');
  await connection.query('ALTER TABLE p ADD PARTITION (PARTITION p2 VALUES LESS THAN (30))');
  await connection.query('INSERT INTO p VALUES (21, 21)');
  await connection.query("ALTER TABLE p COMMENT = 'x'");
  await connection.query('CREATE TABLE e (a INT PRIMARY KEY, b INT) ENGINE=VAMOS');
  await connection.query('ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE e');
  expect(await rows('SELECT a FROM e')).toEqual([[1]]);
  await connection.query('ALTER TABLE p DROP PARTITION p1');
  await connection.query('FLUSH TABLES');
  expect(await rows('SELECT a FROM p')).toEqual([[21]]);
});

test('unique keys too long for an index are checked', async () => {
  await connection.query('CREATE TABLE t (a INT PRIMARY KEY, b TEXT, UNIQUE (b)) ENGINE=VAMOS');
  await connection.query("INSERT INTO t VALUES (1, REPEAT('x', 5000)), (2, 'b'), (3, NULL), (4, NULL)");
  await expect(connection.query("INSERT INTO t VALUES (5, REPEAT('x', 5000))")).rejects.toMatchObject({
    code: 'ER_DUP_ENTRY',
  });
  await expect(connection.query("UPDATE t SET b = 'B' WHERE a = 3")).rejects.toMatchObject({
    code: 'ER_DUP_ENTRY',
  });
});

test('what the engine does not have is refused by name', async () => {
  await connection.query(makeT);
  await expect(
    connection.query('CREATE TABLE f (a INT PRIMARY KEY, FOREIGN KEY (a) REFERENCES t (a)) ENGINE=VAMOS'),
  ).rejects.toThrow(/foreign keys/);
  await expect(connection.query('CREATE TABLE f (a TEXT, FULLTEXT (a)) ENGINE=VAMOS')).rejects.toThrow(
    /FULLTEXT/,
  );
  await expect(
    connection.query('CREATE TABLE f (a POINT NOT NULL, SPATIAL INDEX (a)) ENGINE=VAMOS'),
  ).rejects.toThrow(/SPATIAL/);
});
