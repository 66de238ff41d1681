/** A server in a guest whose memory is put back to an earlier state (a snapshot of QEMU), while its host stays as it is. */
import type mysql from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Tables } from '../../../guest/tables/index.js';
import type { AnyRow } from '../../../guest/tables/codec.js';
import { connectChannel } from '../../../src/channel/index.js';
import { RpcClient } from '../../../src/rpc/connector/client.js';
import { Folder } from '../../../lab/daemon/daemon.js';
import { Double } from '../../rpc/double.js';
import { Requests } from '../../tables/requests.js';
import { Between, type LastWrite } from '../between.js';
import { Host } from '../../../lab/mariadb/host.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';

const folder = new Folder();
const host = new Host(folder);
const between = new Between(folder, host.channel);
let server: MariadbServer;
let connection: mysql.Connection;
/** The client of the double's rows. */
let client: RpcClient;

beforeAll(async () => {
  await host.start();
  await between.open();
  server = await MariadbServer.start({ host, args: [`--vamos-channel=${between.address}`] });
  client = await RpcClient.connect(() => connectChannel(host.channel));
});
afterAll(async () => {
  await client?.close();
  await server?.[Symbol.asyncDispose]();
  await between.close();
  await host[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const sql = async (text: string): Promise<unknown[]> =>
  (await connection.query<mysql.RowDataPacket[]>({ sql: text, rowsAsArray: true }))[0];

/** Returns `done`, or the error's number and message. */
const outcomeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    (error: { errno: number; message: string }) => `${error.errno}: ${error.message}`,
  );

/**
 * Does what the guest did between the snapshot and the rollback to it: rows that commit with these numbers of
 * the stream.
 */
async function before(table: string, rows: AnyRow[], { stream, commitNumber }: LastWrite): Promise<void> {
  const opened = await new Tables(client, client.stream()).open(`test/${table}`);
  const double = await Double.connect(() => connectChannel(host.channel), between, between.epoch + 1, true);
  const rpcStream = double.stream(stream);
  const requests = new Requests({ stream: () => rpcStream } as unknown as RpcClient, opened);
  for (const [index, row] of rows.entries()) {
    await requests.insert(row, { commitNumber: commitNumber + index, commitToken: Buffer.from('other') });
  }
  await double.vanish();
}

/** A statement whose commit gets lost, as the first one of a guest that was rolled back; meanwhile the host has these rows. */
async function lose(
  statement: string,
  table: string,
  rows: AnyRow[],
  onOtherStream = false,
): Promise<string> {
  between.fallSilent();
  const outcome = outcomeOf(sql(statement));
  await between.hasLost();
  between.cut();
  const { stream, commitNumber } = between.lastWrite!;
  await before(table, rows, { stream: onOtherStream ? stream + 1000 : stream, commitNumber });
  between.comeBack();
  return outcome;
}

describe('a commit that is lost when the memory of its guest was rolled back', () => {
  beforeEach(async () => {
    connection = await server.connect();
    await sql('CREATE OR REPLACE TABLE t (id INT PRIMARY KEY) ENGINE=VAMOS');
    await sql('INSERT INTO t VALUES (1)');
  });

  const ids = () => sql('SELECT id FROM t ORDER BY id');

  test('is not taken for another commit that had its number', async () => {
    expect(await lose('INSERT INTO t VALUES (2)', 't', [{ id: 100 }])).toMatch(/is not known/);
    expect(await ids()).toEqual([[1], [100]]);
  });

  test('is made where its connection did nothing since', async () => {
    expect(await lose('INSERT INTO t VALUES (2)', 't', [{ id: 100 }], true)).toBe('done');
    expect(await ids()).toEqual([[1], [2], [100]]);
  });

  test('has an outcome that is not known where later ones were done; the next one is made', async () => {
    const outcome = await lose('INSERT INTO t VALUES (2)', 't', [{ id: 100 }, { id: 101 }, { id: 102 }]);
    expect(outcome).toMatch(/is not known/);
    expect(await ids()).toEqual([[1], [100], [101], [102]]);
    await sql('INSERT INTO t VALUES (3)');
    await sql('UPDATE t SET id = id + 1000 WHERE id = 3');
    expect(await ids()).toEqual([[1], [100], [101], [102], [1003]]);
  });

  const insertAndCommit = async (on: mysql.Connection) => {
    await on.query('START TRANSACTION');
    await on.query('INSERT INTO t VALUES (5)');
    await on.query('COMMIT');
  };

  test('has an outcome that is not known where its transaction is made again after the commit could not be sent', async () => {
    await sql('INSERT INTO t VALUES (2)');
    const { stream, commitNumber } = between.lastWrite!;
    await sql('START TRANSACTION');
    await sql('INSERT INTO t VALUES (5)');
    between.fallSilent();
    between.cut();
    await before('t', [{ id: 100 }], { stream, commitNumber: commitNumber + 1 });
    between.comeBack();
    // A read brings the next session, in which nothing of this transaction is sent.
    const other = await server.connect();
    await other.query('SELECT * FROM t');
    await other.end();
    expect(await outcomeOf(sql('COMMIT'))).toMatch(/^1213: /);
    expect(await outcomeOf(insertAndCommit(connection))).toMatch(/is not known/);
    expect(await ids()).toEqual([[1], [2], [100]]);
    await insertAndCommit(connection);
    expect(await ids()).toEqual([[1], [2], [5], [100]]);
  });

  test('has an outcome that is not known where its transaction is made again after another connection found the rollback', async () => {
    const [other, idle] = [await server.connect(), await server.connect()];
    await idle.query('INSERT INTO t VALUES (2)');
    await other.query('INSERT INTO t VALUES (3)');
    const ofOther = between.lastWrite!;
    await sql('INSERT INTO t VALUES (4)');
    const ofThis = between.lastWrite!;
    await sql('START TRANSACTION');
    await sql('INSERT INTO t VALUES (5)');
    between.fallSilent();
    between.cut();
    await before('t', [{ id: 100 }], { ...ofOther, commitNumber: ofOther.commitNumber + 1 });
    await before('t', [{ id: 101 }], { ...ofThis, commitNumber: ofThis.commitNumber + 1 });
    between.comeBack();

    expect(await outcomeOf(other.query('INSERT INTO t VALUES (6)'))).toMatch(/is not known/);
    expect(await outcomeOf(sql('INSERT INTO t VALUES (7)'))).toMatch(/^1213: /);
    expect(await outcomeOf(insertAndCommit(connection))).toMatch(/is not known/);
    expect(await ids()).toEqual([[1], [2], [3], [4], [100], [101]]);
    // Connections that know go on, and so does one that did nothing since.
    for (const each of [connection, idle]) await each.query(`INSERT INTO t VALUES (${each.threadId + 1000})`);
    await insertAndCommit(other);
    expect(await sql('SELECT COUNT(*) FROM t')).toEqual([[9]]);
    await Promise.all([other.end(), idle.end()]);
  });

  test('fails with no duplicate key where a row had its AUTO_INCREMENT value; the next one has a value of its own', async () => {
    await sql('CREATE OR REPLACE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=VAMOS');
    await sql('INSERT INTO numbered VALUES (NULL)');
    const outcome = await lose('INSERT INTO numbered VALUES (NULL)', 'numbered', [{ id: 2 }], true);
    expect(outcome).toMatch(/^1297: .*session/);
    for (let row = 0; row < 3; row++) await sql('INSERT INTO numbered VALUES (NULL)');
    expect(await sql('SELECT COUNT(*) FROM numbered')).toEqual([[5]]);
  });
});
