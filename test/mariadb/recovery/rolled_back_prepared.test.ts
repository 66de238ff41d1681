/**
 * A server that writes a binary log, in a guest whose memory is put back to an earlier state, while its host stays as it is: its
 * transactions are prepared, and leave no number that the host could know them by.
 */
import type mysql from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Tables } from '../../../guest/tables/index.js';
import { Folder, until } from '../../../lab/daemon/daemon.js';
import { Host } from '../../../lab/mariadb/host.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { connectChannel } from '../../../src/channel/index.js';
import { RpcClient } from '../../../src/rpc/connector/client.js';
import { Double } from '../../rpc/double.js';
import { inTransaction, Requests } from '../../tables/requests.js';
import { Between } from '../between.js';

const folder = new Folder();
const host = new Host(folder);
const between = new Between(folder, host.channel);
let server: MariadbServer;
/** The client of the double's rows. */
let client: RpcClient;
let connection: mysql.Connection;
let idle: mysql.Connection;

beforeAll(async () => {
  await host.start();
  await between.open();
  const args = ['--log-bin=binary', '--server-id=1', `--vamos-channel=${between.address}`];
  server = await MariadbServer.start({ host, args });
  client = await RpcClient.connect(() => connectChannel(host.channel));
});
afterAll(async () => {
  await client?.close();
  await server?.[Symbol.asyncDispose]();
  await between.close();
  await host[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});
beforeEach(async () => {
  connection = await server.connect();
  idle = await server.connect();
  await connection.query('CREATE OR REPLACE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=VAMOS');
  await connection.query('INSERT INTO t VALUES (1, 10)');
  await idle.query('SELECT * FROM t');
});

const run = async (on: mysql.Connection, ...statements: string[]): Promise<void> => {
  for (const statement of statements) await on.query(statement);
};

/** `done`, or the error's number and message. */
const outcomeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    (error: { errno: number; message: string }) => `${error.errno}: ${error.message}`,
  );

async function rows(): Promise<unknown[][]> {
  await using reader = await server.connect();
  const query = { sql: 'SELECT * FROM t ORDER BY id', rowsAsArray: true };
  return (await reader.query<mysql.RowDataPacket[][]>(query))[0];
}

/** What the guest did between the snapshot and the rollback to it. */
async function before(work: (requests: Requests) => Promise<void>): Promise<void> {
  const table = await new Tables(client, client.stream()).open('test/t');
  const double = await Double.connect(() => connectChannel(host.channel), between, between.epoch + 1);
  const stream = double.stream(between.lastPrepared!.stream);
  await work(new Requests({ stream: () => stream } as unknown as RpcClient, table));
  await double.vanish();
}

async function prepare(requests: Requests, id: number, xid: Uint8Array): Promise<void> {
  await requests.begin();
  await requests.insert({ id, v: 0 }, inTransaction());
  await requests.prepare(xid);
}

/** Returns the next xid of the same kind. */
function next(xid: Uint8Array): Buffer {
  const other = Buffer.from(xid);
  other.writeUInt32LE(other.readUInt32LE(other.length - 8) + 1000, other.length - 8);
  return other;
}

/** Makes the call, loses what it sends, and lets the host have had this of the guest. */
async function lose(
  call: () => Promise<unknown>,
  since: (requests: Requests) => Promise<void>,
): Promise<string> {
  between.fallSilent();
  const outcome = outcomeOf(call());
  await between.hasLost();
  between.cut();
  await before(since);
  between.comeBack();
  return outcome;
}

