/**
 * Conditions of which the host evaluates one part and the server the other: the server's part warns, fails and has effects for
 * the rows for which it does on InnoDB, in the order of the parts. No index gives the optimizer a choice.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type mysql from 'mysql2/promise';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();
const ENGINES = ['VAMOS', 'InnoDB'] as const;
let sessions: Session[];

beforeAll(async () => {
  sessions = [];
  for (const engine of ENGINES) {
    const session = await Session.open(server(), `default_storage_engine = ${engine}`);
    await session.sql(
      `CREATE DATABASE of_${engine}`,
      `USE of_${engine}`,
      'CREATE FUNCTION seen(value INT) RETURNS INT DETERMINISTIC BEGIN SET @n = @n + 1; RETURN value; END',
      `CREATE PROCEDURE counts() BEGIN DECLARE found INT; SET found = (SELECT COUNT(*) FROM t WHERE ${WARNS} AND c < 2); END`,
    );
    sessions.push(session);
  }
});
afterAll(async () => {
  for (const session of sessions) await session[Symbol.asyncDispose]();
});

/** No number stands in the word of rows 2 and 4, for which c is 2 or NULL. */
const WARNS = 'word + 0 < 5';

beforeEach(async () => {
  for (const session of sessions) {
    await session.sql(
      "SET sql_mode = 'STRICT_TRANS_TABLES', @n = 0, last_insert_id = 0",
      'DROP TABLE IF EXISTS t, o, made',
      'CREATE TABLE t (id INT PRIMARY KEY, c INT, d INT, word VARCHAR(10) COLLATE utf8mb4_general_ci, tale VARCHAR(10) COLLATE utf8mb4_general_ci)',
      "INSERT INTO t VALUES (1, 1, 0, '1', 'a'), (2, 2, 0, 'x', 'A'), (3, 1, 0, '3', 'b'), (4, NULL, 0, 'y', 'a')",
      'CREATE TABLE o (k INT)',
      'CREATE OR REPLACE SEQUENCE s ENGINE=InnoDB',
      'INSERT INTO o VALUES (1), (1)',
    );
  }
});

async function outcome(session: Session, statement: string): Promise<unknown> {
  let said: unknown;
  try {
    const [result] = await session.connection.query({ sql: statement, rowsAsArray: true });
    const { affectedRows, info } = result as mysql.ResultSetHeader;
    said = {
      result: Array.isArray(result) ? result : { affectedRows, info },
      warnings: await session.sql('SHOW WARNINGS'),
    };
  } catch (error) {
    const { code, errno } = error as mysql.QueryError;
    said = code ?? errno;
  }
  return {
    said,
    seen: await session.sql('SELECT @n, LAST_INSERT_ID()'),
    rows: await session.sql('SELECT * FROM t ORDER BY id'),
  };
}

/** What both engines say to it. */
async function same(statement: string): Promise<unknown> {
  const [vamos, innodb] = await Promise.all(sessions.map((session) => outcome(session, statement)));
  expect(vamos, statement).toEqual(innodb);
  return (innodb as { said: unknown }).said;
}

async function isPushed(statement: string): Promise<boolean> {
  const pushed = async () =>
    (await sessions[0]!.sql("SHOW GLOBAL STATUS LIKE 'Vamos_pushed_conditions'")) as [[string, string]];
  const before = (await pushed())[0][1];
  await same(statement);
  return (await pushed())[0][1] !== before;
}

const REFUSED = 'ER_TRUNCATED_WRONG_VALUE';
/** ER_BAD_DATA, which the client has no name for. */
const BAD_DATA = 1918;

describe('a part that warns, left of one that the host could evaluate', () => {
  test.each([
    `UPDATE t SET d = 1 WHERE ${WARNS} AND c < 2`,
    `UPDATE t SET d = c + 1 WHERE ${WARNS} AND c < 2 AND id > 0`,
    `UPDATE t, o SET t.d = 1 WHERE t.word + o.k < 5 AND t.c < 2`,
    `INSERT INTO t SELECT id + 10, c, d, word, tale FROM t AS source WHERE ${WARNS} AND c < 2`,
    `REPLACE INTO t SELECT id, c, 7, word, tale FROM t AS source WHERE ${WARNS} AND c < 2`,
    `CREATE TABLE made AS SELECT id FROM t WHERE ${WARNS} AND c < 2`,
    'CALL counts()',
  ])('is the strict statement’s error for all rows: %s', async (statement) => {
    expect(await same(statement)).toBe(REFUSED);
  });

  test.each([
    `UPDATE t SET d = 1 WHERE ${WARNS} AND c < 2`,
    `UPDATE t, o SET t.d = 1 WHERE t.word + o.k < 5 AND t.c < 2`,
    `INSERT INTO t SELECT id + 10, c, d, word, tale FROM t AS source WHERE ${WARNS} AND c < 2`,
    `UPDATE t SET d = 1 WHERE ${WARNS} AND c < 2 ORDER BY word LIMIT 10`,
    `DELETE FROM t WHERE ${WARNS} AND c < 2`,
    `DELETE t FROM t JOIN o ON t.word + o.k < 5 AND t.c < 2`,
  ])('warns for all rows where that is no error: %s', async (statement) => {
    for (const session of sessions) await session.sql("SET sql_mode = ''");
    expect(((await same(statement)) as { warnings: unknown[] }).warnings).not.toEqual([]);
  });

  test('fails for all rows where its value has no room', async () => {
    expect(await same('UPDATE t SET d = 1 WHERE 9223372036854775806 + c > 0 AND c < 2')).toBe(
      'ER_DATA_OUT_OF_RANGE',
    );
  });
});

