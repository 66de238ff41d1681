/**
 * COUNT, SUM, MIN, MAX and AVG that the host computes: the answer is that of the server, which `vamos_pushdown=OFF` asks,
 * and EXPLAIN says who gave it.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../lab/daemon/daemon.js';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();
let on: Session;
let off: Session;

beforeAll(async () => {
  on = await Session.open(server(), 'vamos_pushdown = ON');
  off = await Session.open(server(), 'vamos_pushdown = OFF');
  await on.sql(
    `CREATE TABLE t (
       id INT PRIMARY KEY, a INT, b BIGINT UNSIGNED, d DECIMAL(12,3), large DECIMAL(60,5), f DOUBLE, r FLOAT,
       s VARCHAR(30) COLLATE utf8mb4_bin, c CHAR(6) CHARACTER SET latin1 COLLATE latin1_bin, n VARBINARY(20),
       collated VARCHAR(30), dt DATETIME(3), ts TIMESTAMP NULL, da DATE, ti TIME(2), y YEAR, bits BIT(9), e ENUM('z', 'y', 'x'),
       txt TEXT, tiny TINYINT UNSIGNED, KEY (a), KEY (s, id))
     ENGINE=VAMOS DEFAULT CHARSET=utf8mb4`,
    `INSERT INTO t SELECT seq, IF(seq % 7 = 0, NULL, CAST(seq % 100 AS SIGNED) - 50), seq * 18446744073709551,
       (500 - CAST(seq AS SIGNED)) / 7, seq / 11, SQRT(seq) - 10, seq / 7, IF(seq % 5 = 0, NULL, CONCAT('s', seq % 37)),
       CHAR(97 + seq % 26), CHAR(seq % 256, 0, seq % 3), CONCAT('v', seq), '2020-01-01' + INTERVAL seq HOUR,
       IF(seq % 3, FROM_UNIXTIME(1500000000 + seq * 100), NULL), '2000-01-01' + INTERVAL seq DAY,
       SEC_TO_TIME(CAST(seq AS SIGNED) * 10 - 4000), 1950 + seq % 100, seq % 512, 1 + seq % 3, REPEAT('x', seq * 30),
       seq % 256
     FROM seq_1_to_1000`,
    `CREATE TABLE edges (
       id INT PRIMARY KEY, f DOUBLE, padded VARCHAR(10) COLLATE utf8mb4_bin, exact VARCHAR(10) COLLATE utf8mb4_nopad_bin,
       b BIGINT, u BIGINT UNSIGNED, d DECIMAL(36,0))
     ENGINE=VAMOS`,
    `INSERT INTO edges VALUES
       (1, -0.0, 'a', 'a', 9223372036854775807, 18446744073709551615, REPEAT('9', 36)),
       (2, 0.0, 'a ', 'a ', 9223372036854775807, 18446744073709551615, REPEAT('9', 36)),
       (3, 1e308, 'a\t', 'a\t', -9223372036854775808, 0, CONCAT('-', REPEAT('9', 35))),
       (4, 1e308, '', '', -9223372036854775808, 1, 0),
       (5, -1e-300, NULL, NULL, NULL, NULL, NULL)`,
    'CREATE TABLE empty (id INT PRIMARY KEY, a INT, s VARCHAR(5) COLLATE utf8mb4_bin, d DECIMAL(5,2), f DOUBLE) ENGINE=VAMOS',
    'INSERT INTO empty VALUES (1, NULL, NULL, NULL, NULL)',
  );
});
afterAll(async () => {
  await on[Symbol.asyncDispose]();
  await off[Symbol.asyncDispose]();
});

interface Answer {
  rows: unknown;
  types: (number | undefined)[];
}

/** What the query answers as text, with its columns' types, and as a prepared statement. */
async function answer(session: Session, query: string): Promise<[Answer, Answer]> {
  const [rows, fields] = await session.connection.query({ sql: query, rowsAsArray: true });
  const [binaryRows, binaryFields] = await session.connection.execute({ sql: query, rowsAsArray: true });
  return [
    { rows, types: fields.map((field) => field.type) },
    { rows: binaryRows, types: binaryFields.map((field) => field.type) },
  ];
}

/** Number of parts of the query that the host answers. */
async function pushed(query: string, session = on): Promise<number> {
  const plan = (await session.sql(`EXPLAIN ${query}`)) as unknown[][];
  return plan.filter((row) => row.at(-1) === 'Storage engine handles GROUP BY').length;
}

