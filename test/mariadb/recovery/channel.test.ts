/** Whatever becomes of the host: statements fail with a clear error in their time, later ones work again. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Folder } from '../../../lab/daemon/daemon.js';
import { Host } from '../../../lab/mariadb/host.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session, untilInGetLock } from '../../../lab/mariadb/session.js';
import { showLogs } from '../suite.js';

const ARGS = [
  '--default-storage-engine=VAMOS',
  '--loose-vamos-connect-timeout-ms=60000',
  '--loose-vamos-ping-interval-ms=1000',
];

const IMPATIENT = '--loose-vamos-connect-timeout-ms=500';

let server: MariadbServer;
showLogs(() => server);
afterEach(() => server[Symbol.asyncDispose]());

async function withTable(): Promise<Session> {
  const session = await Session.open(server);
  await session.sql('CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v INT)', 'INSERT INTO t VALUES (1, 10)');
  return session;
}

describe('a host that is there', () => {
  beforeEach(async () => {
    server = await MariadbServer.start({ args: ARGS });
  });

  test('and is killed: the open transaction dies and says so, the next one works', async () => {
    await using session = await withTable();
    await session.sql('BEGIN', 'UPDATE t SET v = 11');
    expect(await session.sql('SELECT v FROM t')).toEqual([[11]]);
    await server.host!.killWorker();
    const refusal = await session.refusal('UPDATE t SET v = v + 1');
    expect(refusal.code).toBe('ER_LOCK_DEADLOCK');
    expect(refusal.message).toMatch(/rolled back: .*session/i);
    expect(await session.sql('SELECT v FROM t')).toEqual([[10]]);
    await session.sql('BEGIN', 'UPDATE t SET v = 12', 'COMMIT');
    expect(await session.sql('SELECT v FROM t')).toEqual([[12]]);
    expect(await session.sql("SHOW STATUS LIKE 'Vamos_reconnects'")).toEqual([['Vamos_reconnects', '1']]);
  });

  test('and is killed: a row whose AUTO_INCREMENT value can not be had any more says why', async () => {
    await using session = await withTable();
    await session.sql('CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY)');
    await session.sql('INSERT INTO numbered VALUES (NULL)', 'BEGIN', 'UPDATE t SET v = 11');
    await server.host!.killWorker();
    // From here on the server knows that its values are none any more.
    await using other = await Session.open(server);
    await other.sql('SELECT * FROM t');
    const refusal = await session.refusal('INSERT INTO numbered VALUES (NULL)');
    expect(refusal.code).toBe('ER_LOCK_DEADLOCK');
    expect(refusal.message).toMatch(/rolled back: .*session/i);
    await session.sql('INSERT INTO numbered VALUES (NULL)');
    expect(await session.sql('SELECT COUNT(*) FROM numbered')).toEqual([[2]]);
  });

  test('and is killed: a commit that is too late says so', async () => {
    await using session = await withTable();
    await session.sql('BEGIN', 'UPDATE t SET v = 11');
    expect(await session.sql('SELECT v FROM t')).toEqual([[11]]);
    await server.host!.killWorker();
    expect(await session.code('COMMIT')).toBe('ER_LOCK_DEADLOCK');
    expect(await session.sql('SELECT v FROM t')).toEqual([[10]]);
  });

  test('and is killed: CREATE TABLE … SELECT that dies with its transaction leaves no table', async () => {
    await using session = await withTable();
    await using other = await Session.open(server);
    await session.sql('INSERT INTO t SELECT seq, 0 FROM seq_2_to_20000');
    await other.sql("DO GET_LOCK('go', 0)");
    const code = session.code("CREATE TABLE made AS SELECT id, GET_LOCK('go', 60) AS held FROM t");
    await untilInGetLock(server, session.id);
    await server.host!.killWorker();
    await other.sql("DO RELEASE_LOCK('go')");
    expect(await code).toBe('ER_LOCK_DEADLOCK');
    expect(await session.count()).toBe(20_000);
    expect(await session.sql('SHOW TABLES')).toEqual([['t']]);
    await server.host!.workerPid();
    expect((await server.host!.counters())['tables']).toBe(1);
  });

  test('and is killed: statements without an open transaction do not notice', async () => {
    await using session = await withTable();
    for (let round = 2; round < 7; round++) {
      await server.host!.killWorker();
      await session.sql(`INSERT INTO t VALUES (${round}, 0)`);
      await server.host!.killWorker();
      expect(await session.count()).toBe(round);
    }
  });

  test('and is killed again and again: every insert that was acknowledged is there once', async () => {
    await using setup = await withTable();
    let isOver = false;
    let next = 100;
    const acknowledged = new Set<number>();
    const refused = new Set<string>();
    const writer = async () => {
      await using session = await Session.open(server);
      while (!isOver) {
        const id = next++;
        await session.sql(`INSERT INTO t VALUES (${id}, 0)`).then(
          () => acknowledged.add(id),
          (error: Error) => refused.add(error.message),
        );
      }
    };
    const writers = [writer(), writer(), writer(), writer()];
    for (let round = 0; round < 8; round++) {
      const size = acknowledged.size;
      while (acknowledged.size < size + 20) await delay(5);
      await server.host!.killWorker();
    }
    isOver = true;
    await Promise.all(writers);
    // A commit made twice would be refused as a duplicate.
    expect([...refused]).toEqual([]);
    const rows = (await setup.sql('SELECT id FROM t WHERE id >= 100')) as [number][];
    expect(rows.map(([id]) => id).sort((a, b) => a - b)).toEqual([...acknowledged].sort((a, b) => a - b));
  });

  test('and stops: statements fail in their time, and work when it goes on', async () => {
    await using session = await withTable();
    await session.sql('SET SESSION vamos_request_timeout_ms = 700');
    const worker = await server.host!.workerPid();
    process.kill(worker, 'SIGSTOP');
    try {
      const refusal = await session.refusal('SELECT v FROM t');
      expect(refusal.message).toMatch(/no answer in time from the host daemon at unix:/);
    } finally {
      process.kill(worker, 'SIGCONT');
    }
    await session.sql('SET SESSION vamos_request_timeout_ms = DEFAULT');
    expect(await session.sql('SELECT v FROM t')).toEqual([[10]]);
    await session.sql('UPDATE t SET v = 11');
    expect(await session.sql('SELECT v FROM t')).toEqual([[11]]);
  });

  test('and stops for long: the session ends, statements find the next one', async () => {
    await using session = await withTable();
    await session.sql('SET GLOBAL vamos_connect_timeout_ms = 1000');
    const worker = await server.host!.workerPid();
    process.kill(worker, 'SIGSTOP');
    try {
      const refusal = await session.refusal('SELECT v FROM t');
      expect(refusal.message).toMatch(/host daemon/);
    } finally {
      process.kill(worker, 'SIGCONT');
    }
    await session.sql('SET GLOBAL vamos_connect_timeout_ms = 60000');
    expect(await session.sql('SELECT v FROM t')).toEqual([[10]]);
  });

  test('and is slow: statements wait for it', async () => {
    await using session = await withTable();
    const worker = await server.host!.workerPid();
    process.kill(worker, 'SIGSTOP');
    const updating = session.sql('UPDATE t SET v = v + 1');
    await delay(600);
    process.kill(worker, 'SIGCONT');
    await updating;
    expect(await session.sql('SELECT v FROM t')).toEqual([[11]]);
  });

  test('and stops at a commit: the statement says that its outcome is not known', async () => {
    await using session = await withTable();
    await session.sql(
      'SET SESSION vamos_request_timeout_ms = 300',
      'SET GLOBAL vamos_connect_timeout_ms = 300',
    );
    const worker = await server.host!.workerPid();
    process.kill(worker, 'SIGSTOP');
    try {
      expect((await session.refusal('INSERT INTO t VALUES (2, 20)')).message).toMatch(/not known/);
    } finally {
      process.kill(worker, 'SIGCONT');
    }
    await session.sql(
      'SET GLOBAL vamos_connect_timeout_ms = 60000',
      'SET SESSION vamos_request_timeout_ms = 30000',
    );
    await session.sql('INSERT INTO t VALUES (3, 30)');
    expect(await session.count('id = 3')).toBe(1);
  });

  test('and goes away: statements say where it was looked for; it may come back', async () => {
    await using session = await withTable();
    await session.sql('SET GLOBAL vamos_connect_timeout_ms = 500');
    await server.host!.stop();
    const { channel } = server.host!;
    for (const statement of ['SELECT * FROM t', 'INSERT INTO t VALUES (2, 20)', 'CREATE TABLE u (a INT)']) {
      const refusal = await session.refusal(statement);
      expect(refusal.message).toContain(`host daemon unreachable at ${channel}`);
    }
    expect(await session.sql("SHOW STATUS LIKE 'Vamos_connection'")).toMatchObject([
      ['Vamos_connection', expect.stringMatching(/not connected/)],
    ]);
    await session.sql('SET GLOBAL vamos_connect_timeout_ms = 60000');
    await server.host!.start();
    await session.sql('INSERT INTO t VALUES (2, 20)');
    expect(await session.count()).toBe(2);
  });

  test('SHOW ENGINE VAMOS STATUS and SHOW STATUS tell of it', async () => {
    await using session = await withTable();
    const [[, , text]] = (await session.sql('SHOW ENGINE VAMOS STATUS')) as [[string, string, string]];
    expect(text).toContain(`connected to ${server.host!.channel}`);
    const rows = (await session.sql("SHOW STATUS LIKE 'vamos%'")) as [string, string][];
    const values = Object.fromEntries(rows);
    expect(Number(values['Vamos_requests'])).toBeGreaterThanOrEqual(Number(values['Vamos_frames']));
    expect(Number(values['Vamos_bytes_sent'])).toBeGreaterThan(0);
  });
});

describe('a host that is not there', () => {
  test('at the start of the server: it starts, statements fail clearly, and work once it is there', async () => {
    using folder = new Folder();
    await using host = new Host(folder);
    server = await MariadbServer.start({ args: [...ARGS, IMPATIENT], host });
    await using session = await Session.open(server);
    const refusal = await session.refusal('CREATE TABLE t (id INT PRIMARY KEY)');
    expect(refusal.message).toContain(`host daemon unreachable at ${host.channel}`);
    await host.start();
    await session.sql('SET GLOBAL vamos_connect_timeout_ms = 60000');
    await session.sql('CREATE TABLE t (id INT PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
    expect(await session.count()).toBe(1);
    await server.stop();
  });

  test.each<[string, (socket: net.Socket) => void]>([
    ['answers garbage', (socket) => socket.on('data', () => socket.write(randomBytes(3000)))],
    ['says nothing', () => undefined],
    ['hangs up', (socket) => socket.on('data', () => socket.destroy())],
  ])('but somebody who %s: statements fail clearly', async (_, behave) => {
    using folder = new Folder();
    const file = folder.file('impostor.sock');
    const impostor = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      behave(socket);
    });
    await new Promise<void>((resolve) => impostor.listen(file, resolve));
    try {
      server = await MariadbServer.start({
        host: 'none',
        args: ['--plugin-load-add=ha_vamos.so', `--loose-vamos-channel=unix:${file}`, ...ARGS, IMPATIENT],
      });
      await using session = await Session.open(server);
      for (let round = 0; round < 2; round++) {
        const refusal = await session.refusal('CREATE TABLE t (id INT PRIMARY KEY)');
        expect(refusal.message).toContain(`host daemon unreachable at unix:${file}`);
      }
      expect(await session.sql('SELECT 1')).toEqual([[1]]);
    } finally {
      impostor.close();
    }
  });
});
