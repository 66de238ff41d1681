/** Joins lock no more rows than they read, also where batched key access is on: on VAMOS as on InnoDB. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Session } from '../../lab/mariadb/session.js';
import { useServer } from './suite.js';

const server = useServer();
const JOIN = 'FROM a STRAIGHT_JOIN b ON b.id = a.b_id';
const ROWS = 20;

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let reader: Session;
  let other: Session;

  beforeEach(async () => {
    const open = () => Session.open(server(), 'join_cache_level = 6');
    [reader, other] = await Promise.all([open(), open()]);
    await reader.sql(
      'DROP TABLE IF EXISTS a, b',
      `CREATE TABLE a (id INT PRIMARY KEY, b_id INT, v INT) ENGINE=${engine}`,
      `CREATE TABLE b (id INT PRIMARY KEY, v INT, w INT) ENGINE=${engine}`,
      `INSERT INTO a SELECT seq, seq + 100, seq FROM seq_1_to_${ROWS}`,
      `INSERT INTO b SELECT seq + 100, seq, 0 FROM seq_1_to_${ROWS}`,
      'ANALYZE TABLE a, b',
    );
    return async () => {
      await reader[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    };
  });

  async function locked(table: string): Promise<number[]> {
    const rows = (await other.sql(
      `SELECT id FROM ${table} ORDER BY id FOR UPDATE SKIP LOCKED`,
    )) as number[][];
    const free = new Set(rows.flat());
    const first = table === 'a' ? 1 : 101;
    return Array.from({ length: ROWS }, (_, at) => first + at).filter((id) => !free.has(id));
  }

  test.each(['REPEATABLE READ', 'READ COMMITTED'])(
    'with a LIMIT rows behind it stay free, at %s',
    async (level) => {
      for (const lock of ['FOR UPDATE', 'LOCK IN SHARE MODE']) {
        await reader.sql(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`, 'BEGIN');
        expect(await reader.sql(`SELECT a.id, b.v ${JOIN} LIMIT 1 ${lock}`)).toEqual([[1, 1]]);
        expect([await locked('a'), await locked('b')]).toEqual([[1], [101]]);
        await reader.sql('ROLLBACK');
      }
    },
  );

  test('under READ COMMITTED rows that do not match stay free', async () => {
    await reader.sql('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    for (const statement of [
      `SELECT a.id ${JOIN} WHERE b.v % 7 = 6 FOR UPDATE`,
      `UPDATE a STRAIGHT_JOIN b ON b.id = a.b_id SET b.w = 1 WHERE b.v % 7 = 6`,
    ]) {
      await reader.sql('BEGIN', statement);
      expect(await locked('b'), statement).toEqual([106, 113, 120]);
      await reader.sql('ROLLBACK');
    }
  });
});

test('reads that lock nothing, or all that they read, take keys in batches', async () => {
  await using session = await Session.open(server(), 'join_cache_level = 6');
  await session.sql(
    'CREATE OR REPLACE TABLE a (id INT PRIMARY KEY, b_id INT, v INT) ENGINE=VAMOS',
    'CREATE OR REPLACE TABLE b (id INT PRIMARY KEY, v INT, w INT) ENGINE=VAMOS',
    `INSERT INTO a SELECT seq, seq + 100, seq FROM seq_1_to_${ROWS}`,
    `INSERT INTO b SELECT seq + 100, seq, 0 FROM seq_1_to_${ROWS}`,
    'CREATE OR REPLACE TABLE c (id INT PRIMARY KEY) ENGINE=VAMOS',
  );
  const usesBatches = async (statement: string) =>
    JSON.stringify(await session.sql(`EXPLAIN ${statement}`)).includes('BKA');
  expect(await usesBatches(`SELECT a.id, b.v ${JOIN} LIMIT 1`)).toBe(true);
  expect(await usesBatches(`INSERT INTO c SELECT a.id ${JOIN}`)).toBe(true);
  expect(await usesBatches(`INSERT INTO c SELECT a.id ${JOIN} LIMIT 1`)).toBe(false);
  expect(await usesBatches(`SELECT a.id, b.v ${JOIN} LIMIT 1 FOR UPDATE`)).toBe(false);
});
