/** Rows behind a refused one are not evaluated, or without any effect: as on InnoDB. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let one: Session;

  beforeEach(async () => {
    one = await Session.open(server());
    await one.sql(
      'CREATE OR REPLACE DATABASE behind',
      'USE behind',
      `CREATE TABLE t (id INT PRIMARY KEY, v INT CHECK (v < 1000), s VARCHAR(5), n INT NOT NULL DEFAULT 7)
       ENGINE=${engine}`,
      "INSERT INTO t VALUES (1, 0, 'a', 0)",
      'SET @x = 0',
    );
    await one.sql('CREATE SEQUENCE s ENGINE=InnoDB');
    return () => one[Symbol.asyncDispose]();
  });

  const BEHIND = [
    ['a bad value', "(1, 0, 'b', 0), (4, 'x', 'c', 0)"],
    ['a value out of range', "(1, 0, 'b', 0), (4, 5000000000, 'c', 0)"],
    ['a text that is too long', "(1, 0, 'b', 0), (4, 0, 'too long', 0)"],
    ['NULL in a column that has none', "(1, 0, 'b', 0), (4, 0, 'c', NULL)"],
    ['a check that fails', "(1, 0, 'b', 0), (4, 2000, 'c', 0)"],
    ['a subquery of two rows', "(1, 0, 'b', 0), (4, (SELECT seq FROM seq_1_to_2), 'c', 0)"],
    ['an error of a function', "(1, 0, 'b', 0), (4, EXP(1000) * 1e308 * 10, 'c', 0)"],
  ] as const;

  describe.each(['autocommit', 'transaction'])('%s', (mode) => {
    beforeEach(async () => {
      if (mode === 'transaction') await one.sql('BEGIN');
    });

    test.each(BEHIND)('the duplicate is the error, not %s behind it', async (_, rows) => {
      const { code, message } = await one.refusal(`INSERT INTO t VALUES (3, 0, 'd', 0), ${rows}`);
      expect([code, message]).toEqual(['ER_DUP_ENTRY', "Duplicate entry '1' for key 'PRIMARY'"]);
      expect(await one.sql('SELECT id FROM t')).toEqual([[1]]);
    });

    test.each(BEHIND)('without a duplicate, %s is the error', async (_, rows) => {
      const code = await one.code(`INSERT INTO t VALUES (3, 0, 'd', 0), ${rows.replace('(1,', '(2,')}`);
      expect(code).not.toBe('ER_DUP_ENTRY');
      expect(await one.sql('SELECT id FROM t')).toEqual([[1]]);
    });

    test.each([
      'INSERT INTO t VALUES (1, @x := @x + 1, NULL, 0), (2, @x := @x + 1, NULL, 0), (3, @x := @x + 1, NULL, 0)',
      'INSERT INTO t SELECT seq, @x := @x + 1, NULL, 0 FROM seq_1_to_9',
      'INSERT INTO t VALUES (1, 0, NULL, 0), (2, IF(2 > 1, (SELECT @x := 9), 3), NULL, 0)',
    ])('variables keep what the refused row set: %s', async (insert) => {
      expect(await one.code(insert)).toBe('ER_DUP_ENTRY');
      expect(await one.sql('SELECT CAST(@x AS INT)')).toEqual([[insert.includes('IF') ? 0 : 1]]);
    });

    test('locks by name, sequences and LAST_INSERT_ID(…) of rows behind it are not touched', async () => {
      const insert = (value: string) => `INSERT INTO t VALUES (1, 0, 'b', 0), (4, ${value}, 'c', 0)`;
      await one.sql('SELECT LAST_INSERT_ID(5)');
      for (const value of ["GET_LOCK('behind', 0)", 'NEXTVAL(s)', 'NEXT VALUE FOR s', 'LAST_INSERT_ID(77)'])
        expect(await one.code(insert(value))).toBe('ER_DUP_ENTRY');
      expect(await one.sql("SELECT IS_FREE_LOCK('behind'), LAST_INSERT_ID(), NEXTVAL(s)")).toEqual([
        [1, 5, 1],
      ]);
    });

    test('functions of rows behind it are not called', async () => {
      await one.sql('ROLLBACK');
      await one.sql('CREATE FUNCTION f() RETURNS INT BEGIN SET @x = @x + 1; RETURN @x; END');
      if (mode === 'transaction') await one.sql('BEGIN');
      expect(await one.code("INSERT INTO t VALUES (1, f(), 'b', 0), (4, f(), 'c', 0)")).toBe('ER_DUP_ENTRY');
      expect(await one.sql('SELECT CAST(@x AS INT)')).toEqual([[1]]);
    });

    test('a sequence that is a default is not drawn from for rows behind it', async () => {
      await one.sql(`CREATE TABLE d (id INT PRIMARY KEY, n INT DEFAULT NEXTVAL(s)) ENGINE=${engine}`);
      await one.sql('INSERT INTO d (id) VALUES (1)');
      if (mode === 'transaction') await one.sql('BEGIN');
      expect(await one.code('INSERT INTO d (id) VALUES (2), (1), (3), (4)')).toBe('ER_DUP_ENTRY');
      expect(await one.sql('SELECT NEXTVAL(s)')).toEqual([[4]]);
    });

    test('warnings are those of rows before it, with their numbers', async () => {
      await one.sql("SET SESSION sql_mode = ''");
      const rows = "(2, 'x', 'too long', 0), (3, 0, 'ok', 0), (1, 'y', 'b', 0), (4, 'z', 'far too long', 0)";
      expect(await one.code(`INSERT INTO t VALUES ${rows}`)).toBe('ER_DUP_ENTRY');
      expect(await one.sql('SHOW WARNINGS')).toEqual([
        ['Warning', 1366, "Incorrect integer value: 'x' for column `behind`.`t`.`v` at row 1"],
        ['Warning', 1265, "Data truncated for column 's' at row 1"],
        ['Warning', 1366, "Incorrect integer value: 'y' for column `behind`.`t`.`v` at row 3"],
        ['Error', 1062, "Duplicate entry '1' for key 'PRIMARY'"],
      ]);
    });

    test('GET DIAGNOSTICS has the number of the refused row', async () => {
      expect(await one.code("INSERT INTO t VALUES (2, 0, 'b', 0), (3, 0, 'c', 0), (1, 0, 'd', 0)")).toBe(
        'ER_DUP_ENTRY',
      );
      await one.sql('GET DIAGNOSTICS CONDITION 1 @row = ROW_NUMBER');
      expect(await one.sql('SELECT @row')).toEqual([[3]]);
    });

    test('LAST_INSERT_ID() has no value of a refused row', async () => {
      await one.sql(
        `CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE) ENGINE=${engine}`,
        'INSERT INTO a (u) VALUES (1)',
        'INSERT INTO a VALUES (100, 2)',
        'SELECT LAST_INSERT_ID(5)',
      );
      if (mode === 'transaction') await one.sql('BEGIN');
      const last = async () => ((await one.sql('SELECT LAST_INSERT_ID()')) as [[number]])[0][0];
      expect(await one.code('INSERT INTO a (u) VALUES (1)')).toBe('ER_DUP_ENTRY');
      expect(await last()).toBe(5);
      expect(await one.code('INSERT INTO a (u) VALUES (2), (3)')).toBe('ER_DUP_ENTRY');
      expect(await last()).toBe(5);
      expect(await one.code('INSERT INTO a VALUES (200, 20), (201, 2), (NULL, 30)')).toBe('ER_DUP_ENTRY');
      expect(await last()).toBe(5);
      expect(await one.code('INSERT INTO a (u) VALUES (40), (1)')).toBe('ER_DUP_ENTRY');
      expect(await last()).toBeGreaterThan(100);
    });
  });

  test('rows of a SELECT whose value is bad stand behind the duplicate', async () => {
    await one.sql(`CREATE TABLE words (id INT PRIMARY KEY, w VARCHAR(20)) ENGINE=${engine}`);
    await one.sql("INSERT INTO words VALUES (1, '1'), (2, '2'), (3, 'three')");
    expect(await one.code('INSERT INTO t (id, v) SELECT id, w FROM words ORDER BY id')).toBe('ER_DUP_ENTRY');
    expect(await one.code('INSERT INTO t (id, v) SELECT id + 1, w FROM words ORDER BY id')).toBe(
      'ER_TRUNCATED_WRONG_VALUE_FOR_FIELD',
    );
  });

  test('lines of a file whose value is bad stand behind the duplicate', async () => {
    const file = server().folder.file(`lines-${engine}`);
    await one.sql(`SELECT 5, 0 UNION ALL SELECT 1, 0 UNION ALL SELECT 6, 'x' INTO OUTFILE '${file}'`);
    expect(await one.code(`LOAD DATA INFILE '${file}' INTO TABLE t (id, v)`)).toBe('ER_DUP_ENTRY');
    expect(await one.code(`LOAD DATA INFILE '${file}' INTO TABLE t (id, v) SET id = id + 10`)).toBe(
      'ER_TRUNCATED_WRONG_VALUE_FOR_FIELD',
    );
  });

  test('a row that fits no partition stands behind the duplicate', async () => {
    await one.sql(
      `CREATE TABLE p (id INT PRIMARY KEY) ENGINE=${engine}
       PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (10))`,
      'INSERT INTO p VALUES (1)',
    );
    for (const begin of ['DO 1', 'BEGIN']) {
      await one.sql(begin);
      expect(await one.code('INSERT INTO p VALUES (7), (1), (12)')).toBe('ER_DUP_ENTRY');
      expect(await one.code('INSERT INTO p VALUES (7), (2), (12)')).toBe('ER_NO_PARTITION_FOR_GIVEN_VALUE');
    }
    expect(await one.sql('SELECT id FROM p')).toEqual([[1]]);
  });

  test('nothing of an INSERT is left for the changes that follow it', async () => {
    await one.sql('CREATE TABLE k (id INT PRIMARY KEY, v INT, w INT AS (v + 1) VIRTUAL, KEY (v))');
    await one.sql(`ALTER TABLE k ENGINE=${engine}`, 'SET @n = 0, SESSION vamos_pushdown = OFF');
    for (let id = 1; id <= 20; id++) {
      await one.sql(
        `INSERT INTO k (id, v) VALUES (${id}, @n + ${'1 + '.repeat(id * 7)} 1), (${id + 100}, 0)`,
        `SELECT ${"CONCAT('some memory', RAND()), ".repeat(id * 10)} 1`,
        'UPDATE k SET v = v + 1 WHERE id > @n AND w <> 0',
        'UPDATE k a JOIN k b USING (id) SET a.v = a.v + 1 WHERE b.id > @n',
        'DELETE FROM k WHERE id > 100 + @n AND w <> 0',
      );
    }
    expect(await one.sql('SELECT COUNT(*) FROM k')).toEqual([[20]]);
  });

  test('rows whose values can do nothing else go together', async () => {
    if (engine !== 'VAMOS') return;
    const frames = async () =>
      Number(((await one.sql("SHOW STATUS LIKE 'vamos_frames'")) as [string, string][])[0]![1]);
    const rows = Array.from({ length: 200 }, (_, n) => `(${n + 10}, LAST_INSERT_ID() % 1000, 'a', 0)`).join();
    const before = await frames();
    await one.sql(`INSERT INTO t VALUES ${rows}`);
    expect((await frames()) - before).toBe(1);
    await one.sql('INSERT INTO t SELECT seq + 1000, NULL, LEFT(UUID(), 5), RAND() FROM seq_1_to_200');
    expect((await frames()) - before).toBe(2);
  });
});
