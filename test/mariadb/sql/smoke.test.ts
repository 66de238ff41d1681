/** Every kind of statement that applications use, once: what it answers and what the table holds then. */
import { writeFileSync } from 'node:fs';
import type mysql from 'mysql2/promise';
import { beforeEach, describe, expect, test } from 'vitest';
import { ENGINE, onEngine } from '../engine.js';
import { useServer } from '../suite.js';

const server = useServer(onEngine({ args: ['--secure-file-priv='] }));
let connection: mysql.Connection;
let database: string;
let databases = 0;

beforeEach(async () => {
  database = `smoke_${++databases}`;
  connection = await server().connect();
  await connection.query(`CREATE DATABASE ${database}`);
  await connection.query(`USE ${database}`);
  return () => connection.end();
});

/** Runs statements one after the other. @returns what the last one answers: rows as arrays, or its header */
async function sql(...statements: string[]): Promise<unknown> {
  let result: unknown;
  for (const statement of statements) {
    [result] = await connection.query({ sql: statement, rowsAsArray: true });
  }
  return result;
}

async function affected(statement: string): Promise<number> {
  return ((await sql(statement)) as mysql.ResultSetHeader).affectedRows;
}

/** The code of the error that the statement ends with. */
async function code(statement: string): Promise<string> {
  return (await refusal(statement)).code ?? 'no code';
}

async function refusal(statement: string): Promise<mysql.QueryError> {
  try {
    await connection.query(statement);
  } catch (error) {
    return error as mysql.QueryError;
  }
  throw new Error(`did not fail: ${statement}`);
}

const PAIRS = 'CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), UNIQUE (v))';
const ROWS = "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')";
const ALL = 'SELECT * FROM t ORDER BY 1';
/** What the server does when it finds that a connection is gone. */
const PATIENT = { timeout: 60_000 };

describe('INSERT', () => {
  test('a duplicate names the key and leaves no row of its statement', async () => {
    await sql(PAIRS, ROWS);
    const primary = await refusal("INSERT INTO t VALUES (4, 'four'), (2, 'again')");
    expect([primary.code, primary.message]).toEqual([
      'ER_DUP_ENTRY',
      "Duplicate entry '2' for key 'PRIMARY'",
    ]);
    const unique = await refusal("INSERT INTO t VALUES (5, 'five'), (6, 'two')");
    expect([unique.code, unique.message]).toEqual(['ER_DUP_ENTRY', "Duplicate entry 'two' for key 'v'"]);
    expect(await sql('SELECT COUNT(*) FROM t')).toEqual([[3]]);
  });

  test('IGNORE skips duplicates with a warning for each', async () => {
    await sql(PAIRS, ROWS);
    const result = (await sql(
      "INSERT IGNORE INTO t VALUES (3, 'x'), (4, 'four'), (5, 'one')",
    )) as mysql.ResultSetHeader;
    expect([result.affectedRows, result.warningStatus]).toEqual([1, 2]);
    expect(await sql(ALL)).toEqual([
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
      [4, 'four'],
    ]);
  });

  test('REPLACE takes the place of every row it meets', async () => {
    await sql(PAIRS, ROWS);
    expect(await affected("REPLACE INTO t VALUES (1, 'two'), (9, 'nine')")).toBe(4);
    expect(await sql(ALL)).toEqual([
      [1, 'two'],
      [3, 'three'],
      [9, 'nine'],
    ]);
  });

  test('ON DUPLICATE KEY UPDATE changes the row that is there', async () => {
    await sql(PAIRS, ROWS);
    const statement =
      "INSERT INTO t VALUES (1, 'a'), (7, 'seven') ON DUPLICATE KEY UPDATE v = CONCAT(v, '+', VALUES(v))";
    expect(await affected(statement)).toBe(3);
    expect(await sql(ALL)).toEqual([
      [1, 'one+a'],
      [2, 'two'],
      [3, 'three'],
      [7, 'seven'],
    ]);
  });

  test('RETURNING gives inserted, replaced and deleted rows', async () => {
    await sql('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)');
    expect(await sql('INSERT INTO t (v) VALUES (10), (20) RETURNING id, v')).toEqual([
      [1, 10],
      [2, 20],
    ]);
    expect(await sql('REPLACE INTO t VALUES (2, 30) RETURNING v')).toEqual([[30]]);
    expect(await sql('DELETE FROM t WHERE v > 20 RETURNING *')).toEqual([[2, 30]]);
    expect(await sql(ALL)).toEqual([[1, 10]]);
  });

  test('INSERT … SELECT from another table and from itself', async () => {
    await sql('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)', 'CREATE TABLE s (v INT)');
    await sql('INSERT INTO s VALUES (1), (2), (3)', 'INSERT INTO t (v) SELECT v FROM s ORDER BY v');
    for (let doubling = 0; doubling < 8; doubling++) await sql('INSERT INTO t (v) SELECT v FROM t');
    expect(await sql('SELECT COUNT(*), SUM(v), COUNT(DISTINCT id) FROM t')).toEqual([[768, '1536', 768]]);
  });

  test('LOAD DATA, with IGNORE and REPLACE', async () => {
    await sql(PAIRS, ROWS);
    const file = server().folder.file('rows.txt');
    writeFileSync(file, '3\tnew\n4\tfour\n5\t\\N\n');
    expect(await code(`LOAD DATA INFILE '${file}' INTO TABLE t`)).toBe('ER_DUP_ENTRY');
    expect(await affected(`LOAD DATA INFILE '${file}' IGNORE INTO TABLE t`)).toBe(2);
    expect(await affected(`LOAD DATA INFILE '${file}' REPLACE INTO TABLE t`)).toBe(6);
    expect(await sql(ALL)).toEqual([
      [1, 'one'],
      [2, 'two'],
      [3, 'new'],
      [4, 'four'],
      [5, null],
    ]);
  });
});

