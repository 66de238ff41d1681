/**
 * UPDATE and DELETE that the host makes by itself: what they leave, count and say is as with `vamos_pushdown=OFF`. Handler_update
 * and Handler_delete, which count rows that the server changed itself, tell who made a change.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type mysql from 'mysql2/promise';
import { Session, untilLocked } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();
let on: Session;
let off: Session;

beforeAll(async () => {
  on = await Session.open(server(), 'vamos_pushdown = ON', 'vamos_lock_wait_timeout = 20');
  off = await Session.open(server(), 'vamos_pushdown = OFF', 'vamos_lock_wait_timeout = 20');
});
afterAll(async () => {
  await on[Symbol.asyncDispose]();
  await off[Symbol.asyncDispose]();
});

/** The same table, `name`, for each of the two sessions in a database of its own. */
async function make(definition: string, rows: string): Promise<void> {
  for (const [session, database] of [
    [on, 'pushed'],
    [off, 'unpushed'],
  ] as const) {
    await session.sql(
      `CREATE DATABASE IF NOT EXISTS ${database}`,
      `USE ${database}`,
      'DROP TABLE IF EXISTS t',
    );
    await session.sql(`CREATE TABLE t (${definition}) ENGINE=VAMOS`, `INSERT INTO t ${rows}`);
  }
}

interface Effect {
  affected?: number;
  info?: string;
  warnings?: unknown;
  error?: string;
}

async function effect(session: Session, statement: string): Promise<Effect> {
  try {
    const [header] = await session.connection.query<mysql.ResultSetHeader>(statement);
    const warnings = await session.sql('SHOW WARNINGS');
    return { affected: header.affectedRows, info: header.info, warnings };
  } catch (error) {
    const { code, message } = error as mysql.QueryError;
    return { error: `${code}: ${message.replaceAll(/(un)?pushed/g, 'database')}` };
  }
}

/** Returns how many rows the server changed itself. */
async function changedByServer(session: Session): Promise<number> {
  const rows = (await session.sql(
    `SHOW STATUS WHERE Variable_name IN ('Handler_update', 'Handler_delete')`,
  )) as [string, string][];
  return rows.reduce((sum, [, count]) => sum + Number(count), 0);
}

async function framesOf(session: Session, statement: string): Promise<number> {
  const frames = async () =>
    Number(((await session.sql(`SHOW STATUS LIKE 'vamos_frames'`)) as [string, string][])[0]?.[1]);
  const before = await frames();
  await session.sql(statement);
  return (await frames()) - before;
}

/** Returns all rows, as one text a row: deep equality of so many takes long. */
async function everything(session: Session): Promise<string[]> {
  const rows = (await session.sql('SELECT * FROM t ORDER BY 1')) as unknown[][];
  return rows.map((row) =>
    row.map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value))).join('|'),
  );
}

/** Both have the same effect and leave the same rows; the first was, or wasn't, made by the host. */
async function compare(statement: string): Promise<{ effect: Effect; isDirect: boolean }> {
  const before = await changedByServer(on);
  const mine = await effect(on, statement);
  const isDirect = (await changedByServer(on)) === before;
  expect(mine, statement).toEqual(await effect(off, statement));
  expect(await everything(on), statement).toEqual(await everything(off));
  expect(await on.sql('CHECK TABLE t EXTENDED')).toMatchObject([
    [expect.anything(), 'check', 'status', 'OK'],
  ]);
  return { effect: mine, isDirect };
}

/** Expects that the host makes the change, and that something changes. */
const expectDirect = async (statement: string) => {
  const { effect: made, isDirect } = await compare(statement);
  expect(made.affected, statement).toBeGreaterThan(0);
  expect(isDirect, statement).toBe(true);
};
/** Expects that the server makes the change, and that something changes. */
const expectDeclined = async (statement: string) => {
  const { effect: made, isDirect } = await compare(statement);
  expect(made.affected, statement).toBeGreaterThan(0);
  expect(isDirect, statement).toBe(false);
};

const COLUMNS = `id INT PRIMARY KEY, a INT, k INT NOT NULL, s VARCHAR(20), c CHAR(10) CHARACTER SET latin1, d DECIMAL(8,2), f FLOAT,
  g DOUBLE, dt DATETIME(2), ts TIMESTAMP NULL, da DATE, y YEAR, b BIT(5), e ENUM('x', 'y'), bl BLOB, n BINARY(4), un INT UNSIGNED,
  tiny TINYINT, big BIGINT, m MEDIUMINT, KEY (k), KEY (k, big), UNIQUE (un)`;
