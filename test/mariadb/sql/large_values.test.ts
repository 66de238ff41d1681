/** Values that stand in chunks beside their row: many in a statement, rolled back, refused, or the same as before. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();

describe.each(['VAMOS', 'InnoDB'])('large values, %s', (engine) => {
  let session: Session;

  beforeEach(async () => {
    session = await Session.open(server());
    await session.sql(
      'DROP TABLE IF EXISTS t',
      `CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB, w DOUBLE) ENGINE=${engine}`,
    );
    return () => session[Symbol.asyncDispose]();
  });

  const large = (letter: string) => `REPEAT('${letter}', 40000)`;
  /** None is left on the host that no row owns. */
  const noneIsPending = () =>
    expect.poll(async () => (await server().host!.counters()).blobsPending, { timeout: 60_000 }).toBe(0);

  test('a statement and a copy of the table write hundreds of them', async () => {
    await session.sql(`INSERT INTO t SELECT seq, ${large('r')}, 1 FROM seq_1_to_600`);
    const sums = 'SELECT COUNT(*), SUM(LENGTH(v)), COUNT(DISTINCT MD5(v)) FROM t';
    expect(await session.sql(sums)).toEqual([[600, '24000000', 1]]);
    await session.sql('ALTER TABLE t FORCE, ALGORITHM=COPY');
    expect(await session.sql(sums)).toEqual([[600, '24000000', 1]]);
    await noneIsPending();
  });

  test('those that are rolled back or refused leave nothing', async () => {
    await session.sql(`INSERT INTO t VALUES (1, ${large('a')}, 1)`);
    for (let round = 0; round < 20; round++) {
      await session.sql('BEGIN', `INSERT INTO t VALUES (2, ${large('b')}, 1)`, 'ROLLBACK');
      await session.sql('BEGIN', `INSERT INTO t VALUES (2, ${large('b')}, 1)`, 'SELECT COUNT(*) FROM t');
      await session.sql(`UPDATE t SET v = ${large('c')}`, 'ROLLBACK');
      const rows = Array.from({ length: 20 }, (_, row) => `(${20 - row}, ${large('d')}, 1)`);
      for (const insert of ['INSERT INTO', 'INSERT HIGH_PRIORITY INTO']) {
        await session.sql('BEGIN', 'SAVEPOINT a', `INSERT INTO t VALUES (30, ${large('e')}, 1)`);
        await expect(session.sql(`${insert} t VALUES ${rows.join()}`)).rejects.toMatchObject({ errno: 1062 });
        await session.sql('ROLLBACK TO a', 'COMMIT');
      }
      await session.sql(`INSERT IGNORE INTO t VALUES (1, ${large('f')}, 1)`);
      await expect(session.sql(`INSERT INTO t VALUES (1, ${large('g')}, 1)`)).rejects.toMatchObject({
        errno: 1062,
      });
    }
    expect(await session.sql('SELECT id, CAST(LEFT(v, 1) AS CHAR), LENGTH(v) FROM t')).toEqual([
      [1, 'a', 40000],
    ]);
    await noneIsPending();
  });

  test('those of statements that are killed leave nothing', async () => {
    await using other = await Session.open(server());
    const [[id]] = (await session.sql('SELECT CONNECTION_ID()')) as [[number]];
    let isOver = false;
    const kills = (async () => {
      while (!isOver) await other.sql(`KILL QUERY ${id}`);
    })();
    for (let killed = 0; killed < 60;) {
      try {
        await session.sql(`INSERT INTO t VALUES (1, ${large('k')}, 1), (2, ${large('k')}, 1)`);
        await session.sql('TRUNCATE t');
      } catch {
        killed++;
      }
    }
    isOver = true;
    await kills;
    await noneIsPending();
  });

  test('a copy of the table that leaves rows out leaves nothing of them', async () => {
    await session.sql(`INSERT INTO t SELECT seq, ${large('r')}, IF(seq MOD 2, seq, 0) FROM seq_1_to_40`);
    await session.sql('ALTER IGNORE TABLE t ADD UNIQUE (w), ALGORITHM=COPY');
    expect(await session.sql('SELECT COUNT(*), SUM(LENGTH(v)) FROM t')).toEqual([[21, '840000']]);
    await noneIsPending();
  });

  test('one that is set to the bytes it has is no change', async () => {
    await session.sql(`INSERT INTO t VALUES (1, ${large('a')}, 1), (2, ${large('b')}, 1)`);
    const changed = async (update: string): Promise<number> => {
      const result = (await session.sql(`UPDATE t SET ${update}`)) as { changedRows: number };
      return result.changedRows;
    };
    expect(await changed('v = v, w = 1')).toBe(0);
    expect(await changed(`v = ${large('a')}, w = 1`)).toBe(1);
    expect(await changed(`v = CONCAT(LEFT(v, 39999), 'z'), w = 1`)).toBe(2);
    expect(await changed('v = LEFT(v, 39999), w = 1')).toBe(2);
    expect(await session.sql('SELECT id, LENGTH(v), CAST(RIGHT(v, 1) AS CHAR) FROM t')).toEqual([
      [1, 39999, 'a'],
      [2, 39999, 'a'],
    ]);
    await noneIsPending();
  });
});

describe('large values and kill -9 of the worker', () => {
  /** Number of rows and of bytes, for each letter that the values are made of, where they are made of it alone. */
  const values = `SELECT CAST(LEFT(v, 1) AS CHAR) letter, COUNT(*), SUM(LENGTH(v)) FROM t
    WHERE v = REPEAT(LEFT(v, 1), LENGTH(v)) GROUP BY letter ORDER BY letter`;

  beforeEach(async () => {
    await server().query('CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v LONGBLOB) ENGINE=VAMOS');
    await server().query("INSERT INTO t SELECT seq, REPEAT('a', 600000) FROM seq_1_to_4");
  });

  test('what is open goes, what was committed stays', async () => {
    await using session = await Session.open(server());
    await session.sql('BEGIN', "INSERT INTO t SELECT seq, REPEAT('b', 700000) FROM seq_5_to_30");
    await session.sql("UPDATE t SET v = REPEAT('c', 50000) WHERE id < 3");
    await server().host!.killWorker();
    expect(await session.code('COMMIT')).toBe('ER_LOCK_DEADLOCK');
    expect(await session.sql(values)).toEqual([['a', 4, '2400000']]);
    await session.sql("UPDATE t SET v = REPEAT('d', 40000) WHERE id = 4");
    await server().host!.killWorker();
    expect(await session.sql(values)).toEqual([
      ['a', 3, '1800000'],
      ['d', 1, '40000'],
    ]);
  });

  test.each(['COMMIT', 'ROLLBACK'])('what is prepared stays until XA %s', async (end) => {
    await using session = await Session.open(server());
    await session.sql("XA START 'x'", "INSERT INTO t VALUES (5, REPEAT('b', 700000))");
    await session.sql("UPDATE t SET v = REPEAT('c', 50000) WHERE id < 3", 'SAVEPOINT s');
    await session.sql("UPDATE t SET v = REPEAT('d', 50000)", 'ROLLBACK TO s', "XA END 'x'", "XA PREPARE 'x'");
    await server().host!.killWorker();
    await session.sql(`XA ${end} 'x'`);
    await server().host!.killWorker();
    const expected = [
      ['a', 2, '1200000'],
      ['b', 1, '700000'],
      ['c', 2, '100000'],
    ];
    expect(await session.sql(values)).toEqual(end === 'COMMIT' ? expected : [['a', 4, '2400000']]);
  });
});