describe('UPDATE and DELETE', () => {
  test('of several tables in one statement', async () => {
    await sql('CREATE TABLE a (id INT PRIMARY KEY, v INT)', 'CREATE TABLE b (id INT PRIMARY KEY, v INT)');
    await sql(
      'INSERT INTO a VALUES (1, 1), (2, 2), (3, 3)',
      'INSERT INTO b VALUES (2, 20), (3, 30), (4, 40)',
    );
    await sql('UPDATE a JOIN b USING (id) SET a.v = b.v, b.v = a.v + b.v');
    expect(await sql('SELECT * FROM a ORDER BY id')).toEqual([
      [1, 1],
      [2, 20],
      [3, 30],
    ]);
    expect(await affected('DELETE a, b FROM a JOIN b USING (id) WHERE a.id = 2')).toBe(2);
    expect(await sql('SELECT id FROM a UNION ALL SELECT id FROM b ORDER BY 1')).toEqual([[1], [3], [3], [4]]);
  });

  test('a key that moves through its own scan moves once', async () => {
    await sql('CREATE TABLE t (id INT PRIMARY KEY, k INT, KEY (k))');
    await sql('INSERT INTO t SELECT seq, seq FROM seq_1_to_200');
    await sql('UPDATE t SET k = k + 50 WHERE k > 100', 'UPDATE t SET id = id + 1 ORDER BY id DESC');
    expect(await sql('SELECT COUNT(*), MIN(id), MAX(id), SUM(k) FROM t')).toEqual([[200, 2, 201, '25100']]);
    expect(await sql('SELECT COUNT(*) FROM t FORCE INDEX (k) WHERE k > 150')).toEqual([[100]]);
  });

  test('ORDER BY with LIMIT, IGNORE and a duplicate', async () => {
    await sql(PAIRS, ROWS);
    expect(await code('UPDATE t SET id = 3 WHERE id = 2')).toBe('ER_DUP_ENTRY');
    await sql('UPDATE IGNORE t SET id = id + 1');
    expect(await affected('DELETE FROM t ORDER BY id DESC LIMIT 1')).toBe(1);
    expect(await sql(ALL)).toEqual([
      [1, 'one'],
      [2, 'two'],
    ]);
  });

  test('TRUNCATE empties the table and its counter begins again', async () => {
    await sql('CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)', 'INSERT INTO t VALUES (), (), ()');
    await sql('TRUNCATE TABLE t', 'INSERT INTO t VALUES ()');
    expect(await sql(ALL)).toEqual([[1]]);
  });

  test('triggers see the row before and after, and can refuse it', async () => {
    await sql(
      'CREATE TABLE t (id INT PRIMARY KEY, v INT)',
      'CREATE TABLE log (n INT AUTO_INCREMENT PRIMARY KEY, what TEXT)',
    );
    await sql(
      "CREATE TRIGGER i AFTER INSERT ON t FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT('+', NEW.id))",
      "CREATE TRIGGER u BEFORE UPDATE ON t FOR EACH ROW BEGIN IF NEW.v < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'negative'; END IF; SET NEW.v = NEW.v * 2; END",
      "CREATE TRIGGER d AFTER DELETE ON t FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT('-', OLD.id, ':', OLD.v))",
      'INSERT INTO t VALUES (1, 1), (2, 2)',
      'UPDATE t SET v = v + 1',
    );
    expect(await code('UPDATE t SET v = -1 WHERE id = 2')).toBe('ER_SIGNAL_EXCEPTION');
    await sql('DELETE FROM t');
    expect(await sql('SELECT what FROM log ORDER BY n')).toEqual([['+1'], ['+2'], ['-1:4'], ['-2:6']]);
  });
});

