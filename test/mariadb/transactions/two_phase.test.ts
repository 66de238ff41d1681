/** Two-phase commit: XA, and the binary log; what is prepared outlives connection, server and worker. */
import { beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../lab/daemon/daemon.js';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer({
  args: ['--log-bin=binary', '--server-id=1', '--binlog-format=ROW', '--default-storage-engine=VAMOS'],
});

beforeEach(async () => {
  for (const xid of await prepared()) await server().query(`XA ROLLBACK '${xid}'`);
  await server().query('DROP TABLE IF EXISTS t');
  await server().query('CREATE TABLE t (id INT PRIMARY KEY, v INT)');
  await server().query('INSERT INTO t VALUES (1, 10)');
});

const open = () => Session.open(server(), 'vamos_lock_wait_timeout = 1');
/** Opens a session that waits for what others hold until they end. */
const patient = () => Session.open(server());

async function prepared(): Promise<string[]> {
  await using session = await open();
  const rows = (await session.sql('XA RECOVER')) as [number, number, number, Buffer][];
  return rows.map(([, , , data]) => data.toString());
}

async function prepare(session: Session, xid: string, ...statements: string[]): Promise<void> {
  await session.sql(`XA START '${xid}'`, ...statements, `XA END '${xid}'`, `XA PREPARE '${xid}'`);
}

/** Row events of t and commits in the binary log, since the given event count. */
async function logged(): Promise<{ inserts: number; commits: number }> {
  const files = await server().query<never>('SHOW BINARY LOGS');
  const found = { inserts: 0, commits: 0 };
  for (const { Log_name: name } of files as { Log_name: string }[]) {
    const events = await server().query<never>(`SHOW BINLOG EVENTS IN '${name}'`);
    for (const { Event_type: type } of events as { Event_type: string }[]) {
      if (type.startsWith('Write_rows')) found.inserts++;
      if (type === 'Xid') found.commits++;
    }
  }
  return found;
}