describe('a transaction of a server with a binary log whose guest was rolled back', () => {
  test('is not made again where it may have been made before, nor is the first one of any other connection', async () => {
    const outcome = await lose(
      () => connection.query('INSERT INTO t VALUES (2, 20)'),
      async (requests) => {
        const { xid } = between.lastPrepared!;
        await prepare(requests, 100, xid);
        await requests.endPrepared('COMMIT', xid);
      },
    );
    expect(outcome).toMatch(/is not known/);
    expect(await rows()).toEqual([
      [1, 10],
      [100, 0],
    ]);
    expect(await outcomeOf(idle.query('INSERT INTO t VALUES (3, 30)'))).toMatch(/is not known/);
    await using later = await server.connect();
    for (const [id, each] of [connection, idle, later].entries()) {
      await each.query(`INSERT INTO t VALUES (${id + 4}, 0)`);
    }
    expect((await rows()).length).toBe(5);
  });

  test('is not refused as a duplicate of itself, which would have its client make it again', async () => {
    // The next values are reserved with it.
    await connection.query('INSERT INTO t (v) VALUES (20)');
    const outcome = await lose(
      () => connection.query('INSERT INTO t (v) VALUES (30)'),
      async (requests) => {
        const { xid } = between.lastPrepared!;
        await prepare(requests, 3, xid);
        await requests.endPrepared('COMMIT', xid);
      },
    );
    expect(outcome).toMatch(/is not known/);
    expect(await rows()).toEqual([
      [1, 10],
      [2, 20],
      [3, 0],
    ]);
  });

  test('is not made again where it had begun in the state that is gone', async () => {
    await connection.query('INSERT INTO t VALUES (2, 20)');
    await run(connection, 'START TRANSACTION', 'INSERT INTO t VALUES (3, 30)');
    between.fallSilent();
    between.cut();
    await before(async (requests) => {
      const xid = next(between.lastPrepared!.xid);
      await prepare(requests, 100, xid);
      await requests.endPrepared('COMMIT', xid);
    });
    between.comeBack();
    const transaction = ['START TRANSACTION', 'INSERT INTO t VALUES (3, 30)', 'COMMIT'];
    expect(await outcomeOf(connection.query('COMMIT'))).toMatch(/is not known/);
    expect((await rows()).map(([id]) => id)).toEqual([1, 2, 100]);
    // Its client has been told now, and has looked.
    await run(connection, ...transaction);
    expect((await rows()).map(([id]) => id)).toEqual([1, 2, 3, 100]);
  });

  test('leaves no locks where it was prepared in the state that is gone, and not ended', async () => {
    const outcome = await lose(
      () => connection.query('INSERT INTO t VALUES (2, 20)'),
      (requests) => prepare(requests, 100, next(between.lastPrepared!.xid)),
    );
    expect(outcome).toMatch(/is not known/);
    await connection.query('INSERT INTO t VALUES (100, 1)');
    expect(await rows()).toEqual([
      [1, 10],
      [100, 1],
    ]);
    expect(server.log).toMatch(/memory was rolled back; 1 transactions .* are rolled back/);
  });
});

describe('an XA transaction in a guest that was rolled back', () => {
  const work = (xid: string, id: number): string[] => [
    `XA START '${xid}'`,
    `INSERT INTO t VALUES (${id}, 0)`,
    `XA END '${xid}'`,
  ];

  test('keeps what was prepared under its xid in the state that is gone, for its client to end', async () => {
    await run(connection, ...work('a', 2));
    const outcome = await lose(
      () => connection.query("XA PREPARE 'a'"),
      (requests) => prepare(requests, 100, between.lastPrepared!.xid),
    );
    expect(outcome).toMatch(/is not known/);
    await using other = await server.connect();
    // The server takes it up when its connection has let go of the xid.
    await until(async () => (await outcomeOf(other.query("XA COMMIT 'a'"))) === 'done');
    expect(await rows()).toEqual([
      [1, 10],
      [100, 0],
    ]);
  });

  test('is not said to be committed where it was rolled back in the state that is gone', async () => {
    await run(connection, ...work('b', 2), "XA PREPARE 'b'");
    const { xid } = between.lastPrepared!;
    between.fallSilent();
    between.cut();
    await before(async (requests) => {
      await requests.endPrepared('ROLLBACK', xid);
    });
    between.comeBack();
    expect(await outcomeOf(connection.query("XA COMMIT 'b'"))).not.toBe('done');
    expect(await rows()).toEqual([[1, 10]]);
  });
});
