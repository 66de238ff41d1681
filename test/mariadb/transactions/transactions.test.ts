/** What several connections see and lock: the same on VAMOS and on InnoDB, which each test runs on as well. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Session, untilLocked } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let one: Session;
  let two: Session;

  beforeEach(async () => {
    const open = () =>
      Session.open(server(), 'vamos_lock_wait_timeout = 20', 'innodb_lock_wait_timeout = 20');
    [one, two] = await Promise.all([open(), open()]);
    await one.sql(
      'DROP TABLE IF EXISTS t',
      `CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY (v)) ENGINE=${engine}`,
      'INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)',
    );
    return async () => {
      await one[Symbol.asyncDispose]();
      await two[Symbol.asyncDispose]();
    };
  });

  const impatient = (session: Session) =>
    session.sql('SET SESSION vamos_lock_wait_timeout = 1', 'SET SESSION innodb_lock_wait_timeout = 1');
  const ONE = 'SELECT v FROM t WHERE id = 1';

  describe('visibility', () => {
    test('REPEATABLE READ reads as of its first read', async () => {
      await one.sql('BEGIN');
      await two.sql('UPDATE t SET v = 11 WHERE id = 1');
      expect(await one.sql(ONE)).toEqual([[11]]);
      await two.sql(
        'UPDATE t SET v = 12 WHERE id = 1',
        'INSERT INTO t VALUES (4, 40)',
        'DELETE FROM t WHERE id = 2',
      );
      expect(await one.sql('SELECT * FROM t ORDER BY id')).toEqual([
        [1, 11],
        [2, 20],
        [3, 30],
      ]);
      expect(await one.sql('COMMIT', 'SELECT id FROM t ORDER BY id')).toEqual([[1], [3], [4]]);
    });

    test('a consistent snapshot is taken at the start', async () => {
      await one.sql('START TRANSACTION WITH CONSISTENT SNAPSHOT');
      await two.sql('UPDATE t SET v = 11 WHERE id = 1');
      expect(await one.sql(ONE)).toEqual([[10]]);
    });

    test('READ COMMITTED reads what is committed when each statement starts', async () => {
      await one.sql('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED', 'BEGIN');
      expect(await one.sql(ONE)).toEqual([[10]]);
      await two.sql('UPDATE t SET v = 11 WHERE id = 1');
      expect(await one.sql(ONE)).toEqual([[11]]);
    });

    test('a transaction sees its own rows, others do not', async () => {
      await one.sql(
        'BEGIN',
        'INSERT INTO t VALUES (4, 40)',
        'UPDATE t SET v = 21 WHERE id = 2',
        'DELETE FROM t WHERE id = 3',
      );
      expect(await one.sql('SELECT * FROM t ORDER BY id')).toEqual([
        [1, 10],
        [2, 21],
        [4, 40],
      ]);
      expect(await two.sql('SELECT * FROM t ORDER BY id')).toEqual([
        [1, 10],
        [2, 20],
        [3, 30],
      ]);
      await one.sql('ROLLBACK');
      expect(await one.sql('SELECT * FROM t ORDER BY id')).toEqual([
        [1, 10],
        [2, 20],
        [3, 30],
      ]);
    });

    test('an update sees the latest row, not the snapshot', async () => {
      await one.sql('BEGIN', ONE);
      await two.sql('UPDATE t SET v = 100 WHERE id = 1');
      await one.sql('UPDATE t SET v = v + 1 WHERE id = 1', 'COMMIT');
      expect(await one.sql(ONE)).toEqual([[101]]);
    });

    test('SERIALIZABLE reads keep writers out, in a transaction', async () => {
      await one.sql('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE', ONE);
      await two.sql('UPDATE t SET v = 11 WHERE id = 1');
      await one.sql('BEGIN', ONE);
      await impatient(two);
      expect(await two.code('UPDATE t SET v = 12 WHERE id = 1')).toBe('ER_LOCK_WAIT_TIMEOUT');
      await one.sql('COMMIT');
      await two.sql('UPDATE t SET v = 12 WHERE id = 1');
    });

    test('READ ONLY refuses writes', async () => {
      await one.sql('START TRANSACTION READ ONLY');
      expect(await one.code('INSERT INTO t VALUES (4, 40)')).toBe('ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION');
      expect(await one.sql(ONE)).toEqual([[10]]);
    });

    test('autocommit off: the transaction goes on until its end, which a definition is, too', async () => {
      await one.sql('SET autocommit = 0', 'INSERT INTO t VALUES (4, 40)');
      expect(await two.count()).toBe(3);
      await one.sql('CREATE OR REPLACE TABLE other (a INT)');
      expect(await two.count()).toBe(4);
      await one.sql('INSERT INTO t VALUES (5, 50)', 'SET autocommit = 1');
      expect(await two.count()).toBe(5);
    });
  });

  describe('undoing', () => {
    test('a savepoint takes back what came after it, again and again', async () => {
      await one.sql('BEGIN', 'INSERT INTO t VALUES (4, 40)', 'SAVEPOINT a', 'INSERT INTO t VALUES (5, 50)');
      await one.sql('SAVEPOINT b', 'UPDATE t SET v = 0', 'ROLLBACK TO b');
      expect(await one.count('v = 0')).toBe(0);
      await one.sql('DELETE FROM t', 'ROLLBACK TO a', 'INSERT INTO t VALUES (6, 60)', 'ROLLBACK TO a');
      expect(await one.code('ROLLBACK TO b')).toBe('ER_SP_DOES_NOT_EXIST');
      await one.sql('INSERT INTO t VALUES (7, 70)', 'RELEASE SAVEPOINT a', 'COMMIT');
      expect(await two.sql('SELECT id FROM t ORDER BY id')).toEqual([[1], [2], [3], [4], [7]]);
    });

    test('a savepoint set again under its name stands where it was set last', async () => {
      await one.sql(
        'BEGIN',
        'SAVEPOINT a',
        'INSERT INTO t VALUES (4, 40)',
        'SAVEPOINT b',
        'INSERT INTO t VALUES (5, 50)',
      );
      await one.sql('SAVEPOINT a', 'INSERT INTO t VALUES (6, 60)', 'ROLLBACK TO a');
      expect(await one.count()).toBe(5);
      await one.sql('ROLLBACK TO b');
      expect(await one.count()).toBe(4);
      await one.sql('COMMIT');
      expect(await two.count()).toBe(4);
    });

    test('rows changed before a savepoint keep their locks after a rollback to it', async () => {
      await one.sql('BEGIN', 'UPDATE t SET v = 31 WHERE id = 3', 'SAVEPOINT a');
      await one.sql('UPDATE t SET v = 11 WHERE id = 1', 'ROLLBACK TO a');
      await impatient(two);
      expect(await two.code('UPDATE t SET v = 12 WHERE id = 1')).toBe('ER_LOCK_WAIT_TIMEOUT');
      await one.sql('COMMIT');
    });

    test('a statement that fails takes back its own rows only', async () => {
      await one.sql('BEGIN', 'INSERT INTO t VALUES (4, 40)');
      expect(await one.code('INSERT INTO t VALUES (5, 50), (6, 60), (1, 0), (7, 70)')).toBe('ER_DUP_ENTRY');
      expect(await one.code('UPDATE t SET id = id + 1 WHERE id IN (2, 4) ORDER BY id DESC')).toBe(
        'ER_DUP_ENTRY',
      );
      expect(await one.sql('SELECT id FROM t ORDER BY id')).toEqual([[1], [2], [3], [4]]);
      await one.sql('INSERT INTO t VALUES (8, 80)', 'COMMIT');
      expect(await two.sql('SELECT id FROM t ORDER BY id')).toEqual([[1], [2], [3], [4], [8]]);
    });

    test('a connection that ends takes its transaction back', async () => {
      await one.sql('BEGIN', 'UPDATE t SET v = 11 WHERE id = 1');
      one.connection.destroy();
      await two.sql('UPDATE t SET v = v + 1 WHERE id = 1');
      expect(await two.sql(ONE)).toEqual([[11]]);
    });
  });

  describe('locks', () => {
    test('a writer waits for a writer of the same row, not of another', async () => {
      await one.sql('BEGIN', 'UPDATE t SET v = 11 WHERE id = 1');
      await two.sql('UPDATE t SET v = 21 WHERE id = 2');
      const waiting = two.sql('UPDATE t SET v = v * 2 WHERE id = 1');
      await untilLocked(server(), engine);
      await one.sql('COMMIT');
      await waiting;
      expect(await one.sql(ONE)).toEqual([[22]]);
    });

    test('a lock that does not come in time fails the statement, the transaction goes on', async () => {
      await one.sql('BEGIN', 'UPDATE t SET v = 11 WHERE id = 1');
      await impatient(two);
      await two.sql('BEGIN', 'INSERT INTO t VALUES (4, 40)');
      expect(await two.code('UPDATE t SET v = v + 1')).toBe('ER_LOCK_WAIT_TIMEOUT');
      expect(await two.count('v = 31')).toBe(0);
      await two.sql('COMMIT');
      expect(await two.count()).toBe(4);
    });

    test('two that wait for each other: one is told of a deadlock and rolled back, the other goes on', async () => {
      await one.sql('BEGIN', 'UPDATE t SET v = 11 WHERE id = 1');
      await two.sql('BEGIN', 'UPDATE t SET v = 22 WHERE id = 2');
      const other = one.sql('UPDATE t SET v = 12 WHERE id = 2').then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      await untilLocked(server(), engine);
      const own = await two.sql('UPDATE t SET v = 21 WHERE id = 1').then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      expect([await other, own].sort()).toEqual(['ER_LOCK_DEADLOCK', 'done']);
      await Promise.all([one.sql('COMMIT'), two.sql('COMMIT')]);
      const rows = await one.sql('SELECT v FROM t WHERE id < 3 ORDER BY id');
      expect([JSON.stringify([[11], [12]]), JSON.stringify([[21], [22]])]).toContain(JSON.stringify(rows));
    });

    test('FOR UPDATE and LOCK IN SHARE MODE', async () => {
      await one.sql('BEGIN', 'SELECT * FROM t WHERE id = 1 LOCK IN SHARE MODE');
      await two.sql('BEGIN', 'SELECT * FROM t WHERE id = 1 LOCK IN SHARE MODE', 'COMMIT');
      expect(await two.code('SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT')).toBe('ER_LOCK_WAIT_TIMEOUT');
      await one.sql('COMMIT', 'BEGIN', 'SELECT * FROM t WHERE id = 1 FOR UPDATE');
      expect(await two.code('SELECT * FROM t WHERE id = 1 LOCK IN SHARE MODE WAIT 1')).toBe(
        'ER_LOCK_WAIT_TIMEOUT',
      );
      expect(await two.sql(ONE)).toEqual([[10]]);
      await one.sql('COMMIT');
      expect(await two.sql('SELECT v FROM t WHERE id = 1 FOR UPDATE NOWAIT')).toEqual([[10]]);
    });

    test('SKIP LOCKED leaves out rows that others hold', async () => {
      await one.sql('BEGIN', 'SELECT * FROM t WHERE id = 2 FOR UPDATE');
      expect(await two.sql('SELECT id FROM t ORDER BY id FOR UPDATE SKIP LOCKED')).toEqual([[1], [3]]);
      expect(await two.sql('SELECT id FROM t ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED')).toEqual([
        [1],
        [3],
      ]);
    });

    test('LIMIT 1 FOR UPDATE locks one row', async () => {
      await one.sql('BEGIN', 'SELECT id FROM t ORDER BY id LIMIT 1 FOR UPDATE');
      expect(await two.sql('SELECT id FROM t WHERE id = 3 FOR UPDATE NOWAIT')).toEqual([[3]]);
      expect(await two.code('SELECT id FROM t WHERE id = 1 FOR UPDATE NOWAIT')).toBe('ER_LOCK_WAIT_TIMEOUT');
    });

    test('a locked range keeps new rows out under REPEATABLE READ, not under READ COMMITTED', async () => {
      await one.sql('BEGIN', 'SELECT * FROM t WHERE id > 2 FOR UPDATE');
      await impatient(two);
      expect(await two.code('INSERT INTO t VALUES (5, 50)')).toBe('ER_LOCK_WAIT_TIMEOUT');
      await one.sql('COMMIT', 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
      await one.sql('BEGIN', 'SELECT * FROM t WHERE id > 2 FOR UPDATE');
      await two.sql('INSERT INTO t VALUES (5, 50)');
    });

    test('an insert waits for the end of another of the same key', async () => {
      await one.sql('BEGIN', 'INSERT INTO t VALUES (4, 40)');
      const waiting = two.code('INSERT INTO t VALUES (4, 41)');
      await untilLocked(server(), engine);
      await one.sql('COMMIT');
      expect(await waiting).toBe('ER_DUP_ENTRY');
      await one.sql('BEGIN', 'INSERT INTO t VALUES (5, 50)');
      const going = two.sql('INSERT INTO t VALUES (5, 51)');
      await untilLocked(server(), engine);
      await one.sql('ROLLBACK');
      await going;
      expect(await two.sql('SELECT v FROM t WHERE id = 5')).toEqual([[51]]);
    });

    test('LOCK TABLES and its end', async () => {
      await one.sql('LOCK TABLES t WRITE', 'INSERT INTO t VALUES (4, 40)');
      expect(await one.count()).toBe(4);
      const waiting = two.sql('INSERT INTO t VALUES (5, 50)');
      await one.sql('UPDATE t SET v = 0 WHERE id = 4', 'UNLOCK TABLES');
      await waiting;
      expect(await one.sql('SELECT * FROM t WHERE id > 3')).toEqual([
        [4, 0],
        [5, 50],
      ]);
    });
  });
});