const ROWS = `SELECT seq, seq % 10, seq % 50, CONCAT('s', seq), 'c', seq / 3, seq / 7, SQRT(seq), '2020-01-01', NULL, '2000-01-01', 2000, 1,
  'x', IF(seq % 50, 'b', REPEAT('b', 20000)), 'n', seq, seq % 100, seq, seq FROM seq_1_to_600`;

describe('the host changes', () => {
  beforeEach(() => make(COLUMNS, ROWS));

  test('one row by its key', async () => {
    await expectDirect('UPDATE t SET a = a + 1 WHERE id = 5');
    await expectDirect('DELETE FROM t WHERE id = 5');
    await expectDirect('UPDATE t SET k = k * 2 - 3 WHERE id = 6 AND a = 6');
    await expectDirect(`UPDATE t SET a = 1 WHERE un = 17`);
    await expectDirect('DELETE FROM t WHERE un = 18');
    expect((await compare('UPDATE t SET a = 1 WHERE id = 5')).effect).toMatchObject({ affected: 0 });
    expect((await compare('DELETE FROM t WHERE id = 5')).effect).toMatchObject({ affected: 0 });
  });

  test('lists and ranges of keys, and whole tables', async () => {
    await expectDirect('UPDATE t SET a = 77 WHERE id IN (3, 30, 300, 3000)');
    await expectDirect('UPDATE t SET a = 78 WHERE id BETWEEN 100 AND 150 OR id > 590');
    await expectDirect('UPDATE t SET a = a + 5 WHERE k = 20');
    await expectDirect('UPDATE t SET s = NULL WHERE d > 100 AND d < 110.5');
    await expectDirect('DELETE FROM t WHERE k BETWEEN 30 AND 33');
    await expectDirect('DELETE FROM t WHERE a = 3 OR a IS NULL');
    await expectDirect('UPDATE t SET a = 5');
    await expectDirect('DELETE FROM t WHERE id <> 100');
    await expectDirect('DELETE FROM t');
  });

  test('the first rows of a scan, with LIMIT', async () => {
    await expectDirect('UPDATE t SET a = 55 LIMIT 3');
    await expectDirect('UPDATE t SET a = 56 WHERE a = 4 LIMIT 5');
    await expectDirect('DELETE FROM t WHERE id > 100 LIMIT 7');
    await expectDirect('DELETE FROM t WHERE id IN (500, 501, 502) LIMIT 2');
  });

  test('to constants of each type, as the server stores them', async () => {
    await expectDirect(
      `UPDATE t SET a = '17', s = 'übrig', c = 'latin', d = 1.5, f = 2.5, g = -1e-300, dt = '2021-02-03 04:05:06.78',
         ts = '2022-01-01 00:00:01', da = '2023-04-05', y = 1999, b = 21, e = 'y', bl = 'new', n = 'ab', tiny = -128,
         big = -9223372036854775808, m = -8388608
       WHERE id BETWEEN 10 AND 19`,
    );
    await expectDirect(`UPDATE t SET s = '', dt = DATE '2021-01-01', e = 2 WHERE FALSE OR id = 11`);
    await expectDirect(
      'UPDATE t SET a = NULL, s = NULL, c = NULL, d = NULL, f = NULL, dt = NULL, y = NULL, b = NULL, e = NULL, bl = NULL WHERE id = 12',
    );
    await expectDirect(`UPDATE t SET s = CONCAT('x', 1 + 1), a = LENGTH('four'), m = 16 * 16 WHERE id = 13`);
  });

  test('to sums and products of columns', async () => {
    await expectDirect('UPDATE t SET a = k + 1 WHERE id < 100');
    await expectDirect('UPDATE t SET big = id * 1000000, tiny = -tiny WHERE id < 100');
    await expectDirect('UPDATE t SET a = LENGTH(s) WHERE id < 100');
  });

  test('nothing where nothing is new: rows matched and changed', async () => {
    expect((await compare('UPDATE t SET a = 5 WHERE a = 5 OR a = 6')).effect.info).toBe(
      'Rows matched: 120  Changed: 60  Warnings: 0',
    );
    expect((await compare('UPDATE t SET a = 5 WHERE a = 5')).effect.info).toBe(
      'Rows matched: 120  Changed: 0  Warnings: 0',
    );
    expect((await compare('UPDATE t SET a = 5 WHERE id = -1')).effect.info).toBe(
      'Rows matched: 0  Changed: 0  Warnings: 0',
    );
  });

  test('prepared statements, with other values each time', async () => {
    for (const values of [
      [1, 10],
      [null, 20],
      ['7', 30],
    ]) {
      for (const session of [on, off]) {
        await session.connection.execute('UPDATE t SET a = ? WHERE k = ?', values);
        await session.connection.execute('DELETE FROM t WHERE a = ? AND id > ?', values);
      }
      expect(await everything(on)).toEqual(await everything(off));
    }
  });

  test('in procedures and functions', async () => {
    const before = await changedByServer(on);
    for (const session of [on, off]) {
      await session.sql(
        'CREATE PROCEDURE raise(least INT) UPDATE t SET a = a + 1 WHERE id > least',
        'CREATE FUNCTION taken(which INT) RETURNS INT BEGIN DELETE FROM t WHERE id = which; RETURN ROW_COUNT(); END',
      );
    }
    for (const statement of ['CALL raise(300)', 'CALL raise(500)']) await compare(statement);
    expect(await on.sql('SELECT taken(3), taken(3), taken(4)')).toEqual(
      await off.sql('SELECT taken(3), taken(3), taken(4)'),
    );
    expect(await everything(on)).toEqual(await everything(off));
    expect(await changedByServer(on)).toBe(before);
    for (const session of [on, off]) await session.sql('DROP PROCEDURE raise', 'DROP FUNCTION taken');
  });

  test('through a view', async () => {
    for (const session of [on, off])
      await session.sql('CREATE OR REPLACE VIEW v AS SELECT id, a, k FROM t WHERE k > 10');
    await compare('UPDATE v SET a = 99 WHERE id < 40');
    await compare('DELETE FROM v WHERE a = 99 AND id < 20');
    for (const session of [on, off])
      await session.sql('CREATE OR REPLACE VIEW v AS SELECT id, a, k FROM t WHERE a > 5 WITH CHECK OPTION');
    expect((await compare('UPDATE v SET a = 1 WHERE id < 40')).effect.error).toContain(
      'ER_VIEW_CHECK_FAILED',
    );
    for (const session of [on, off]) await session.sql('DROP VIEW v');
  });
});

