/** A request that waits ends, at both ends, with its statement. */
import { isDeepStrictEqual } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../lab/daemon/daemon.js';
import { Session, untilLocked, untilRunning } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer({ args: ['--default-storage-engine=VAMOS'] });
let holder: Session;
let waiter: Session;

beforeEach(async () => {
  [holder, waiter] = await Promise.all([Session.open(server()), Session.open(server())]);
  await holder.sql('DROP TABLE IF EXISTS t', 'CREATE TABLE t (id INT PRIMARY KEY, v INT)');
  await holder.sql('INSERT INTO t VALUES (1, 10), (2, 20)', 'BEGIN', 'UPDATE t SET v = 11 WHERE id = 1');
  return async () => {
    await holder[Symbol.asyncDispose]();
    await waiter[Symbol.asyncDispose]();
  };
});

/** Expects that the row is free once its holder is gone: no other statement waits for it, or got it. */
async function expectFree(): Promise<void> {
  await holder.sql('COMMIT');
  await using other = await Session.open(server());
  expect(await other.sql('SELECT v FROM t WHERE id = 1 FOR UPDATE NOWAIT')).toEqual([[11]]);
}

const WAITS = 'UPDATE t SET v = 0 WHERE id = 1';

test('KILL QUERY ends the wait; the connection and its transaction go on', async () => {
  await waiter.sql('BEGIN', 'INSERT INTO t VALUES (3, 30)');
  const waiting = waiter.code(WAITS);
  await untilLocked(server());
  await server().query(`KILL QUERY ${waiter.id}`);
  expect(await waiting).toBe('ER_QUERY_INTERRUPTED');
  await waiter.sql('INSERT INTO t VALUES (4, 40)', 'COMMIT');
  expect(await waiter.sql('SELECT id FROM t ORDER BY id')).toEqual([[1], [2], [3], [4]]);
  await expectFree();
});

test('KILL QUERY of an insert that waits together with its commit', async () => {
  await holder.sql('INSERT INTO t VALUES (3, 30)');
  const waiting = waiter.code('INSERT INTO t VALUES (3, 31)');
  await untilLocked(server());
  await server().query(`KILL QUERY ${waiter.id}`);
  expect(await waiting).toBe('ER_QUERY_INTERRUPTED');
  await holder.sql('ROLLBACK');
  expect(await waiter.count('id = 3')).toBe(0);
});

test('KILL CONNECTION takes the transaction back', async () => {
  await waiter.sql('BEGIN', 'UPDATE t SET v = 21 WHERE id = 2');
  const waiting = waiter.refusal(WAITS);
  await untilLocked(server());
  await server().query(`KILL CONNECTION ${waiter.id}`);
  await waiting;
  expect(await holder.sql('SELECT v FROM t WHERE id = 2 FOR UPDATE')).toEqual([[20]]);
  await expectFree();
});

test('max_statement_time ends the wait', async () => {
  // ER_STATEMENT_TIMEOUT, which mysql2 has no name for.
  expect((await waiter.refusal(`SET STATEMENT max_statement_time = 0.5 FOR ${WAITS}`)).errno).toBe(1969);
  await expectFree();
});

test('a client that goes away while its statement waits ends it', async () => {
  await waiter.sql('BEGIN', 'UPDATE t SET v = 21 WHERE id = 2');
  waiter.refusal(WAITS).catch(() => undefined);
  await untilLocked(server());
  waiter.connection.destroy();
  await until(async () => {
    const rows = await server().query(`SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = ${waiter.id}`);
    return rows.length === 0;
  });
  // Its transaction ends when the server gets to it.
  await until(async () => {
    const rows = await holder.sql('SELECT v FROM t WHERE id = 2 FOR UPDATE NOWAIT').catch(() => []);
    return isDeepStrictEqual(rows, [[20]]);
  });
  await expectFree();
});

describe('an endless scan', () => {
  test('ends with KILL QUERY', async () => {
    await holder.sql('COMMIT', 'CREATE OR REPLACE TABLE many (a INT) ENGINE=VAMOS');
    await holder.sql('INSERT INTO many SELECT seq FROM seq_1_to_5000');
    const scanning = waiter.code(
      'SELECT COUNT(*) FROM many a JOIN many b JOIN many c ON a.a + b.a + c.a < 0',
    );
    await untilRunning(server(), waiter.id);
    await server().query(`KILL QUERY ${waiter.id}`);
    expect(await scanning).toBe('ER_QUERY_INTERRUPTED');
    expect(await waiter.sql('SELECT COUNT(*) FROM many')).toEqual([[5000]]);
  });
});