describe('XA', () => {
  test('commits on the connection that prepared, or without preparing with ONE PHASE', async () => {
    await using session = await open();
    await prepare(session, 'a', 'INSERT INTO t VALUES (2, 20)');
    expect(await prepared()).toEqual(['a']);
    await session.sql("XA COMMIT 'a'", "XA START 'b'", 'INSERT INTO t VALUES (3, 30)', "XA END 'b'");
    await session.sql("XA COMMIT 'b' ONE PHASE");
    expect(await session.count()).toBe(3);
    expect(await prepared()).toEqual([]);
  });

  test('rolls back on the connection that prepared', async () => {
    await using session = await open();
    await prepare(session, 'a', 'UPDATE t SET v = 11');
    await session.sql("XA ROLLBACK 'a'", 'UPDATE t SET v = v + 1');
    expect(await session.sql('SELECT v FROM t')).toEqual([[11]]);
  });

  test('before it is prepared it can be rolled back, and dies with its connection', async () => {
    await using session = await open();
    await session.sql("XA START 'a'", 'UPDATE t SET v = 11', "XA END 'a'", "XA ROLLBACK 'a'");
    await session.sql("XA START 'b'", 'UPDATE t SET v = 12');
    session.connection.destroy();
    await using other = await patient();
    await other.sql('UPDATE t SET v = v + 1');
    expect(await other.sql('SELECT v FROM t')).toEqual([[11]]);
    expect(await prepared()).toEqual([]);
  });

  test('outlives its connection: its rows stay locked, another one ends it', async () => {
    const session = await open();
    await prepare(session, 'a', 'UPDATE t SET v = 11', 'INSERT INTO t VALUES (2, 20)');
    await session[Symbol.asyncDispose]();
    await using other = await open();
    expect(await other.code('UPDATE t SET v = 0')).toBe('ER_LOCK_WAIT_TIMEOUT');
    expect(await other.count()).toBe(1);
    // Until the server has seen that the connection is gone, the transaction is the connection's.
    await until(() =>
      other.sql("XA COMMIT 'a'").then(
        () => true,
        ({ code }: { code: string }) => {
          expect(code).toBe('ER_XAER_NOTA');
          return false;
        },
      ),
    );
    expect(await other.sql('SELECT v FROM t ORDER BY id')).toEqual([[11], [20]]);
    expect(await other.code("XA COMMIT 'a'")).toBe('ER_XAER_NOTA');
  });

  test('outlives kill -9 of the worker', async () => {
    await using session = await open();
    await prepare(session, 'a', 'UPDATE t SET v = 11');
    await server().host!.killWorker();
    await using other = await open();
    expect(await other.code('UPDATE t SET v = 0')).toBe('ER_LOCK_WAIT_TIMEOUT');
    await session.sql("XA COMMIT 'a'");
    expect(await other.sql('SELECT v FROM t')).toEqual([[11]]);
  });

  test('outlives kill -9 of the server, and of both', async () => {
    for (const both of [false, true]) {
      const session = await open();
      const xid = `of ${both ? 'both' : 'one'}`;
      await prepare(session, xid, 'UPDATE t SET v = v + 1');
      await server().kill();
      if (both) await server().host!.killWorker();
      await server().start();
      expect(await prepared()).toEqual([xid]);
      await using other = await open();
      expect(await other.code('UPDATE t SET v = 0')).toBe('ER_LOCK_WAIT_TIMEOUT');
      await other.sql(both ? `XA ROLLBACK '${xid}'` : `XA COMMIT '${xid}'`);
      expect(await other.sql('SELECT v FROM t')).toEqual([[11]]);
    }
  });

  test('a commit that found no host is done when the host is back, though the server is idle', async () => {
    await using session = await open();
    await prepare(session, 'a', 'UPDATE t SET v = 11');
    await session.sql('SET SESSION vamos_request_timeout_ms = 100');
    await session.sql('SET GLOBAL vamos_connect_timeout_ms = 100');
    await server().host!.stop();
    try {
      expect(await session.code("XA COMMIT 'a'")).toBe('ER_GET_ERRMSG');
    } finally {
      await session.sql('SET GLOBAL vamos_connect_timeout_ms = 60000');
      await server().host!.start();
    }
    // No statement runs until then: it could be what ends the transaction.
    await until(async () => (await server().host!.counters())['transactionsPrepared'] === 0);
    await using other = await open();
    expect(await other.sql('SELECT v FROM t')).toEqual([[11]]);
  });

  test.each([
    ['COMMIT', 2],
    ['ROLLBACK', 1],
  ])(
    'each %s that found no host is done though its connection goes on and waits for this very row',
    async (end, value) => {
      const rows = Array.from({ length: 12 }, (_, number) => 100 + number);
      await server().query(`INSERT INTO t VALUES ${rows.map((id) => `(${id}, 0)`).join(', ')}`);
      const sessions = await Promise.all(
        rows.map(() =>
          Session.open(server(), 'vamos_lock_wait_timeout = 30', 'vamos_request_timeout_ms = 100'),
        ),
      );
      await using owner = await open();
      try {
        for (const [number, session] of sessions.entries())
          await prepare(session, `${rows[number]}`, `UPDATE t SET v = 1 WHERE id = ${rows[number]}`);
        await owner.sql('SET GLOBAL vamos_connect_timeout_ms = 100');
        await server().host!.stop();
        // A rollback is done for the client, whenever the host does it.
        await Promise.all(
          sessions.map(async (session, number) => {
            if (end === 'ROLLBACK') await session.sql(`XA ROLLBACK '${rows[number]}'`);
            else expect(await session.code(`XA COMMIT '${rows[number]}'`)).toBe('ER_GET_ERRMSG');
          }),
        );
        await owner.sql('SET GLOBAL vamos_connect_timeout_ms = 60000');
        // They wait for the host, and come all at the same moment.
        const updates = sessions.map((session, number) =>
          session.sql(
            'SET SESSION vamos_request_timeout_ms = 60000',
            `UPDATE t SET v = v + 1 WHERE id = ${rows[number]}`,
          ),
        );
        await Promise.all([server().host!.start(), ...updates]);
      } finally {
        await owner.sql('SET GLOBAL vamos_connect_timeout_ms = 60000');
        for (const session of sessions) await session[Symbol.asyncDispose]();
      }
      expect(await owner.sql('SELECT DISTINCT v FROM t WHERE id >= 100')).toEqual([[value]]);
      expect(await prepared()).toEqual([]);
    },
  );

  test('an xid of every length and byte', async () => {
    const longest = 'x'.repeat(64);
    await using session = await open();
    await session.sql(`XA START '${longest}', '${longest}', 7`, 'UPDATE t SET v = 11');
    await session.sql(`XA END '${longest}', '${longest}', 7`, `XA PREPARE '${longest}', '${longest}', 7`);
    await server().kill();
    await server().start();
    await using other = await open();
    expect(await other.sql('XA RECOVER')).toEqual([[7, 64, 64, Buffer.from(longest + longest)]]);
    await other.sql(`XA COMMIT '${longest}', '${longest}', 7`);
    expect(await other.sql('SELECT v FROM t')).toEqual([[11]]);
  });
});