describe('one frame', () => {
  beforeEach(async () => {
    await make('id INT PRIMARY KEY, v INT, s VARCHAR(10)', `SELECT seq, seq, 's' FROM seq_1_to_100`);
    // After a load the next plan asks the host for statistics, once.
    for (const session of [on, off]) await session.sql('SELECT COUNT(*) FROM t WHERE v < 0');
  });

  test.each([
    'UPDATE t SET v = v + 1 WHERE id = 7',
    `UPDATE t SET s = 'x' WHERE id IN (1, 2, 3)`,
    'DELETE FROM t WHERE id = 7',
    'UPDATE t SET v = 3 WHERE v = 50',
    'DELETE FROM t',
  ])('in autocommit: %s', async (statement) => {
    expect(await framesOf(on, statement)).toBe(1);
    expect(await framesOf(off, statement)).toBeGreaterThan(1);
    expect(await everything(on)).toEqual(await everything(off));
  });

  test('and one for COMMIT in a transaction', async () => {
    await on.sql('BEGIN');
    expect(await framesOf(on, 'UPDATE t SET v = v + 1 WHERE id = 7')).toBe(1);
    expect(await framesOf(on, 'DELETE FROM t WHERE id IN (91, 92)')).toBe(1);
    expect(await framesOf(on, 'COMMIT')).toBe(1);
  });
});