const expectPushed = async (query: string, parts = 1) => {
  expect(await pushed(query), query).toBe(parts);
  expect(await answer(on, query), query).toEqual(await answer(off, query));
};
const expectDeclined = async (query: string) => {
  await expectPushed(query, 0);
};

describe('the host computes', () => {
  const everything = 'COUNT(*), COUNT(x), SUM(x), MIN(x), MAX(x), AVG(x)';

  test.each(['a', 'b', 'd', 'f', 'r', 'tiny'])('all functions over the numbers of %s', async (column) => {
    const functions = everything.replaceAll('x', column);
    await expectPushed(`SELECT ${functions} FROM t`);
    await expectPushed(`SELECT ${functions} FROM t WHERE id BETWEEN 100 AND 777`);
    await expectPushed(`SELECT ${functions} FROM t WHERE a = 5`);
    await expectPushed(`SELECT ${functions} FROM t WHERE d > 3.5 OR s = 's1'`);
    await expectPushed(`SELECT ${functions} FROM t WHERE d < -1000`);
  });

  test('rows that the server finds by a key which holds less digits than the constant', async () => {
    await on.sql(
      'CREATE TABLE coarse (id INT PRIMARY KEY, n INT, ti TIME, KEY (n), KEY (ti)) ENGINE=VAMOS',
      "INSERT INTO coarse VALUES (1, 1, '00:00:01'), (2, 1, '00:00:02'), (3, 2, '00:00:01')",
    );
    await expectPushed('SELECT COUNT(*), SUM(id) FROM coarse FORCE INDEX (n) WHERE n = 1.4 AND id < 9');
    await expectPushed("SELECT COUNT(*), SUM(id) FROM coarse FORCE INDEX (ti) WHERE ti = '00:00:01.9'");
    expect(await on.sql('SELECT COUNT(*) FROM coarse FORCE INDEX (n) WHERE n = 1.4')).toEqual([[2]]);
    await on.sql('DROP TABLE coarse');
  });

  test.each(['s', 'c', 'n', 'dt', 'ts', 'da', 'ti', 'y', 'large'])('MIN and MAX of %s', async (column) => {
    const functions = everything.slice(0, everything.indexOf(', SUM')) + ', MIN(x), MAX(x)';
    await expectPushed(`SELECT ${functions.replaceAll('x', column)} FROM t WHERE f < 15 OR a IS NULL`);
    await expectPushed(`SELECT ${functions.replaceAll('x', column)} FROM t WHERE f < -15`);
  });

  test('COUNT of what it can count, whatever the type', async () => {
    await expectPushed(
      'SELECT COUNT(collated), COUNT(txt), COUNT(bits), COUNT(e), COUNT(id), COUNT(1), COUNT(ts) FROM t',
    );
  });

  test('simple expressions', async () => {
    await expectPushed(
      'SELECT SUM(LENGTH(txt)), MAX(LENGTH(collated)), AVG(LENGTH(s)), SUM(a * 2 + id), MIN(a - id), MAX(d * 2), AVG(-a), SUM(bits + 1) FROM t',
    );
  });

  test('functions within expressions, as the server would with unrounded values', async () => {
    await expectPushed(
      `SELECT SUM(a) + 1, IFNULL(SUM(d), 0) * 2, AVG(d) * 3, AVG(a) * 1000000, COUNT(*) / 7, MAX(a) - MIN(a),
         CONCAT(MIN(s), '-', MAX(s)), 5, 'x', ROUND(AVG(f), 3), COALESCE(SUM(a), 0) / COUNT(a)
       FROM t WHERE id < 500`,
    );
  });

  test('with div_precision_increment', async () => {
    for (const session of [on, off]) await session.sql('SET SESSION div_precision_increment = 9');
    await expectPushed('SELECT AVG(a), AVG(d), AVG(f), AVG(b), AVG(d) * 7 FROM t WHERE id < 900');
    for (const session of [on, off]) await session.sql('SET SESSION div_precision_increment = DEFAULT');
  });

  test('nothing of nothing, and of NULLs', async () => {
    const functions =
      'COUNT(*), COUNT(a), SUM(a), MIN(a), MAX(a), AVG(a), MIN(s), MAX(s), SUM(d), AVG(d), SUM(f), AVG(f), MAX(f)';
    await expectPushed(`SELECT ${functions} FROM empty WHERE a IS NULL`);
    await expectPushed(`SELECT ${functions} FROM empty WHERE d > 3`);
  });

  test('the edges of numbers and strings', async () => {
    await expectPushed('SELECT SUM(f), AVG(f), MIN(f), MAX(f) FROM edges WHERE id <> 4');
    await expectPushed('SELECT MIN(f), MAX(f) FROM edges WHERE f = 0');
    await expectPushed(
      'SELECT SUM(b), AVG(b), MIN(b), MAX(b), SUM(u), AVG(u), MIN(u), MAX(u) FROM edges WHERE f < 2',
    );
    await expectPushed('SELECT SUM(b), AVG(b), SUM(d), AVG(d), MIN(d), MAX(d) FROM edges WHERE id > 0');
    await expectPushed(
      `SELECT MIN(padded), MAX(padded), HEX(MAX(padded)), HEX(MIN(exact)), HEX(MAX(exact)) FROM edges WHERE f > -1`,
    );
    await expectPushed(`SELECT HEX(MIN(padded)), HEX(MIN(exact)) FROM edges WHERE id < 3`);
    await expectPushed(`SELECT HEX(MAX(padded)) FROM edges WHERE id IN (2, 3) OR f = 1`);
  });

  test('what an index gives in its own order', async () => {
    await expectPushed('SELECT COUNT(*), SUM(f), AVG(f) FROM t FORCE INDEX (a) WHERE a = 5');
    await expectPushed('SELECT COUNT(*), SUM(f), MIN(s) FROM t FORCE INDEX (a) WHERE a > 5 AND a < 20');
    await expectPushed(`SELECT COUNT(*), MAX(d) FROM t FORCE INDEX (s) WHERE s = 's1' AND id > 300`);
    await expectPushed('SELECT COUNT(*) FROM t WHERE a IS NULL');
  });
});

