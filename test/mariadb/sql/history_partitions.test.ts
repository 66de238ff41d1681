/** Where the history of system-versioned tables goes: the same on VAMOS and on InnoDB. */
import type { RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let session: Session;

  beforeEach(async () => {
    session = await Session.open(server());
    await session.sql('DROP TABLE IF EXISTS t');
  });
  afterEach(async () => {
    await session[Symbol.asyncDispose]();
  });

  const create = (partitions: string) =>
    session.sql(
      `CREATE TABLE t (id INT PRIMARY KEY, v INT) ENGINE=${engine} WITH SYSTEM VERSIONING
         PARTITION BY SYSTEM_TIME ${partitions}`,
      'INSERT INTO t VALUES (1, 1), (2, 1)',
    );
  /** Changes both rows, so often. */
  const change = async (times: number) => {
    for (let n = 0; n < times; n++) await session.sql('UPDATE t SET v = v + 1');
  };
  /** Rows of each partition, the current rows' last. */
  const rows = async (): Promise<number[]> => {
    const [found] = await session.connection.query<RowDataPacket[]>(
      `SELECT TABLE_ROWS AS number FROM information_schema.PARTITIONS
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 't' ORDER BY PARTITION_ORDINAL_POSITION`,
    );
    return found.map(({ number }) => Number(number));
  };

  test('history goes on in the next partition when one has its LIMIT of rows, and stays in the last', async () => {
    await create('LIMIT 3 PARTITIONS 4');
    expect(await rows()).toEqual([0, 0, 0, 2]);
    await change(2);
    expect(await rows()).toEqual([4, 0, 0, 2]);
    await change(2);
    expect(await rows()).toEqual([4, 4, 0, 2]);
    await change(4);
    expect(await rows()).toEqual([4, 4, 8, 2]);
    expect(await session.sql('SELECT COUNT(*) FROM t FOR SYSTEM_TIME ALL')).toEqual([[18]]);
  });

  test('so it does within a transaction, for deletes of many rows, and by subpartitions', async () => {
    await create('LIMIT 2 PARTITIONS 4');
    await session.sql('BEGIN');
    await change(2);
    expect(await rows()).toEqual([2, 2, 0, 2]);
    await session.sql('DELETE FROM t', 'COMMIT');
    expect(await rows()).toEqual([2, 2, 2, 0]);

    await session.sql('DROP TABLE t');
    await create(
      `LIMIT 2 SUBPARTITION BY KEY (id) SUBPARTITIONS 2
         (PARTITION p0 HISTORY, PARTITION p1 HISTORY, PARTITION pn CURRENT)`,
    );
    await change(2);
    const halves = await rows();
    expect([halves[0]! + halves[1]!, halves[2]! + halves[3]!]).toEqual([2, 2]);
  });

  test('history of a transaction that was rolled back does not fill a partition', async () => {
    await create('LIMIT 4 PARTITIONS 4');
    await session.sql('BEGIN');
    await change(2);
    await session.sql('ROLLBACK');
    await change(1);
    await session.sql('BEGIN', 'SAVEPOINT s');
    await change(1);
    await session.sql('ROLLBACK TO s', 'COMMIT');
    await change(1);
    expect(await rows()).toEqual([4, 0, 0, 2]);
  });

  test('AUTO adds a partition when the last one has its LIMIT', async () => {
    await create('LIMIT 2 AUTO');
    await change(3);
    const found = await rows();
    expect(found.slice(0, 3)).toEqual([2, 2, 2]);
    expect(found.at(-1)).toBe(2);
  });

  test('INTERVAL goes by time, and AUTO adds the partitions that are missing', async () => {
    const at = (day: number) => session.sql(`SET timestamp = UNIX_TIMESTAMP('2020-01-0${day} 10:00:00')`);
    for (const [partitions, expected] of [
      ["INTERVAL 1 DAY STARTS '2020-01-01' PARTITIONS 4", [2, 4, 2]],
      ["INTERVAL 1 DAY STARTS '2020-01-01' AUTO", [2, 2, 2, 2]],
    ] as const) {
      await session.sql('DROP TABLE IF EXISTS t');
      await at(1);
      await create(partitions);
      for (const day of [2, 3, 4]) {
        await at(day);
        await change(1);
      }
      expect([partitions, (await rows()).filter((count) => count > 0)]).toEqual([partitions, expected]);
    }
    await session.sql('SET timestamp = DEFAULT');
  });
});