describe('values that do not fit', () => {
  beforeEach(() =>
    make(
      'id INT PRIMARY KEY, tiny TINYINT NOT NULL, u TINYINT UNSIGNED, big BIGINT, s VARCHAR(3), n INT NOT NULL',
      `SELECT seq, 100 + seq, 250, 9223372036854775800 + seq, 's', 1 FROM seq_1_to_7`,
    ),
  );

  test('are an error of the statement, which changes nothing', async () => {
    const { effect: made, isDirect } = await compare('UPDATE t SET tiny = tiny + 21 WHERE id > 0');
    expect(made).toEqual({
      error: `ER_WARN_DATA_OUT_OF_RANGE: Out of range value for column 'tiny' at row 7`,
    });
    expect(isDirect).toBe(true);
  });

  test('are the same errors where the server meets them', async () => {
    for (const assignment of [
      'u = u + 6',
      'u = u - 251',
      'big = big + 1',
      `s = 'long'`,
      'n = NULL',
      'tiny = NULL',
      'tiny = 128',
      `n = 'x'`,
      'n = u + NULL',
    ]) {
      expect(
        (await compare(`UPDATE t SET ${assignment} WHERE id > 0`)).effect.error,
        assignment,
      ).toBeTruthy();
    }
  });

  test('become others with a warning without strict mode', async () => {
    for (const session of [on, off]) await session.sql(`SET SESSION sql_mode = ''`);
    await expectDeclined('UPDATE t SET tiny = tiny + 21 WHERE id > 0');
    await expectDeclined(`UPDATE t SET s = 'long' WHERE id > 0`);
    await expectDeclined('UPDATE t SET n = NULL WHERE id > 0');
    for (const session of [on, off]) await session.sql('SET SESSION sql_mode = DEFAULT');
  });
});

describe('the server changes', () => {
  beforeEach(() => make(COLUMNS, ROWS));

  test.each([
    ['columns of the key that is read', 'UPDATE t SET k = k + 1 WHERE k BETWEEN 5 AND 7'],
    ['the primary key', 'UPDATE t SET id = id + 1000 WHERE id < 10'],
    ['columns of unique keys', 'UPDATE t SET un = un + 1000 WHERE id < 10'],
    ['columns set from ones set before', 'UPDATE t SET a = a + 1, k = a WHERE id < 10'],
    ['values of other types', 'UPDATE t SET s = id, d = a WHERE id < 10'],
    ['in an order', 'UPDATE t SET a = 99 ORDER BY id DESC LIMIT 3'],
    ['in an order', 'DELETE FROM t ORDER BY id DESC LIMIT 3'],
    ['by conditions that are not compiled', `UPDATE t SET a = 99 WHERE s = 'S7'`],
    ['by subqueries', 'DELETE FROM t WHERE id IN (SELECT id FROM (SELECT 5 AS id) q)'],
    ['several tables', 'UPDATE t JOIN (SELECT 3 AS x) q ON t.id = q.x SET a = 99'],
    ['with IGNORE', 'UPDATE IGNORE t SET a = 99 WHERE id < 10'],
    ['random rows', 'DELETE FROM t WHERE id < 10 AND RAND() < 2'],
    ['to values of variables that change', 'UPDATE t SET a = (@x := COALESCE(@x, 0) + 1) WHERE id < 10'],
  ])('%s: %s', async (_, statement) => {
    await expectDeclined(statement);
  });

  test('with RETURNING', async () => {
    const before = await changedByServer(on);
    const statement = 'DELETE FROM t WHERE id < 5 RETURNING id, a';
    expect(await on.sql(statement)).toEqual(await off.sql(statement));
    expect(await changedByServer(on)).toBeGreaterThan(before);
  });

  test.each([
    [
      'triggers',
      'id INT PRIMARY KEY, a INT, x INT',
      'CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW SET NEW.x = OLD.a',
      'UPDATE t SET a = a + 1 WHERE id < 9',
    ],
    [
      'triggers of DELETE',
      'id INT PRIMARY KEY, a INT, x INT',
      'CREATE TRIGGER b AFTER DELETE ON t FOR EACH ROW SET @gone = OLD.a',
      'DELETE FROM t WHERE id < 9',
    ],
    [
      'checks',
      'id INT PRIMARY KEY, a INT CHECK (a < 1000), x INT',
      'DO 0',
      'UPDATE t SET a = a + 1 WHERE id < 9',
    ],
    [
      'ON UPDATE',
      'id INT PRIMARY KEY, a INT, x DATETIME NULL ON UPDATE CURRENT_TIMESTAMP',
      'SET @@timestamp = 1600000000',
      'UPDATE t SET a = a + 1 WHERE id < 9',
    ],
    [
      'generated columns',
      'id INT PRIMARY KEY, a INT, x INT',
      'ALTER TABLE t DROP COLUMN x, ADD COLUMN x INT AS (a * 2) STORED',
      'UPDATE t SET a = a + 1 WHERE id < 9',
    ],
    [
      'partitions',
      'id INT PRIMARY KEY, a INT, x INT',
      'ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 3',
      'UPDATE t SET a = a + 1 WHERE id < 9',
    ],
    [
      'keys by a collation',
      'id INT PRIMARY KEY, a INT, x VARCHAR(9)',
      'ALTER TABLE t ADD KEY (x)',
      'DELETE FROM t WHERE id < 9',
    ],
    [
      'keys of prefixes',
      'id INT PRIMARY KEY, a INT, x VARBINARY(9)',
      'ALTER TABLE t ADD KEY (x(3))',
      'DELETE FROM t WHERE id < 9',
    ],
  ])('tables with %s', async (_, definition, alteration, statement) => {
    const last = definition.includes('DATETIME') ? 'NULL' : 'seq';
    await make(definition, `SELECT seq, seq % 10, ${last} FROM seq_1_to_20`);
    for (const session of [on, off]) await session.sql(alteration);
    await expectDeclined(statement);
    for (const session of [on, off]) await session.sql('DROP TABLE t');
  });

  test('tables with system versioning', async () => {
    for (const session of [on, off]) {
      await session.sql(
        'SET @@timestamp = DEFAULT',
        'DROP TABLE IF EXISTS t',
        'CREATE TABLE t (id INT PRIMARY KEY, a INT) ENGINE=VAMOS WITH SYSTEM VERSIONING',
        'INSERT INTO t SELECT seq, seq FROM seq_1_to_9',
      );
      await session.sql('UPDATE t SET a = 3 WHERE id < 5', 'DELETE FROM t WHERE id = 9');
      expect(await session.sql('SELECT COUNT(*) FROM t FOR SYSTEM_TIME ALL')).toEqual([[13]]);
      await session.sql('DROP TABLE t');
    }
  });
});

