/** What the optimizer and information_schema are told of tables: sizes, times, rows per key. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();
const ROWS = 4000;
let session: Session;

beforeAll(async () => {
  session = await Session.open(server());
});
afterAll(() => session[Symbol.asyncDispose]());

const COLUMNS =
  `id INT AUTO_INCREMENT PRIMARY KEY, few INT, ten INT, own INT, name VARCHAR(40) NOT NULL, city VARCHAR(20) DESC_,
  n INT NULL, bin VARBINARY(20), long_text VARCHAR(200), KEY few (few), KEY ten (ten), UNIQUE KEY own (own), KEY name (name, ten, own),
  KEY city (city DESC, few), KEY n (n), KEY bin (bin(4), few), KEY prefix (long_text(6), few)`.replace(
    ' DESC_',
    '',
  );
/** How many rows have the same values in the first parts of each index. */
const PER_KEY: Record<string, number[]> = {
  PRIMARY: [1],
  few: [ROWS / 8],
  ten: [10],
  own: [1],
  name: [100, 10, 1],
  city: [ROWS / 200, ROWS / 200],
  n: [ROWS / (1 + ROWS / 10)],
  bin: [ROWS / 40, ROWS / 40],
  prefix: [ROWS / 25, ROWS / 200],
};

function load(table: string, from = 1, to = ROWS): string {
  return `INSERT INTO ${table} (few, ten, own, name, city, n, bin, long_text)
    SELECT seq % 8, seq DIV 10, seq, CONCAT('näme', seq DIV 100), CONCAT('city ', seq % 200), IF(seq % 10, NULL, seq),
      CONCAT('b', CHAR(0), LPAD(seq % 40, 2, '0'), 'behind'), CONCAT('  t ', LPAD(seq % 25, 2, 0), REPEAT('x', 50))
    FROM seq_${from}_to_${to}`;
}

/** Rows per key that the optimizer works with, as information_schema shows them. */
async function perKey(table: string, from = session): Promise<Record<string, number[]>> {
  const rows = (await from.sql(
    `SELECT INDEX_NAME, SEQ_IN_INDEX, CARDINALITY, TABLE_ROWS FROM information_schema.STATISTICS s
       JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
     WHERE TABLE_NAME = '${table}' ORDER BY 1, 2`,
  )) as [string, number, number, number][];
  const found: Record<string, number[]> = {};
  for (const [index, part, cardinality, all] of rows) (found[index] ??= [])[part - 1] = all / cardinality;
  return found;
}

/** As on InnoDB, the server is told half of the rows per key, as a whole number, and at least 1. */
function expectPerKey(found: Record<string, number[]>, rows = 1): void {
  expect(Object.keys(found).sort()).toEqual(Object.keys(PER_KEY).sort());
  for (const [index, expected] of Object.entries(PER_KEY)) {
    for (const [part, value] of expected.entries()) {
      const told = Math.max(1, Math.floor((value * rows) / 2));
      expect(found[index]![part], `${index}, part ${part + 1}`).toBeGreaterThanOrEqual(told / 1.3 - 0.01);
      expect(found[index]![part], `${index}, part ${part + 1}`).toBeLessThanOrEqual(told * 1.3 + 0.01);
    }
  }
}

test('rows per key are known after a load in the same connection, after ANALYZE, FLUSH TABLES and restarts', async () => {
  await session.sql(`CREATE TABLE loaded (${COLUMNS}) ENGINE=VAMOS`, load('loaded'));
  await session.sql('SELECT COUNT(*) FROM loaded AS one JOIN loaded USING (ten) WHERE one.id = 1');
  expectPerKey(await perKey('loaded'));
  await session.sql('ANALYZE TABLE loaded');
  expectPerKey(await perKey('loaded'));
  await session.sql('FLUSH TABLES');
  expectPerKey(await perKey('loaded'));
  await server().stop();
  await server().host!.stop();
  await server().host!.start();
  await server().start();
  session = await Session.open(server());
  expectPerKey(await perKey('loaded'));
});

test('rows of a load that is not committed count in the plans of its transaction, and go with it', async () => {
  await session.sql(`CREATE TABLE pending (${COLUMNS}) ENGINE=VAMOS`, 'BEGIN', load('pending'));
  const estimated = async () => {
    const [[, , , , , , , , rows]] = (await session.sql('EXPLAIN SELECT * FROM pending')) as [unknown[]];
    return Number(rows);
  };
  expect(await estimated()).toBe(ROWS);
  expect(await estimated()).toBe(ROWS);
  await session.sql('ROLLBACK');
  expect(await estimated()).toBeLessThan(2);
});

test('statistics travel in no frame of their own, but after a load in one', async () => {
  await session.sql(
    'CREATE TABLE counted (id INT PRIMARY KEY, a INT, KEY (a)) ENGINE=VAMOS',
    'INSERT INTO counted SELECT seq, seq % 7 FROM seq_1_to_1000',
    'SELECT COUNT(*) FROM counted WHERE a = 1',
  );
  const frames = async (...statements: string[]) => {
    const read = async () =>
      Number(((await session.sql("SHOW GLOBAL STATUS LIKE 'Vamos_frames'")) as [[string, string]])[0][1]);
    const before = await read();
    await session.sql(...statements);
    return (await read()) - before;
  };
  const query = 'SELECT COUNT(*) FROM counted WHERE id = 5';
  await session.sql(query);
  expect(await frames(...Array<string>(20).fill(query))).toBe(20);
  await session.sql('INSERT INTO counted SELECT seq, seq % 7 FROM seq_1001_to_1200');
  expect(await frames(query)).toBe(2);
  expect(await frames(query)).toBe(1);
});