describe('definitions', () => {
  test('RENAME moves tables, also through one another', async () => {
    await sql(
      'CREATE TABLE a (n INT)',
      'CREATE TABLE b (n INT)',
      'INSERT INTO a VALUES (1)',
      'INSERT INTO b VALUES (2)',
    );
    await sql('RENAME TABLE a TO c, b TO a, c TO b');
    expect(await sql('SELECT a.n, b.n FROM a, b')).toEqual([[2, 1]]);
    expect(await code('SELECT * FROM c')).toBe('ER_NO_SUCH_TABLE');
    await sql('CREATE DATABASE IF NOT EXISTS smoke2', 'RENAME TABLE a TO smoke2.a');
    expect(await sql('SELECT n FROM smoke2.a')).toEqual([[2]]);
    await sql('DROP DATABASE smoke2');
  });

  test('ALTER adds, changes and drops columns and indexes with the rows in place', async () => {
    await sql(PAIRS, ROWS);
    await sql(
      "ALTER TABLE t ADD COLUMN w INT NOT NULL DEFAULT 7 AFTER id, ADD COLUMN x TEXT DEFAULT 'long'",
      'ALTER TABLE t MODIFY v VARCHAR(300) CHARACTER SET utf8mb4',
      'ALTER TABLE t ADD INDEX (w), ADD INDEX prefix (x(3) DESC)',
      'ALTER TABLE t RENAME COLUMN w TO weight, DROP INDEX v',
      'ALTER TABLE t RENAME INDEX w TO heavy',
      'ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (weight, id)',
      "ALTER TABLE t COMMENT 'altered', AUTO_INCREMENT 50",
    );
    expect(await sql('SELECT * FROM t FORCE INDEX (heavy) WHERE weight = 7 ORDER BY id')).toEqual([
      [1, 7, 'one', 'long'],
      [2, 7, 'two', 'long'],
      [3, 7, 'three', 'long'],
    ]);
    await sql('ALTER TABLE t DROP COLUMN x', 'ALTER TABLE t RENAME TO u');
    expect(await sql("SELECT id, v FROM u WHERE v LIKE 't%' ORDER BY id")).toEqual([
      [2, 'two'],
      [3, 'three'],
    ]);
    expect(await code('ALTER TABLE u ADD UNIQUE (weight)')).toBe('ER_DUP_ENTRY');
    expect(await sql('SELECT COUNT(*) FROM u')).toEqual([[3]]);
  });

  test('from another engine and back', async () => {
    await sql(PAIRS, ROWS, 'ALTER TABLE t ENGINE=Aria', `ALTER TABLE t ENGINE=${ENGINE}`);
    expect(await sql('SELECT COUNT(*) FROM t')).toEqual([[3]]);
    expect(await sql('SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE()')).toEqual(
      [[ENGINE]],
    );
  });

  test('CREATE … SELECT, CREATE … LIKE, CREATE OR REPLACE, IF NOT EXISTS', async () => {
    await sql(PAIRS, ROWS, 'CREATE TABLE c (PRIMARY KEY (id)) AS SELECT id, v FROM t WHERE id > 1');
    expect(await sql('SELECT * FROM c ORDER BY id')).toEqual([
      [2, 'two'],
      [3, 'three'],
    ]);
    await sql('CREATE TABLE l LIKE t', 'INSERT INTO l SELECT * FROM t');
    await sql('CREATE TABLE IF NOT EXISTS l (n INT)', 'CREATE OR REPLACE TABLE c (n INT)');
    expect(await sql('SELECT (SELECT COUNT(*) FROM l), (SELECT COUNT(*) FROM c)')).toEqual([[3, 0]]);
    expect(await code('CREATE TABLE l (n INT)')).toBe('ER_TABLE_EXISTS_ERROR');
    expect(await code('CREATE TABLE d (PRIMARY KEY (one)) AS SELECT 1 AS one UNION ALL SELECT 1')).toBe(
      'ER_DUP_ENTRY',
    );
    expect(await code('SELECT * FROM d')).toBe('ER_NO_SUCH_TABLE');
  });

  test('a temporary table hides the other and ends with its connection', async () => {
    await sql(
      PAIRS,
      ROWS,
      'CREATE TEMPORARY TABLE t (id INT PRIMARY KEY, n INT) ',
      'INSERT INTO t VALUES (1, 2)',
    );
    await sql('UPDATE t SET n = n + 1', 'ALTER TABLE t ADD COLUMN m INT DEFAULT 5');
    expect(await sql('SELECT * FROM t')).toEqual([[1, 3, 5]]);
    expect(await server().query(`SELECT COUNT(*) AS n FROM ${database}.t`)).toEqual([{ n: 3 }]);
    await sql('DROP TEMPORARY TABLE t');
    expect(await sql('SELECT COUNT(*) FROM t')).toEqual([[3]]);
  });

  test('generated, invisible and checked columns', async () => {
    await sql(
      'CREATE TABLE t (a INT, b INT AS (a * 2) STORED, c INT AS (a + 1) VIRTUAL, h INT INVISIBLE DEFAULT 9, ' +
        'KEY (b), KEY (c), CHECK (a < 100))',
      'INSERT INTO t (a) VALUES (1), (2), (3)',
    );
    expect(await sql('SELECT *, h FROM t FORCE INDEX (c) WHERE c = 3')).toEqual([[2, 4, 3, 9]]);
    expect(await sql('SELECT a FROM t FORCE INDEX (b) WHERE b > 2 ORDER BY b DESC')).toEqual([[3], [2]]);
    expect((await refusal('INSERT INTO t (a) VALUES (100)')).message).toMatch(/^CONSTRAINT .* failed/);
  });

  test.runIf(ENGINE === 'VAMOS')('foreign keys and FULLTEXT are refused, with the reason', async () => {
    await sql('CREATE TABLE parent (id INT PRIMARY KEY)');
    const foreign = await refusal('CREATE TABLE child (p INT, FOREIGN KEY (p) REFERENCES parent (id))');
    expect(foreign.message).toMatch(/foreign key/i);
    const fulltext = await refusal('CREATE TABLE words (t TEXT, FULLTEXT (t))');
    expect(fulltext.message).toMatch(/fulltext/i);
    expect(await sql('SHOW TABLES')).toEqual([['parent']]);
  });
});