describe('the host evaluates', () => {
  test.each([
    `UPDATE t SET d = 1 WHERE c < 2 AND ${WARNS}`,
    `INSERT INTO t SELECT id + 10, c, d, word, tale FROM t AS source WHERE c < 2 AND ${WARNS}`,
    `DELETE FROM t WHERE id <> 2 AND id <> 4 AND ${WARNS}`,
    `UPDATE t, o SET t.d = 1 WHERE t.c < 2 AND t.word + o.k < 5`,
  ])('the parts left of one that warns: %s', async (statement) => {
    expect(await isPushed(statement)).toBe(true);
  });

  test.each([
    "tale = 'a' AND c < 2",
    "tale LIKE '%a%' AND c < 2",
    "(tale IN ('a', 'b') OR tale IS NULL) AND c < 2",
    "tale BETWEEN 'a' AND 'b' AND NOT tale > 'c' AND c < 2",
    'tale <> word AND c < 2',
    'tale IS NOT NULL AND c < 2',
  ])('what stands behind parts that never warn: %s', async (condition) => {
    expect(await isPushed(`UPDATE t SET d = d + 1 WHERE ${condition}`)).toBe(true);
  });

  test('any part that it can of a SELECT, whose rows are the same', async () => {
    const [vamos] = await Promise.all(
      sessions.map((session) => session.sql(`SELECT id FROM t WHERE ${WARNS} AND c < 2`)),
    );
    expect(vamos).toEqual([[1], [3]]);
    expect(await sessions[0]!.sql('SHOW WARNINGS')).toEqual([]);
  });
});

describe('a part with effects has them for the same rows', () => {
  test.each([
    'SELECT id FROM t WHERE (@n := @n + 1) + id > 0 AND c < 2',
    'SELECT id FROM t WHERE c < 2 AND (@n := @n + 1) + id > 0',
    'SELECT id FROM t WHERE seen(id) > 0 AND c < 2',
    'SELECT id FROM t WHERE seen(id) > 0 AND c < 2 ORDER BY d, id LIMIT 5',
    'SELECT COUNT(*) FROM t WHERE seen(id) > 0 AND c < 2',
    'SELECT id, RAND(4) FROM t WHERE RAND(3) < id / 4 AND c < 2',
    'SELECT id FROM t, o WHERE seen(id + k) > 0 AND c < 2',
    'SELECT id FROM t WHERE LAST_INSERT_ID(id + 10) > 0 AND c < 2',
    'SELECT id FROM t WHERE id + NEXTVAL(s) = 6 AND c < 2',
    'UPDATE t SET d = 1 WHERE (@n := @n + 1) + id > 0 AND c < 2',
    'DELETE FROM t WHERE seen(id) > 0 AND c < 2',
  ])('%s', async (statement) => {
    await same(statement);
  });
});

describe('a constant that warns does so where the host has a use for it, too', () => {
  test.each([
    'SELECT id FROM t WHERE ((@s = 1) OR c <> id) IS TRUE',
    'SELECT id FROM t WHERE id XOR (@s = 1)',
    'SELECT id FROM t WHERE id = IF(@s = 1, 5, 1)',
    'SELECT id FROM t WHERE id = NULLIF(@s, 1)',
    "SELECT id FROM t WHERE id XOR (DATE'2001-01-01' = @s)",
    'SELECT id FROM t WHERE id XOR (@s BETWEEN 1 AND 2)',
    'UPDATE t SET d = 1 WHERE id XOR (@s = 1)',
  ])('%s', async (statement) => {
    for (const session of sessions) await session.sql("SET @s = 'a'");
    const said = await same(statement);
    expect(said).toEqual(
      statement.startsWith('SELECT') ? expect.objectContaining({ warnings: [expect.anything()] }) : BAD_DATA,
    );
  });
});