test('keys by a collation stay right where other columns change', async () => {
  await make(
    'id INT PRIMARY KEY, name VARCHAR(20), v INT, KEY (name)',
    `SELECT seq, CONCAT('Name', seq), 0 FROM seq_1_to_50`,
  );
  await expectDirect('UPDATE t SET v = 7 WHERE id BETWEEN 5 AND 9');
  await expectDeclined(`UPDATE t SET name = 'other' WHERE id = 6`);
  expect(await on.sql(`SELECT id FROM t FORCE INDEX (name) WHERE name = 'NAME7' AND v = 7`)).toEqual([[7]]);
});

test('tables without a primary key', async () => {
  await make('a INT, v INT, KEY (a)', 'SELECT seq % 10, seq FROM seq_1_to_50');
  const sorted = 'SELECT a, v FROM t ORDER BY v, a';
  const before = await changedByServer(on);
  for (const statement of [
    'UPDATE t SET v = v + 100 WHERE a = 3',
    'DELETE FROM t WHERE v < 20',
    'UPDATE t SET v = 1 LIMIT 2',
  ]) {
    expect(await effect(on, statement)).toEqual(await effect(off, statement));
    expect(await on.sql(sorted)).toEqual(await off.sql(sorted));
  }
  expect(await changedByServer(on)).toBe(before);
});