describe('partitions', () => {
  const partitioned =
    'CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY (v)) PARTITION BY RANGE (id) ' +
    '(PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200), PARTITION p2 VALUES LESS THAN MAXVALUE)';
  const names =
    "SELECT partition_name FROM information_schema.partitions WHERE table_schema = DATABASE() AND table_name = 't'";

  test('rows are where they belong and move', async () => {
    await sql(partitioned, 'INSERT INTO t SELECT seq, seq % 10 FROM seq_1_to_300');
    expect(await sql('SELECT COUNT(*) FROM t PARTITION (p1)')).toEqual([[100]]);
    await sql('UPDATE t SET id = id + 1000 WHERE id < 100');
    expect(await sql('SELECT COUNT(*) FROM t PARTITION (p2)')).toEqual([[200]]);
    expect(await sql('SELECT id FROM t WHERE v = 3 ORDER BY id DESC LIMIT 2')).toEqual([[1093], [1083]]);
  });

  test.each(['SET @x = 0', 'BEGIN'])(
    'a row that can move to no other partition names the key that is there: %s',
    async (begin) => {
      await sql(partitioned, 'ALTER TABLE t ADD COLUMN u INT, ADD UNIQUE (u, id)');
      await sql('INSERT INTO t VALUES (1, 10, 1), (50, 20, 2), (150, 30, 3), (250, 40, 4)', begin);
      for (const [update, duplicate] of [
        ['UPDATE t SET id = 150 WHERE id = 1', "'150' for key 'PRIMARY'"],
        ['UPDATE t SET id = 1 WHERE id = 250', "'1' for key 'PRIMARY'"],
        ['UPDATE t SET id = 120 WHERE id < 100', "'120' for key 'PRIMARY'"],
        ['UPDATE t SET id = 120 WHERE id < 100 ORDER BY v DESC', "'120' for key 'PRIMARY'"],
        ['UPDATE t JOIN (SELECT 1 AS n) d SET t.id = 250 WHERE t.v = 10', "'250' for key 'PRIMARY'"],
      ] as const) {
        const { code, message } = await refusal(update);
        expect([code, message]).toEqual(['ER_DUP_ENTRY', `Duplicate entry ${duplicate}`]);
      }
      await sql('COMMIT');
      expect(await sql('SELECT id FROM t ORDER BY id')).toEqual([[1], [50], [150], [250]]);
    },
  );

  test('they are added, dropped, truncated, exchanged and reorganised', async () => {
    await sql(partitioned, 'INSERT INTO t SELECT seq, seq FROM seq_1_to_300');
    await sql(
      'ALTER TABLE t TRUNCATE PARTITION p0',
      'ALTER TABLE t REORGANIZE PARTITION p2 INTO (PARTITION p2 VALUES LESS THAN (250), PARTITION p3 VALUES LESS THAN MAXVALUE)',
      'CREATE TABLE x (id INT PRIMARY KEY, v INT, KEY (v))',
      'INSERT INTO x VALUES (5, 5)',
      'ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x',
      'ALTER TABLE t DROP PARTITION p3',
    );
    expect(await sql(`${names} ORDER BY 1`)).toEqual([['p0'], ['p1'], ['p2']]);
    expect(await sql('SELECT COUNT(*), MIN(id), MAX(id) FROM t')).toEqual([[151, 5, 249]]);
    expect(await sql('SELECT COUNT(*) FROM x')).toEqual([[0]]);
    await sql('ALTER TABLE t REMOVE PARTITIONING');
    expect(await sql('SELECT COUNT(*) FROM t')).toEqual([[151]]);
  });
});

