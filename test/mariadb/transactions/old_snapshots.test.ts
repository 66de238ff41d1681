/** Tables that change as a whole while another connection's snapshot is open: the same on VAMOS and on InnoDB. */
import { execFile } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../lab/daemon/daemon.js';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const CHANGED = 'ER_TABLE_DEF_CHANGED';
/** For some statements InnoDB gives its own number of the error, instead of the server's. */
const ALSO_ON_INNODB = ['ER_TABLE_DEF_CHANGED', 'HA_ERR_TABLE_DEF_CHANGED'];

const server = useServer();

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let one: Session;
  let two: Session;

  beforeEach(async () => {
    [one, two] = await Promise.all([Session.open(server()), Session.open(server())]);
    await two.sql(
      'DROP TABLE IF EXISTS a, t, t_old, t_new, parts, x',
      `CREATE TABLE a (id INT PRIMARY KEY) ENGINE=${engine}`,
      'INSERT INTO a VALUES (1)',
      `CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT, KEY (v), UNIQUE (w)) ENGINE=${engine}`,
      'INSERT INTO t VALUES (1, 10, 100), (2, 20, 200)',
    );
  });
  afterEach(async () => {
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });

  const SNAPSHOTS = {
    'of the first read': ['BEGIN', 'SELECT * FROM a'],
    'of the start': ['START TRANSACTION WITH CONSISTENT SNAPSHOT'],
  };
  const REBUILDS = {
    'OPTIMIZE TABLE': ['OPTIMIZE TABLE t'],
    'ALTER TABLE … FORCE': ['ALTER TABLE t FORCE'],
    'ALTER TABLE by copy': ['ALTER TABLE t ADD COLUMN z INT, ALGORITHM=COPY'],
    'ALTER TABLE with a new name': [
      'ALTER TABLE t ADD COLUMN z INT, RENAME TO t_new, ALGORITHM=COPY',
      'RENAME TABLE t_new TO t',
    ],
    'a change of engine and back': ['ALTER TABLE t ENGINE=Aria', `ALTER TABLE t ENGINE=${engine}`],
    'TRUNCATE TABLE': ['TRUNCATE TABLE t', 'INSERT INTO t VALUES (1, 10, 100)'],
    'DROP and CREATE TABLE … SELECT': [
      'DROP TABLE t',
      `CREATE TABLE t (PRIMARY KEY (id), KEY (v)) ENGINE=${engine} AS SELECT 1 id, 10 v, 100 w`,
    ],
    'a copy that takes its place by RENAME': [
      'CREATE TABLE t_new LIKE t',
      'INSERT INTO t_new SELECT * FROM t',
      'RENAME TABLE t TO t_old, t_new TO t',
    ],
  };

  describe.each(Object.entries(SNAPSHOTS))('with a snapshot %s', (_, snapshot) => {
    test.each(Object.entries(REBUILDS))(
      '%s makes reads and changes of the table fail',
      async (_, rebuild) => {
        await one.sql(...snapshot);
        await two.sql(...rebuild);
        for (const statement of [
          'SELECT * FROM t',
          'SELECT * FROM t WHERE id = 1',
          'UPDATE t SET w = w + 1 WHERE id = 1',
        ])
          expect([statement, await one.code(statement)]).toEqual([statement, CHANGED]);
        // The transaction goes on, and the next one has the rows.
        expect(await one.sql('SELECT * FROM a')).toEqual([[1]]);
        expect(await one.sql('COMMIT', 'SELECT v FROM t WHERE id = 1')).toEqual([[10]]);
      },
    );
  });

  test.each([
    'SELECT * FROM t WHERE w = 100',
    'SELECT * FROM t WHERE id IN (1, 2)',
    'SELECT * FROM t WHERE id = 99',
    'SELECT v FROM t FORCE INDEX (v) WHERE v > 5',
    'SELECT * FROM t FORCE INDEX (v) WHERE v > 5',
    'SELECT COUNT(*) FROM t',
    'SELECT MAX(w), SUM(v) FROM t',
    'SELECT * FROM a JOIN t ON t.id = a.id',
    'SELECT * FROM t WHERE v = 10 FOR UPDATE',
    'SELECT * FROM t LOCK IN SHARE MODE',
    'UPDATE t SET w = w + 1',
    'UPDATE t, a SET t.w = 7 WHERE t.id = a.id',
    'DELETE FROM t WHERE id = 2',
    'DELETE FROM t',
    'REPLACE INTO t VALUES (1, 10, 100)',
    'INSERT INTO t VALUES (1, 10, 100) ON DUPLICATE KEY UPDATE v = 7',
    'INSERT INTO a SELECT id + 10 FROM t',
  ])('%s fails after the table was rebuilt', async (statement) => {
    await one.sql('BEGIN', 'SELECT * FROM a');
    await two.sql('OPTIMIZE TABLE t');
    expect(engine === 'VAMOS' ? [CHANGED] : ALSO_ON_INNODB).toContain(await one.code(statement));
    await one.sql('ROLLBACK');
    expect(await one.count()).toBe(2);
  });

  test('rows may be added to a table that was rebuilt, and duplicates are found', async () => {
    await one.sql('BEGIN', 'SELECT * FROM a');
    await two.sql('ALTER TABLE t FORCE');
    expect(await one.code('INSERT INTO t VALUES (1, 0, 0)')).toBe('ER_DUP_ENTRY');
    await one.sql('INSERT INTO t VALUES (3, 30, 300)', 'COMMIT');
    expect(await one.count()).toBe(3);
  });

  test.each([
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
  ])('after %s, reads have the rows of a rebuilt table', async (setting) => {
    await one.sql(setting, 'BEGIN', 'SELECT * FROM a');
    await two.sql('OPTIMIZE TABLE t');
    expect(await one.count()).toBe(2);
    await one.sql('COMMIT');
  });

  test('a transaction that has read nothing, or only written, has the rows of a rebuilt table', async () => {
    for (const write of [[], ['INSERT INTO a VALUES (2)']]) {
      await one.sql('BEGIN', ...write);
      await two.sql('OPTIMIZE TABLE t');
      expect(await one.count()).toBe(2);
      await one.sql('ROLLBACK');
    }
  });

  test('a renamed table is read by its old snapshot, and so is one whose definition alone changed', async () => {
    await one.sql('BEGIN', 'SELECT * FROM a');
    await two.sql('INSERT INTO t VALUES (3, 30, 300)', 'RENAME TABLE t TO t_old', 'RENAME TABLE t_old TO t');
    await two.sql("ALTER TABLE t MODIFY v INT COMMENT 'changed', ALGORITHM=INSTANT");
    expect(await one.count()).toBe(2);
  });

  test('temporary tables are read, whatever the age of the snapshot', async () => {
    await one.sql('BEGIN', 'SELECT * FROM a');
    await one.sql(
      `CREATE TEMPORARY TABLE mine (id INT PRIMARY KEY) ENGINE=${engine}`,
      'INSERT INTO mine VALUES (1)',
    );
    expect(await one.sql('SELECT * FROM mine')).toEqual([[1]]);
    await one.sql('TRUNCATE TABLE mine', 'INSERT INTO mine VALUES (2)');
    expect(await one.sql('SELECT * FROM mine WHERE id = 2')).toEqual([[2]]);
    await one.sql('DROP TEMPORARY TABLE mine', 'COMMIT');
  });

  describe('of a partitioned table', () => {
    beforeEach(async () => {
      await two.sql(
        `CREATE TABLE parts (id INT PRIMARY KEY, v INT, KEY (v)) ENGINE=${engine} PARTITION BY RANGE (id)
           (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))`,
        'INSERT INTO parts VALUES (1, 1), (11, 11)',
      );
    });

    test.each([
      'REBUILD PARTITION p0',
      'TRUNCATE PARTITION p0',
      'REORGANIZE PARTITION p0 INTO (PARTITION n0 VALUES LESS THAN (5), PARTITION n1 VALUES LESS THAN (10))',
    ])('%s makes reads of that partition fail, and of no other', async (change) => {
      await one.sql('BEGIN', 'SELECT * FROM a');
      await two.sql(`ALTER TABLE parts ${change}`);
      for (const statement of [
        'SELECT * FROM parts',
        'SELECT v FROM parts FORCE INDEX (v) WHERE v > 0',
        'SELECT * FROM parts WHERE id = 1',
        'UPDATE parts SET v = 7 WHERE id = 1',
      ])
        expect([statement, await one.code(statement)]).toEqual([statement, CHANGED]);
      expect(await one.sql('SELECT * FROM parts WHERE id = 11')).toEqual([[11, 11]]);
    });

    test.each(['REMOVE PARTITIONING', 'OPTIMIZE PARTITION p0', 'FORCE'])(
      '%s makes all reads fail',
      async (change) => {
        await one.sql('BEGIN', 'SELECT * FROM a');
        await two.sql(`ALTER TABLE parts ${change}`);
        expect(await one.code('SELECT * FROM parts WHERE id = 11')).toBe(CHANGED);
      },
    );

    test('EXCHANGE PARTITION moves rows that the snapshot goes on to see', async () => {
      await two.sql(`CREATE TABLE x (id INT PRIMARY KEY, v INT, KEY (v)) ENGINE=${engine}`);
      await two.sql('INSERT INTO x VALUES (2, 2)');
      await one.sql('BEGIN', 'SELECT * FROM a');
      await two.sql('UPDATE x SET v = 3', 'ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE x');
      expect(await one.sql('SELECT * FROM parts')).toEqual([
        [2, 2],
        [11, 11],
      ]);
    });
  });

  test('a dump in one transaction beside a rebuild fails, and lacks no rows silently', async () => {
    // Held up at its first table, when its snapshot is taken.
    await two.sql('LOCK TABLES a WRITE');
    const [client, ...options] = server()
      .client.replace(/\/mariadb /, '/mariadb-dump ')
      .split(' ');
    const dump = new Promise<{ code: number; text: string }>((resolve) => {
      execFile(client!, [...options, '--single-transaction', 'a', 't'], (error, out, errors) => {
        resolve({ code: error ? Number(error.code) : 0, text: out + errors });
      });
    });
    const waits =
      "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = 'Waiting for table metadata lock'";
    await until(async () => (await server().query(waits)).length > 0);
    await one.sql('OPTIMIZE TABLE t');
    await two.sql('UNLOCK TABLES');
    const { code, text } = await dump;
    expect(text).toContain('Table definition has changed');
    expect(code).not.toBe(0);
  });
});