describe('with the binary log', () => {
  test('each transaction is logged once, a refused one not at all', async () => {
    const before = await logged();
    await using session = await open();
    await session.sql('INSERT INTO t VALUES (2, 20)', 'BEGIN', 'INSERT INTO t VALUES (3, 30)');
    expect(await session.code('INSERT INTO t VALUES (1, 0)')).toBe('ER_DUP_ENTRY');
    await session.sql('COMMIT');
    const refusal = await session.refusal('INSERT INTO t VALUES (4, 40), (1, 0)');
    expect(refusal.message).toBe("Duplicate entry '1' for key 'PRIMARY'");
    expect((await session.refusal('INSERT INTO t VALUES (1, 0)')).code).toBe('ER_DUP_ENTRY');
    await session.sql('BEGIN', 'INSERT INTO t VALUES (5, 50)', 'ROLLBACK');
    const after = await logged();
    expect(await session.sql('SELECT id FROM t ORDER BY id')).toEqual([[1], [2], [3]]);
    expect(after.inserts - before.inserts).toBe(2);
    expect(after.commits - before.commits).toBe(2);
  });

  test('a transaction of two engines is committed in both or in none', async () => {
    await using session = await open();
    await session.sql('CREATE OR REPLACE TABLE other (id INT PRIMARY KEY) ENGINE=InnoDB');
    await session.sql('BEGIN', 'INSERT INTO t VALUES (2, 20)', 'INSERT INTO other VALUES (2)', 'COMMIT');
    await session.sql('BEGIN', 'INSERT INTO t VALUES (3, 30)', 'INSERT INTO other VALUES (3)', 'ROLLBACK');
    expect(await session.sql('SELECT id FROM other')).toEqual([[2]]);
    expect(await session.count()).toBe(2);
  });

  test.each(['server', 'worker', 'both'])(
    'kill -9 of %s: log and table agree, no insert is lost',
    async (victim) => {
      const before = await logged();
      let next = 100;
      const acknowledged = new Set<number>();
      let isOver = false;
      const write = async (session: Session) => {
        while (!isOver) {
          const id = next++;
          try {
            await session.sql(`INSERT INTO t VALUES (${id}, 0)`);
            acknowledged.add(id);
          } catch (error) {
            if ((error as { fatal?: boolean }).fatal === true) return;
          }
        }
        await session[Symbol.asyncDispose]();
      };
      // All are there before the first can be killed.
      const sessions = await Promise.all([open(), open(), open()]);
      const writers = sessions.map(write);
      while (acknowledged.size < 60) await new Promise((resolve) => setTimeout(resolve, 5));
      if (victim !== 'worker') await server().kill();
      if (victim !== 'server') await server().host!.killWorker();
      const size = acknowledged.size;
      if (victim === 'worker') {
        while (acknowledged.size < size + 20) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      isOver = true;
      await Promise.all(writers);
      if (victim !== 'worker') await server().start();

      await using session = await patient();
      const there = new Set(
        ((await session.sql('SELECT id FROM t WHERE id >= 100')) as [number][]).map(([id]) => id),
      );
      expect([...acknowledged].filter((id) => !there.has(id))).toEqual([]);
      const after = await logged();
      expect(after.inserts - before.inserts).toBe(there.size);
      // No transaction that will never end holds a lock.
      await session.sql('UPDATE t SET v = v + 1');
      expect(await prepared()).toEqual([]);
    },
  );
});
