/** The value of AUTO_INCREMENT that comes next, as users see it, beside InnoDB. */
import { describe, expect, test } from 'vitest';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();

async function create(session: Session, engine: string, definition: string): Promise<void> {
  await session.sql(
    'DROP TABLE IF EXISTS t',
    `CREATE TABLE t ${definition.replace('ENGINE', `ENGINE=${engine}`)}`,
  );
}

async function shown(session: Session): Promise<number> {
  const status = (await session.sql("SHOW TABLE STATUS LIKE 't'")) as unknown[][];
  return Number(status[0]![10]);
}

const rows = (session: Session): Promise<unknown> => session.sql('SELECT id, n FROM t ORDER BY id, n');

/** What is shown after each statement, and the rows at the end. */
async function history(engine: string, definition: string, statements: string[]): Promise<unknown[]> {
  await using session = await Session.open(server());
  await create(session, engine, definition);
  const seen: unknown[] = [];
  for (const statement of statements) {
    await session.sql(statement);
    seen.push([statement, await shown(session)]);
  }
  return [...seen, await rows(session)];
}

const insert = 'INSERT INTO t (n) VALUES (1)';
const insertTwo = 'INSERT INTO t (n) VALUES (1), (2)';

describe.each([
  ['a primary key', '(id INT AUTO_INCREMENT PRIMARY KEY, n INT) ENGINE'],
  ['a descending index', '(id INT AUTO_INCREMENT, n INT, UNIQUE (id DESC)) ENGINE'],
  ['an index that is not unique', '(id INT AUTO_INCREMENT, n INT, KEY (id)) ENGINE'],
  ['partitions', '(id INT AUTO_INCREMENT PRIMARY KEY, n INT) ENGINE PARTITION BY HASH (id) PARTITIONS 3'],
])('with %s, as on InnoDB', (_, definition) => {
  test.each([
    ['automatic values', [insert, insertTwo, insert, insertTwo]],
    ['rows with values of their own', [insertTwo, 'INSERT INTO t VALUES (5, 1), (6, 2)', insert]],
    ['values of their own below the next', [insertTwo, 'INSERT INTO t VALUES (20, 1), (7, 1)', insert]],
    ['values given and not, in one statement', [insert, 'INSERT INTO t VALUES (NULL, 1), (9, 2)', insert]],
    ['a rollback', [insert, 'BEGIN', insertTwo, 'ROLLBACK', insert]],
    ['SET INSERT_ID', [insert, 'SET INSERT_ID = 4', insert, insert, insert]],
    [
      'tables that are closed',
      [insertTwo, 'FLUSH TABLES', insert, insertTwo, 'FLUSH TABLES', insert, insert],
    ],
    ['ALTER TABLE to a larger value', [insert, 'ALTER TABLE t AUTO_INCREMENT = 10', insert, insertTwo]],
    [
      'ALTER TABLE to a value in use',
      [insertTwo, insertTwo, 'ALTER TABLE t AUTO_INCREMENT = 2', insert, insert],
    ],
    [
      'ALTER TABLE to a smaller value that is free',
      [
        insertTwo,
        insertTwo,
        'DELETE FROM t WHERE id > 2',
        'ALTER TABLE t AUTO_INCREMENT = 1',
        insert,
        insertTwo,
      ],
    ],
    [
      'other changes of the definition',
      [insertTwo, "ALTER TABLE t COMMENT 'new'", insert, 'ALTER TABLE t FORCE', insert],
    ],
    ['TRUNCATE', [insertTwo, 'TRUNCATE TABLE t', insert]],
    [
      'auto_increment_increment and auto_increment_offset',
      ['SET auto_increment_increment = 10, auto_increment_offset = 3', insert, insertTwo, insert],
    ],
  ])('it is shown after %s', async (_, statements) => {
    expect(await history('VAMOS', definition, statements)).toEqual(
      await history('InnoDB', definition, statements),
    );
  });
});

test('is behind the values of all connections', async () => {
  await using first = await Session.open(server());
  await using second = await Session.open(server());
  await create(first, 'VAMOS', '(id INT AUTO_INCREMENT PRIMARY KEY, n INT) ENGINE');
  for (let insert = 0; insert < 20; insert++) {
    await Promise.all([
      first.sql('INSERT INTO t (n) VALUES (1), (2), (3)'),
      second.sql('INSERT INTO t (n) VALUES (4)'),
    ]);
    expect(await shown(first)).toBe(await shown(second));
  }
  // Two connections that reserve at the same moment may leave a gap, as the later values go on first.
  const [[distinct, largest]] = (await first.sql('SELECT COUNT(DISTINCT id), MAX(id) FROM t')) as [
    [number, number],
  ];
  expect(distinct).toBe(80);
  expect(await shown(second)).toBe(largest + 1);
});