describe('transactions', () => {
  test('COMMIT, ROLLBACK and savepoints', async () => {
    await sql(
      PAIRS,
      'START TRANSACTION',
      "INSERT INTO t VALUES (1, 'a')",
      'SAVEPOINT s',
      "INSERT INTO t VALUES (2, 'b')",
    );
    await sql('ROLLBACK TO s', "INSERT INTO t VALUES (3, 'c')", 'COMMIT');
    await sql('START TRANSACTION', 'DELETE FROM t', 'ROLLBACK');
    expect(await sql(ALL)).toEqual([
      [1, 'a'],
      [3, 'c'],
    ]);
  });

  test('a failed statement leaves the transaction as it was before it', async () => {
    await sql(PAIRS, 'START TRANSACTION', "INSERT INTO t VALUES (1, 'a')");
    expect(await code("INSERT INTO t VALUES (2, 'b'), (3, 'a')")).toBe('ER_DUP_ENTRY');
    await sql('COMMIT');
    expect(await sql(ALL)).toEqual([[1, 'a']]);
  });

  test('READ ONLY refuses writes, LOCK TABLES keeps others out', async () => {
    await sql(PAIRS, ROWS, 'START TRANSACTION READ ONLY');
    expect(await code('DELETE FROM t')).toBe('ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION');
    await sql('COMMIT', 'LOCK TABLES t WRITE');
    const other = await server().connect({ database });
    await other.query('SET lock_wait_timeout = 1');
    await expect(other.query('SELECT * FROM t')).rejects.toMatchObject({ code: 'ER_LOCK_WAIT_TIMEOUT' });
    await sql("INSERT INTO t VALUES (4, 'four')", 'UNLOCK TABLES');
    expect((await other.query('SELECT COUNT(*) AS n FROM t'))[0]).toEqual([{ n: 4 }]);
    await sql('LOCK TABLES t READ');
    expect(await code('DELETE FROM t')).toBe('ER_TABLE_NOT_LOCKED_FOR_WRITE');
    await sql('UNLOCK TABLES');
    await other.end();
  });

  test('XA goes through its states, and a prepared one outlives its connection', async () => {
    await sql(PAIRS, "XA START 'x'", ROWS, "XA END 'x'", "XA PREPARE 'x'");
    connection.destroy();
    connection = await server().connect({ database });
    await expect.poll(() => sql('XA RECOVER'), PATIENT).toEqual([[1, 1, 0, Buffer.from('x')]]);
    expect(await sql('SELECT COUNT(*) FROM t')).toEqual([[0]]);
    await expect
      .poll(
        () =>
          sql("XA COMMIT 'x'").then(
            () => 'done',
            (error: mysql.QueryError) => error.code,
          ),
        PATIENT,
      )
      .toBe('done');
    expect(await sql('SELECT COUNT(*) FROM t')).toEqual([[3]]);
  });
});

