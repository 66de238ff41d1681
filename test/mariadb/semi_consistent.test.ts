/** Under READ COMMITTED an UPDATE does not wait for rows that it does not want: on VAMOS as on InnoDB. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Session, untilRunning } from '../../lab/mariadb/session.js';
import { useServer } from './suite.js';

const server = useServer();
const LOCKED = 'ER_LOCK_WAIT_TIMEOUT';
const ROWS = [
  [1, 10, 0],
  [2, 20, 0],
  [3, 30, 0],
];

describe.each([
  ['VAMOS', 'ON'],
  ['VAMOS', 'OFF'],
  ['InnoDB', 'ON'],
])('%s, push-down %s', (engine, pushdown) => {
  let one: Session;
  let two: Session;

  const open = () =>
    Session.open(
      server(),
      'TRANSACTION ISOLATION LEVEL READ COMMITTED',
      `vamos_pushdown = ${pushdown}`,
      'innodb_lock_wait_timeout = 100',
    );

  beforeEach(async () => {
    [one, two] = await Promise.all([open(), open()]);
    await one.sql(
      'DROP TABLE IF EXISTS t',
      `CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT, KEY (w)) ENGINE=${engine}`,
      `INSERT INTO t VALUES ${ROWS.map((row) => `(${row.join(', ')})`).join(', ')}`,
    );
    return async () => {
      await one[Symbol.asyncDispose]();
      await two[Symbol.asyncDispose]();
    };
  });

  /** InnoDB looks at committed rows only where it might wait. */
  const impatient = (session: Session) =>
    session.sql('SET SESSION innodb_lock_wait_timeout = 1', 'SET SESSION vamos_lock_wait_timeout = 0');
  const rows = () => one.sql('SELECT id, v, w FROM t IGNORE INDEX (w) ORDER BY id');

  test.each([
    ['UPDATE t SET w = w + 7 WHERE v = 20', [2, 20, 7]],
    ['UPDATE t SET w = w + 7 WHERE id > 0 AND v = 20', [2, 20, 7]],
    ['UPDATE t SET w = w + 7 WHERE MD5(v) = MD5(20)', [2, 20, 7]],
    ['UPDATE t SET w = w + 7 WHERE v = 20 ORDER BY id DESC LIMIT 2', [2, 20, 7]],
    ['UPDATE t SET id = id * 1.2 WHERE v = 20 AND id < 10', [2, 20, 0]],
  ])('%s passes over rows that another transaction has changed or deleted', async (update, changed) => {
    await impatient(two);
    await one.sql('BEGIN', 'UPDATE t SET w = 5 WHERE id = 1', 'DELETE FROM t WHERE id = 3');
    await one.sql('INSERT INTO t VALUES (0, 20, 9), (4, 20, 9)');
    await two.sql(update, 'BEGIN', update.replaceAll('20', '21'), 'COMMIT');
    await one.sql('ROLLBACK');
    expect(await rows()).toEqual([ROWS[0], changed, ROWS[2]]);
  });

  test.each(['UPDATE t SET w = w + 7 WHERE v >= 20', 'UPDATE t SET w = w + 7 WHERE id > 1 AND SQRT(v) > 4'])(
    '%s waits for a row that it wants as it was committed, and then changes it as it is',
    async (update) => {
      await one.sql('BEGIN', 'UPDATE t SET w = 5 WHERE id = 2');
      const waiting = two.sql(update);
      await untilRunning(server(), two.id);
      await one.sql('COMMIT');
      await waiting;
      expect(await rows()).toEqual([ROWS[0], [2, 20, 12], [3, 30, 7]]);

      await one.sql('BEGIN', 'UPDATE t SET v = 1 WHERE id = 2', 'DELETE FROM t WHERE id = 3');
      const again = two.sql(update);
      await untilRunning(server(), two.id);
      await one.sql('COMMIT');
      await again;
      expect(await rows()).toEqual([ROWS[0], [2, 1, 12]]);
    },
  );

  test('no row behind one that is waited for is locked', async () => {
    await one.sql('BEGIN', 'UPDATE t SET w = 5 WHERE id = 2');
    const waiting = two.sql('UPDATE t SET w = w + 7 WHERE v >= 20');
    await untilRunning(server(), two.id);
    await one.sql('UPDATE t SET w = 6 WHERE id = 3', 'COMMIT');
    await waiting;
    expect(await rows()).toEqual([ROWS[0], [2, 20, 12], [3, 30, 13]]);
  });

  test('rows that an UPDATE did not want stay free for others', async () => {
    await impatient(two);
    await one.sql('BEGIN', 'UPDATE t SET w = 1 WHERE v = 20');
    await two.sql('UPDATE t SET w = 2 WHERE v <> 20');
    await one.sql('COMMIT');
    expect(await rows()).toEqual([
      [1, 10, 2],
      [2, 20, 1],
      [3, 30, 2],
    ]);
  });

  test('other statements, and UPDATEs by whole keys or by another index, wait for rows that they do not want', async () => {
    await one.sql('BEGIN', 'UPDATE t SET v = 11 WHERE id = 1');
    const statements = [
      'DELETE FROM t WHERE v = 20',
      'SELECT * FROM t WHERE v = 20 FOR UPDATE',
      'UPDATE t SET w = 2 WHERE id = 1 AND v = 20',
      'UPDATE t SET w = 2 WHERE id IN (1, 2) AND v = 20',
      'UPDATE t FORCE INDEX (w) SET v = 2 WHERE w >= 0 AND v = 20',
      'UPDATE t JOIN (SELECT 20 AS v) d USING (v) SET t.w = 2',
    ];
    const codes = statements.map(async (statement) => {
      await using session = await open();
      await impatient(session);
      return session.code(statement);
    });
    expect(await Promise.all(codes)).toEqual(statements.map(() => LOCKED));
    await one.sql('ROLLBACK');
  });

  test('under REPEATABLE READ an UPDATE waits for rows that it does not want', async () => {
    await one.sql('BEGIN', 'UPDATE t SET v = 11 WHERE id = 1');
    await impatient(two);
    await two.sql('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    expect(await two.code('UPDATE t SET w = 2 WHERE v = 20')).toBe(LOCKED);
    await one.sql('ROLLBACK');
  });
});