test('other connections, and other servers of the host, hear of a load', async () => {
  await session.sql(`CREATE TABLE heard (${COLUMNS}) ENGINE=VAMOS`, load('heard', 1, 10));
  await using other = await Session.open(server());
  await other.sql('SELECT * FROM heard WHERE few = 1');
  await session.sql(load('heard', 11, ROWS));
  await other.sql('SELECT * FROM heard WHERE few = 1 AND id = 7');
  expectPerKey(await perKey('heard', other));
});

test('an answer that was asked for before ANALYZE TABLE does not undo it', async () => {
  await session.sql(
    'CREATE TABLE asked (id INT PRIMARY KEY, a INT, KEY (a)) ENGINE=VAMOS',
    'INSERT INTO asked SELECT seq, seq DIV 10 FROM seq_1_to_1000',
    'SELECT * FROM asked WHERE id = 1',
    // Older than the five seconds after which the next statement asks, and the one after that takes the answer.
    'SELECT SLEEP(5.1)',
    'SELECT * FROM asked WHERE id = 1',
    'ANALYZE TABLE asked',
    'SELECT * FROM asked WHERE id = 1',
  );
  const [[, , , , , , , , rows]] = (await session.sql(
    'EXPLAIN SELECT * FROM asked one STRAIGHT_JOIN asked ON one.id = asked.a',
  )) as [unknown[], unknown[]];
  expect(Number(rows)).toBe(1000);
  const [, [, , , , , , , , perKey]] = (await session.sql(
    'EXPLAIN SELECT * FROM asked one STRAIGHT_JOIN asked ON one.id = asked.a',
  )) as [unknown[], unknown[]];
  expect(Number(perKey)).toBe(4);
});

test('of a partitioned table the largest partition tells', async () => {
  await session.sql(
    `CREATE TABLE parts (${COLUMNS.replace('UNIQUE KEY own', 'KEY own')}) ENGINE=VAMOS
       PARTITION BY RANGE (id) (PARTITION small VALUES LESS THAN (11), PARTITION large VALUES LESS THAN MAXVALUE)`,
    load('parts'),
    'SELECT * FROM parts WHERE few = 1 AND id = 7',
  );
  expectPerKey(await perKey('parts'));
});

test('information_schema shows sizes, lengths and times', async () => {
  await session.sql(`CREATE TABLE shown (${COLUMNS}) ENGINE=VAMOS`, load('shown'));
  const shown = async () =>
    (
      (await session.sql(
        `SELECT TABLE_ROWS, AVG_ROW_LENGTH, DATA_LENGTH, INDEX_LENGTH, CREATE_TIME > NOW() - INTERVAL 10 MINUTE,
         UPDATE_TIME >= CREATE_TIME FROM information_schema.TABLES WHERE TABLE_NAME = 'shown'`,
      )) as number[][]
    )[0]!;
  const [rows, rowLength, dataLength, indexLength, isNew, isUpdated] = await shown();
  expect(rows).toBe(ROWS);
  expect(rowLength).toBeGreaterThan(120);
  expect(rowLength).toBeLessThan(200);
  expect(dataLength).toBe(rows! * rowLength!);
  expect(indexLength! / rows!).toBeGreaterThan(8 * 12);
  expect(indexLength! / rows!).toBeLessThan(8 * 60);
  expect([isNew, isUpdated]).toEqual([1, 1]);
  await session.sql('TRUNCATE TABLE shown');
  expect((await shown()).slice(0, 4)).toEqual([0, 0, 0, 0]);
});

test('large values beside their rows count in the length of the data, not in the cost of a scan', async () => {
  await session.sql(
    'CREATE TABLE large (id INT PRIMARY KEY, b LONGBLOB) ENGINE=VAMOS',
    "INSERT INTO large SELECT seq, REPEAT('x', 100000) FROM seq_1_to_20",
    'SELECT COUNT(*) FROM large',
  );
  const [[length]] = (await session.sql(
    "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_NAME = 'large'",
  )) as [[number]];
  expect(length).toBeGreaterThan(2_000_000);
  expect(length).toBeLessThan(2_010_000);
});

test("the server's own statistics go on working", async () => {
  await session.sql(
    'CREATE TABLE eits (id INT PRIMARY KEY, a INT, b INT, KEY (a)) ENGINE=VAMOS',
    'INSERT INTO eits SELECT seq, seq DIV 10, seq % 4 FROM seq_1_to_1000',
    'ANALYZE TABLE eits PERSISTENT FOR ALL',
  );
  expect(
    await session.sql(
      "SELECT index_name, prefix_arity, avg_frequency FROM mysql.index_stats WHERE table_name = 'eits' ORDER BY 1, 2",
    ),
  ).toEqual([
    ['PRIMARY', 1, '1.0000'],
    ['a', 1, '9.9010'],
    ['a', 2, '1.0000'],
  ]);
});