describe('administration', () => {
  test('ANALYZE, CHECK, OPTIMIZE and CHECKSUM', async () => {
    await sql(PAIRS, ROWS);
    for (const statement of [
      'ANALYZE TABLE t',
      'CHECK TABLE t',
      'CHECK TABLE t EXTENDED',
      'OPTIMIZE TABLE t',
    ]) {
      const rows = (await sql(statement)) as string[][];
      expect(rows.at(-1)!.slice(2)).toEqual(['status', 'OK']);
    }
    const [[, before]] = (await sql('CHECKSUM TABLE t')) as [[string, number]];
    await sql('DELETE FROM t WHERE id = 1', "INSERT INTO t VALUES (1, 'one')");
    expect(await sql('CHECKSUM TABLE t')).toEqual([[`${database}.t`, before]]);
  });

  test('SHOW CREATE TABLE and information_schema say what was made', async () => {
    await sql(
      'CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(10) COLLATE utf8mb4_bin, KEY down (v DESC)) AUTO_INCREMENT=10',
      "INSERT INTO t (v) VALUES ('x')",
      'ANALYZE TABLE t',
    );
    const [[, text]] = (await sql('SHOW CREATE TABLE t')) as [[string, string]];
    expect(text).toContain('KEY `down` (`v` DESC)');
    expect(text).toContain(`ENGINE=${ENGINE} AUTO_INCREMENT=11`);
    expect(
      await sql(
        'SELECT table_rows, auto_increment FROM information_schema.tables WHERE table_schema = DATABASE()',
      ),
    ).toEqual([[1, 11]]);
  });

  test('FLUSH, HANDLER and sequences work on it', async () => {
    await sql(PAIRS, ROWS, 'FLUSH TABLES', 'HANDLER t OPEN');
    expect(await sql('HANDLER t READ `PRIMARY` >= (2)')).toEqual([[2, 'two']]);
    expect(await sql('HANDLER t READ `PRIMARY` NEXT')).toEqual([[3, 'three']]);
    expect(await sql('HANDLER t READ FIRST')).toHaveLength(1);
    await sql('HANDLER t CLOSE');
  });
});