describe('in a transaction', () => {
  let other: Session;

  beforeEach(async () => {
    await make('id INT PRIMARY KEY, v INT', 'SELECT seq, seq * 10 FROM seq_1_to_5');
    other = await Session.open(server(), 'vamos_lock_wait_timeout = 1');
    await other.sql('USE pushed');
    return () => other[Symbol.asyncDispose]();
  });

  test('savepoints, rollback and commit', async () => {
    await on.sql('BEGIN', 'UPDATE t SET v = v + 1 WHERE id = 1', 'SAVEPOINT s', 'DELETE FROM t WHERE id > 3');
    expect(await on.sql('SELECT COUNT(*), SUM(v) FROM t')).toEqual([[3, '61']]);
    expect(await other.sql('SELECT COUNT(*), SUM(v) FROM t')).toEqual([[5, '150']]);
    await on.sql('ROLLBACK TO s');
    expect(await on.sql('SELECT COUNT(*), SUM(v) FROM t')).toEqual([[5, '151']]);
    await on.sql('COMMIT');
    expect(await other.sql('SELECT COUNT(*), SUM(v) FROM t')).toEqual([[5, '151']]);
    await on.sql('BEGIN', 'DELETE FROM t', 'ROLLBACK');
    expect(await other.sql('SELECT COUNT(*) FROM t')).toEqual([[5]]);
  });

  test('it changes what the transaction wrote before', async () => {
    await on.sql(
      'BEGIN',
      'INSERT INTO t VALUES (6, 60), (7, 70)',
      'UPDATE t SET v = 0 WHERE id >= 5',
      'DELETE FROM t WHERE id = 7',
      'COMMIT',
    );
    expect(await other.sql('SELECT * FROM t WHERE id > 4')).toEqual([
      [5, 0],
      [6, 0],
    ]);
  });

  test('a statement that fails is undone alone', async () => {
    await on.sql('ALTER TABLE t MODIFY v TINYINT', 'BEGIN', 'UPDATE t SET v = v + 1 WHERE id = 1');
    expect(await on.code('UPDATE t SET v = v + 80 WHERE id > 0')).toBe('ER_WARN_DATA_OUT_OF_RANGE');
    await on.sql('COMMIT');
    expect(await other.sql('SELECT SUM(v) FROM t')).toEqual([['151']]);
  });

  test('it sees the latest rows, and others wait for it', async () => {
    await on.sql('BEGIN', 'SELECT * FROM t');
    await other.sql('UPDATE t SET v = 1000 WHERE id = 1');
    await on.sql('UPDATE t SET v = v + 1 WHERE id <= 2');
    expect(await other.code('UPDATE t SET v = 5 WHERE id = 2')).toBe('ER_LOCK_WAIT_TIMEOUT');
    await on.sql('COMMIT');
    expect(await other.sql('SELECT v FROM t WHERE id <= 2')).toEqual([[1001], [21]]);
  });

  test('READ COMMITTED locks only what it changes', async () => {
    await on.sql(
      'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
      'BEGIN',
      'UPDATE t SET v = 0 WHERE v = 30',
    );
    await other.sql(
      'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
      'UPDATE t SET v = 1 WHERE id = 4',
    );
    expect(await other.code('UPDATE t SET v = 1 WHERE id = 3')).toBe('ER_LOCK_WAIT_TIMEOUT');
    await on.sql('COMMIT', 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  });

  test('a deadlock ends one of two', async () => {
    await other.sql('SET SESSION vamos_lock_wait_timeout = 20');
    await on.sql('BEGIN', 'UPDATE t SET v = 1 WHERE id = 1');
    await other.sql('BEGIN', 'UPDATE t SET v = 2 WHERE id = 2');
    const waiting = effect(on, 'UPDATE t SET v = 3 WHERE id = 2');
    await untilLocked(server());
    const last = await effect(other, 'UPDATE t SET v = 4 WHERE id = 1');
    await other.sql('ROLLBACK');
    const errors = [last, await waiting].filter((one) => one.error?.startsWith('ER_LOCK_DEADLOCK'));
    expect(errors).toHaveLength(1);
    await on.sql('ROLLBACK');
  });

  test('KILL ends one that waits for a lock, and nothing is changed', async () => {
    await on.sql('BEGIN', 'UPDATE t SET v = 1 WHERE id = 3');
    await other.sql('SET SESSION vamos_lock_wait_timeout = 50');
    const killed = other.code('UPDATE t SET v = v + 1');
    await untilLocked(server());
    await on.sql(`KILL QUERY ${other.id}`, 'COMMIT');
    expect(await killed).toBe('ER_QUERY_INTERRUPTED');
    expect(await other.sql('SELECT SUM(v) FROM t')).toEqual([['121']]);
  });

  test('a READ ONLY transaction refuses it', async () => {
    await on.sql('START TRANSACTION READ ONLY');
    expect(await on.code('UPDATE t SET v = 1 WHERE id = 1')).toBe('ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION');
    await on.sql('COMMIT');
  });

  test('XA: prepared and committed', async () => {
    await on.sql(
      `XA START 'x'`,
      'UPDATE t SET v = 5 WHERE id > 0',
      `XA END 'x'`,
      `XA PREPARE 'x'`,
      `XA COMMIT 'x'`,
    );
    expect(await other.sql('SELECT SUM(v) FROM t')).toEqual([['25']]);
  });
});