describe('wherever the query stands', () => {
  test('ORDER BY, DISTINCT and LIMIT of one row', async () => {
    await expectPushed('SELECT COUNT(*) FROM t WHERE d > 1 ORDER BY 1');
    await expectPushed('SELECT COUNT(*) FROM t WHERE d > 1 LIMIT 1');
    await expectPushed('SELECT COUNT(*) FROM t WHERE d > 1 LIMIT 1 OFFSET 1');
    await expectPushed('SELECT SQL_CALC_FOUND_ROWS COUNT(*) FROM t WHERE d > 1 LIMIT 1');
  });

  test('subqueries, derived tables, unions and views', async () => {
    await expectPushed('SELECT (SELECT AVG(d) FROM t WHERE f < 3) * 3, (SELECT MAX(c) FROM t)', 2);
    await expectPushed('SELECT id FROM t WHERE d > (SELECT AVG(d) * 2 FROM t) AND id < 100 ORDER BY id');
    await expectPushed('SELECT * FROM (SELECT COUNT(*) n, AVG(a) x FROM t WHERE f < 9) q');
    await expectPushed(
      'SELECT COUNT(*) FROM t UNION ALL SELECT SUM(d) FROM t UNION ALL SELECT AVG(d) FROM t',
      3,
    );
    await on.sql(
      'CREATE VIEW v AS SELECT id, d * 2 AS twice, s FROM t WHERE f > 3',
      'CREATE VIEW w AS SELECT COUNT(*) n, AVG(d) x FROM t',
    );
    // The server asks no engine about a view's query that it merged.
    await expectDeclined('SELECT COUNT(*), SUM(twice), MIN(s) FROM v WHERE id > 200');
    await expectPushed('SELECT * FROM w');
    await on.sql('DROP VIEW v, w');
  });

  test('variables, stored functions and procedures get unrounded values', async () => {
    for (const session of [on, off])
      await session.sql('SELECT AVG(d), SUM(f) INTO @x, @y FROM t WHERE id < 778');
    expect(await on.sql('SELECT @x, @y')).toEqual(await off.sql('SELECT @x, @y'));
    await on.sql(
      'CREATE FUNCTION average(least INT) RETURNS DECIMAL(30,15) RETURN (SELECT AVG(d) FROM t WHERE id > least)',
      'CREATE PROCEDURE twice(least INT) BEGIN SELECT COUNT(*), AVG(d) FROM t WHERE f > least; SELECT SUM(a) FROM t WHERE f > least; END',
    );
    for (const call of ['SELECT average(3), average(990)', 'CALL twice(1)', 'CALL twice(10)']) {
      expect(await on.sql(call)).toEqual(await off.sql(call));
    }
    await on.sql('DROP FUNCTION average', 'DROP PROCEDURE twice');
  });

  test('a prepared statement, with other values each time', async () => {
    const query = 'SELECT COUNT(*), AVG(d), MAX(s) FROM t WHERE f > ? AND id < ?';
    for (const values of [
      [1, 500],
      [3.5, 900],
      [99, 5],
      [null, 1000],
    ]) {
      const run = async (session: Session) =>
        (await session.connection.execute({ sql: query, rowsAsArray: true, values }))[0];
      expect(await run(on)).toEqual(await run(off));
    }
  });

  test('what it makes of them in another table', async () => {
    for (const session of [on, off]) {
      await session.sql(
        'CREATE TEMPORARY TABLE made ENGINE=Aria SELECT COUNT(*) n, AVG(d) x, MIN(s) s, SUM(f) f FROM t WHERE f > 1',
      );
    }
    expect(await on.sql('SHOW CREATE TABLE made')).toEqual(await off.sql('SHOW CREATE TABLE made'));
    expect(await on.sql('SELECT * FROM made')).toEqual(await off.sql('SELECT * FROM made'));
    for (const session of [on, off]) await session.sql('DROP TEMPORARY TABLE made');
  });
});