test('rows of a table without a primary key stay in the order in which they came', async () => {
  await using session = await Session.open(server());
  await create(session, 'VAMOS', '(id INT AUTO_INCREMENT, n INT, KEY (id)) ENGINE');
  await session.sql('INSERT INTO t (n) VALUES (1)', 'INSERT INTO t VALUES (7, 2), (3, 3)');
  await session.sql('INSERT INTO t (n) VALUES (4)', 'FLUSH TABLES', 'INSERT INTO t VALUES (2, 5)');
  await session.sql('INSERT INTO t (n) VALUES (6)');
  expect(await session.sql('SELECT n FROM t IGNORE INDEX (id)')).toEqual([[1], [2], [3], [4], [5], [6]]);
});

test.each([1, 2 ** 46 - 2, 2 ** 52, 2 ** 62])(
  'a table without a primary key takes any number of rows with values of their own from %d on',
  async (start) => {
    await using session = await Session.open(server());
    await create(session, 'VAMOS', '(id BIGINT AUTO_INCREMENT, n INT, KEY (id)) ENGINE');
    const first = String(BigInt(start));
    await session.sql(
      `INSERT INTO t VALUES (${first}, 0)`,
      insertTwo,
      `INSERT INTO t VALUES (7, 0), (7, 0)`,
      insert,
    );
    await session.sql(
      'INSERT INTO t SELECT 7, seq FROM seq_1_to_70000',
      insertTwo,
      'INSERT INTO t VALUES (7, 0)',
    );
    expect(await session.sql('SELECT COUNT(*), SUM(id = 7), COUNT(DISTINCT id) FROM t')).toEqual([
      [70_009, '70003', 7],
    ]);
    expect(await session.sql('SELECT COUNT(*) FROM t IGNORE INDEX (id)')).toEqual([[70_009]]);
  },
);

test('ALTER TABLE … AUTO_INCREMENT of a table that has no such column is harmless', async () => {
  await using session = await Session.open(server());
  await create(session, 'VAMOS', '(id INT, n INT) ENGINE');
  await session.sql('INSERT INTO t VALUES (1, 1), (2, 2)', 'ALTER TABLE t AUTO_INCREMENT = 1');
  await session.sql('INSERT INTO t VALUES (3, 3)');
  expect(await rows(session)).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
});

test('a single insert is a request, and few more reserve its values', async () => {
  await using session = await Session.open(server());
  await create(session, 'VAMOS', '(id INT AUTO_INCREMENT PRIMARY KEY, n INT) ENGINE');
  const requests = async (): Promise<number> => {
    const status = (await session.sql("SHOW GLOBAL STATUS LIKE 'Vamos_requests'")) as [[string, string]];
    return Number(status[0][1]);
  };
  const before = await requests();
  for (let row = 0; row < 300; row++) await session.sql('INSERT INTO t (n) VALUES (1)');
  expect((await requests()) - before).toBeLessThan(330);
});

describe.each([
  [
    'a stop of the server',
    async () => {
      await server().stop();
      await server().start();
    },
  ],
  [
    'a kill of the server',
    async () => {
      await server().kill();
      await server().start();
    },
  ],
  ['a kill of the host', () => server().host!.killWorker()],
  [
    'a kill of the host while the table is closed',
    async () => {
      await server().query('FLUSH TABLES');
      await server().host!.killWorker();
    },
  ],
])('after %s', (_, end) => {
  test.each(['PRIMARY KEY (id)', 'KEY (id)'])('no value comes again, with %s', async (key) => {
    {
      await using session = await Session.open(server());
      await create(session, 'VAMOS', `(id INT AUTO_INCREMENT, n INT, ${key}) ENGINE`);
      await session.sql(insertTwo, insertTwo, 'INSERT INTO t VALUES (50, 4), (10, 5)', insert);
    }
    await end();
    await using session = await Session.open(server());
    expect(await shown(session)).toBeGreaterThan(51);
    await session.sql(insert, 'INSERT INTO t VALUES (40, 6)', insertTwo);
    expect(await session.sql('SELECT COUNT(*), COUNT(DISTINCT id) FROM t')).toEqual([[11, 11]]);
    expect(await session.sql('SELECT COUNT(*) FROM t WHERE id > 51')).toEqual([[3]]);
  });
});
