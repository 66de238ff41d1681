/** Locks that a statement takes are there when it ends, and its errors are its own: on VAMOS as on InnoDB. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Session, untilLocked } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();
const LOCKED = 'ER_LOCK_WAIT_TIMEOUT';

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let one: Session;
  let two: Session;

  beforeEach(async () => {
    // Changes that the host makes by itself take their locks there: these are the server's, row by row.
    const settings = [
      'vamos_lock_wait_timeout = 20',
      'innodb_lock_wait_timeout = 20',
      'vamos_pushdown = OFF',
    ];
    const open = () => Session.open(server(), ...settings);
    [one, two] = await Promise.all([open(), open()]);
    await one.sql(
      'DROP TABLE IF EXISTS t',
      `CREATE TABLE t (id INT PRIMARY KEY, v INT, u INT, w INT, KEY (v), UNIQUE (u)) ENGINE=${engine}`,
      'INSERT INTO t VALUES (1, 10, 100, 0), (2, 20, 200, 0), (3, 50, 500, 0)',
    );
    return async () => {
      await one[Symbol.asyncDispose]();
      await two[Symbol.asyncDispose]();
    };
  });

  const impatient = (session: Session) =>
    session.sql('SET SESSION vamos_lock_wait_timeout = 0', 'SET SESSION innodb_lock_wait_timeout = 0');

  test('an UPDATE whose new index entries others then wait for commits', async () => {
    await one.sql('BEGIN', 'UPDATE t SET v = v + 10 WHERE id < 3');
    const waiting = two.sql('DELETE FROM t WHERE v = 20');
    await untilLocked(server(), engine);
    await one.sql('COMMIT');
    await waiting;
    expect(await one.sql('SELECT id, v FROM t ORDER BY id')).toEqual([
      [2, 30],
      [3, 50],
    ]);
  });

  test.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])(
    'others meet the new index entry of an UPDATE, single-table or joined, when it ends, at %s',
    async (level) => {
      for (const session of [one, two]) await session.sql(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`);
      await impatient(two);
      for (const update of [
        'UPDATE t SET v = 33 WHERE id = 1',
        'UPDATE t JOIN (SELECT 1 AS id) d USING (id) SET t.v = 33',
        'UPDATE t SET v = 33 WHERE v = 10 ORDER BY w LIMIT 1',
      ]) {
        await one.sql('BEGIN', update);
        expect(await two.code('SELECT * FROM t WHERE v = 33 FOR UPDATE')).toBe(LOCKED);
        expect(await two.code('SELECT * FROM t WHERE v = 33 LOCK IN SHARE MODE')).toBe(LOCKED);
        await one.sql('ROLLBACK');
      }
    },
  );

  test.each(['DELETE FROM t WHERE id = 2', 'DELETE t FROM t JOIN (SELECT 2 AS id) d USING (id)'])(
    'who inserts the unique key that went with a row waits: %s',
    async (remove) => {
      await impatient(two);
      await one.sql('BEGIN', remove);
      expect(await two.code('INSERT INTO t VALUES (9, 90, 200, 0)')).toBe(LOCKED);
      await one.sql('COMMIT');
      await two.sql('INSERT INTO t VALUES (9, 90, 200, 0)');
    },
  );

  test.each([
    'UPDATE t SET v = 65 WHERE id = 1',
    'UPDATE t JOIN (SELECT 1 AS id) d USING (id) SET t.v = 65',
    'INSERT INTO t VALUES (8, 65, 800, 0)',
    'INSERT INTO t VALUES (7, 1, 700, 0), (8, 65, 800, 0)',
    'INSERT INTO t SELECT 8, 65, 800, 0',
  ])(
    'a lock that does not come fails the statement that wants it, and no later one: %s',
    async (statement) => {
      await two.sql('BEGIN', 'SELECT * FROM t WHERE v BETWEEN 60 AND 70 FOR UPDATE');
      await impatient(one);
      await one.sql('BEGIN', 'INSERT INTO t VALUES (9, 5, 900, 0)', 'UPDATE t SET w = 1 WHERE id = 2');
      expect(await one.code(statement)).toBe(LOCKED);
      expect(await one.sql('SELECT id, w FROM t ORDER BY id')).toEqual([
        [1, 0],
        [2, 1],
        [3, 0],
        [9, 0],
      ]);
      await one.sql('COMMIT');
      await two.sql('COMMIT');
      expect(await two.sql('SELECT id, w FROM t ORDER BY id')).toEqual([
        [1, 0],
        [2, 1],
        [3, 0],
        [9, 0],
      ]);
    },
  );

  test.each([
    ['an index', 'SET v = 99', 'UPDATE t FORCE INDEX (v) SET w = 7 WHERE v = 10'],
    ['a range of an index', 'SET v = 99', 'SELECT * FROM t FORCE INDEX (v) WHERE v < 15 FOR UPDATE'],
    ['a unique index', 'SET u = 999', 'SELECT * FROM t WHERE u = 100 FOR UPDATE'],
  ])(
    'at READ COMMITTED a row that left %s while it was waited for is not locked',
    async (_, change, statement) => {
      await one.sql('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED', 'BEGIN');
      await two.sql('BEGIN', `UPDATE t ${change} WHERE id = 1`);
      const waiting = one.sql(statement);
      await untilLocked(server(), engine);
      await two.sql('COMMIT');
      await waiting;
      await impatient(two);
      await two.sql('UPDATE t SET w = w + 1 WHERE id = 1');
      await one.sql('COMMIT');
      expect(await two.sql('SELECT w FROM t WHERE id = 1')).toEqual([[1]]);
    },
  );

  test.each([
    'SELECT * FROM t FOR UPDATE',
    'SELECT * FROM t LOCK IN SHARE MODE',
    'DELETE FROM t WHERE w = 5',
  ])(
    'at READ COMMITTED a scan waits for a row that another transaction is inserting, and an UPDATE does not: %s',
    async (statement) => {
      for (const session of [one, two])
        await session.sql('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
      await one.sql('BEGIN', 'INSERT INTO t VALUES (9, 90, 900, 0)');
      await two.sql('UPDATE t SET w = 1 WHERE w = 5');
      await impatient(two);
      expect(await two.code(statement)).toBe(LOCKED);
    },
  );

  test.each(['(9, 90, 100, 0)', '(8, 80, 800, 0), (9, 90, 100, 0)'])(
    'an INSERT that a unique value refuses leaves the lock of that value, and none of its own keys: %s',
    async (rows) => {
      await one.sql('BEGIN');
      expect(await one.code(`INSERT INTO t VALUES ${rows}`)).toBe('ER_DUP_ENTRY');
      await impatient(two);
      await two.sql(
        'INSERT INTO t VALUES (8, 80, 801, 0)',
        'INSERT INTO t VALUES (9, 90, 901, 0)',
        'UPDATE t SET w = 1 WHERE id = 1',
      );
      expect(await two.code('UPDATE t SET u = 101 WHERE id = 1')).toBe(LOCKED);
      expect(await two.code('DELETE FROM t WHERE id = 1')).toBe(LOCKED);
    },
  );

  test('an INSERT that the primary key refuses leaves its row locked for reading', async () => {
    await one.sql('BEGIN');
    expect(await one.code('INSERT INTO t VALUES (1, 90, 900, 0)')).toBe('ER_DUP_ENTRY');
    await impatient(two);
    await two.sql('SELECT * FROM t WHERE id = 1 LOCK IN SHARE MODE');
    expect(await two.code('UPDATE t SET w = 1 WHERE id = 1')).toBe(LOCKED);
  });

  test.each(['READ COMMITTED', 'REPEATABLE READ'])('LIMIT locks as many rows at %s', async (level) => {
    for (const session of [one, two]) await session.sql(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`);
    await one.sql('INSERT INTO t SELECT seq, seq, seq * 100, seq FROM seq_6_to_40');
    for (const statement of [
      'SELECT * FROM t ORDER BY id LIMIT 9 FOR UPDATE',
      'SELECT * FROM t ORDER BY id LIMIT 5, 4 FOR UPDATE',
      'SELECT * FROM t WHERE w < 100 ORDER BY id LIMIT 9 FOR UPDATE',
      'SELECT * FROM t FORCE INDEX (v) WHERE v < 20 LIMIT 9 FOR UPDATE',
      'UPDATE t SET w = w + 1 ORDER BY id LIMIT 9',
      'DELETE FROM t ORDER BY id LIMIT 9',
    ]) {
      await one.sql('BEGIN', statement);
      const free = await two.sql('SELECT id FROM t FOR UPDATE SKIP LOCKED');
      expect(free, statement).toHaveLength(38 - 9);
      await one.sql('ROLLBACK');
    }
  });

  test.each(['id = 7', 'u = 300', 'u = 300 AND w = 5', 'id IN (7, 70)'])(
    'a locking read of a unique key that is not there keeps others from inserting it: %s',
    async (condition) => {
      await one.sql('BEGIN', `SELECT * FROM t WHERE ${condition} FOR UPDATE`);
      await impatient(two);
      expect(await two.code('INSERT INTO t VALUES (7, 70, 300, 0)')).toBe(LOCKED);
      await one.sql('COMMIT');
      await two.sql('INSERT INTO t VALUES (7, 70, 300, 0)');
    },
  );

  test('an UPDATE that loses a deadlock says so itself', async () => {
    await one.sql('BEGIN', 'SELECT * FROM t WHERE v BETWEEN 60 AND 70 FOR UPDATE');
    await two.sql('BEGIN', 'SELECT * FROM t WHERE v BETWEEN 80 AND 90 FOR UPDATE');
    const outcome = (statement: Promise<unknown>) =>
      statement.then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
    // Each inserts into the gap that the other one has locked: which is all of the index behind 50.
    const other = outcome(one.sql('UPDATE t SET v = 85 WHERE id = 1'));
    await untilLocked(server(), engine);
    const own = outcome(two.sql('UPDATE t SET v = 65 WHERE id = 2'));
    expect([await other, await own].sort()).toEqual(['ER_LOCK_DEADLOCK', 'done']);
    await Promise.all([one.sql('SELECT 1 FROM t', 'COMMIT'), two.sql('SELECT 1 FROM t', 'COMMIT')]);
  });

  test('rows that neither take locks nor can be refused go with the commit', async () => {
    if (engine !== 'VAMOS') return;
    const frames = async () =>
      Number(((await one.sql("SHOW STATUS LIKE 'vamos_frames'")) as [string, string][])[0]![1]);
    await one.sql('BEGIN', 'SELECT * FROM t WHERE id < 3 FOR UPDATE');
    const before = await frames();
    await one.sql('UPDATE t SET w = w + 1 WHERE id < 3');
    const between = await frames();
    await one.sql('COMMIT');
    // The rows are read again, with their locks, and nothing else.
    expect(between - before).toBe(1);
    expect((await frames()) - between).toBe(1);
    expect(await two.sql('SELECT w FROM t ORDER BY id')).toEqual([[1], [1], [0]]);
  });
});