describe('the server computes', () => {
  test.each([
    ['groups', 'SELECT a, COUNT(*) FROM t WHERE d > 0 GROUP BY a ORDER BY a'],
    ['rollups', 'SELECT COUNT(*) FROM t WHERE d > 0 GROUP BY NULL WITH ROLLUP'],
    ['HAVING', 'SELECT COUNT(*) n FROM t WHERE d > 0 HAVING n > 5'],
    ['DISTINCT arguments', 'SELECT COUNT(DISTINCT a), SUM(DISTINCT tiny) FROM t WHERE d > 0'],
    ['other functions', 'SELECT STD(a), COUNT(*) FROM t WHERE d > 0'],
    ['plain columns', 'SELECT COUNT(*), y FROM t WHERE id = 3 AND a > -1000 AND y <=> (SELECT 1953)'],
    ['joins', 'SELECT COUNT(*) FROM t JOIN edges USING (id)'],
    ['collated strings', 'SELECT MIN(collated), MAX(collated) FROM t'],
    ['ENUM, which sorts by its names', 'SELECT MIN(e), MAX(e) FROM t WHERE d > 0'],
    ['conditions that are not compiled', `SELECT COUNT(*) FROM t WHERE collated = 'V7'`],
    ['sums that might overflow', 'SELECT SUM(b + b) FROM t WHERE id < 10'],
    ['windows', 'SELECT COUNT(*) OVER (), id FROM t WHERE id < 5 ORDER BY id'],
    [
      'correlated subqueries',
      'SELECT id, (SELECT COUNT(*) FROM t i WHERE i.a = o.id) FROM edges o ORDER BY id',
    ],
    ['IN subqueries', 'SELECT id FROM edges WHERE id IN (SELECT MIN(id) FROM t WHERE d > 0)'],
    [
      'several ranges',
      'SELECT COUNT(*), SUM(f) FROM t FORCE INDEX (PRIMARY) WHERE id BETWEEN 2 AND 5 OR id BETWEEN 10 AND 20',
    ],
    ['assignments to variables', 'SELECT @x := COUNT(*), @x FROM t WHERE d > 0'],
  ])('%s', async (_, query) => {
    await expectDeclined(query);
  });

  test('locking reads, which lock each row they read', async () => {
    await expectDeclined('SELECT COUNT(*) FROM t WHERE d > 0 FOR UPDATE');
    await expectDeclined('SELECT COUNT(*) FROM t WHERE d > 0 LOCK IN SHARE MODE');
    await on.sql('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'BEGIN');
    expect(await pushed('SELECT COUNT(*) FROM t WHERE d > 0')).toBe(0);
    await on.sql('COMMIT', 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  });

  test('all of it with vamos_pushdown=OFF', async () => {
    expect(await pushed('SELECT COUNT(*) FROM t', off)).toBe(0);
  });

  test('partitioned tables', async () => {
    await on.sql(
      'CREATE TABLE p (id INT PRIMARY KEY, a INT) ENGINE=VAMOS PARTITION BY HASH (id) PARTITIONS 3',
    );
    await on.sql('INSERT INTO p SELECT id, a FROM t');
    await expectDeclined('SELECT COUNT(*), SUM(a) FROM p WHERE a > 0');
    await on.sql('DROP TABLE p');
  });
});

describe('in a transaction', () => {
  const total = 'SELECT COUNT(*), SUM(v) FROM t2';
  let other: Session;

  beforeEach(async () => {
    other = await Session.open(server());
    await on.sql('DROP TABLE IF EXISTS t2', 'CREATE TABLE t2 (id INT PRIMARY KEY, v INT) ENGINE=VAMOS');
    await on.sql('INSERT INTO t2 VALUES (1, 10), (2, 20)');
    expect(await pushed(total)).toBe(1);
    return () => other[Symbol.asyncDispose]();
  });

  test('it sees what the transaction wrote, and what it undid', async () => {
    await on.sql('BEGIN', 'INSERT INTO t2 VALUES (3, 30)', 'UPDATE t2 SET v = v + 1 WHERE id = 1');
    expect(await on.sql(total)).toEqual([[3, '61']]);
    expect(await other.sql(total)).toEqual([[2, '30']]);
    await on.sql('SAVEPOINT s', 'DELETE FROM t2 WHERE id = 2');
    expect(await on.sql(total)).toEqual([[2, '41']]);
    await on.sql('ROLLBACK TO s');
    expect(await on.sql(total)).toEqual([[3, '61']]);
    await on.sql('ROLLBACK');
    expect(await on.sql(total)).toEqual([[2, '30']]);
  });

  test('REPEATABLE READ sees its snapshot, READ COMMITTED each statement its own', async () => {
    await on.sql('BEGIN', total);
    await other.sql('INSERT INTO t2 VALUES (3, 30)');
    expect(await on.sql(total)).toEqual([[2, '30']]);
    await on.sql('COMMIT', 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED', 'BEGIN');
    expect(await on.sql(total)).toEqual([[3, '60']]);
    await other.sql('DELETE FROM t2 WHERE id = 1');
    expect(await on.sql(total)).toEqual([[2, '50']]);
    await on.sql('COMMIT', 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  });

  test('it waits for nobody: rows that others lock are read', async () => {
    await other.sql('BEGIN', 'UPDATE t2 SET v = 99 WHERE id = 1');
    expect(await on.sql(total)).toEqual([[2, '30']]);
    await other.sql('ROLLBACK');
  });
});

test('KILL ends a long one', async () => {
  await on.sql(
    'CREATE TABLE many (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=VAMOS',
    `INSERT INTO many SELECT seq, REPEAT('x', 200) FROM seq_1_to_200000`,
  );
  const functions = Array.from({ length: 250 }, (_, place) => `SUM(LENGTH(v) + id * ${place})`);
  const long = `SELECT ${functions.join(', ')} FROM many WHERE id > 5`;
  expect(await pushed(long)).toBe(1);
  const victim = await Session.open(server());
  let code = 'done';
  // One that the host has answered before it is killed is made again.
  while (code === 'done') {
    let isDone = false;
    const made = victim
      .sql(long)
      .then(
        (): string => 'done',
        (error: { code: string }) => error.code,
      )
      .finally(() => (isDone = true));
    await until(async () => isDone || (await server().host!.running()) > 0);
    await on.sql(`KILL QUERY ${victim.id}`);
    code = await made;
  }
  expect(code).toBe('ER_QUERY_INTERRUPTED');
  expect(await victim.sql('SELECT COUNT(*) FROM many')).toEqual([[200000]]);
  await victim.sql('DROP TABLE many');
  await victim[Symbol.asyncDispose]();
});

test('years of two digits are compared and summed by the server', async () => {
  await on.sql(
    'CREATE OR REPLACE TABLE years (id INT PRIMARY KEY, y YEAR(2)) ENGINE=VAMOS',
    'INSERT INTO years VALUES (1, 1970), (2, 2069), (3, 2000), (4, 1999)',
  );
  for (const what of ['MIN(y), MAX(y), SUM(y), COUNT(y)', 'COUNT(*)']) {
    for (const where of ['', ' WHERE y > 50', ' WHERE y = 70', ' WHERE y < 1999']) {
      const query = `SELECT ${what} FROM years${where}`;
      expect(await on.sql(query), query).toEqual(await off.sql(query));
    }
  }
});
