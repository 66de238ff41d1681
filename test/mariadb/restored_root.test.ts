/** A host whose root is put back to an earlier state (a restored backup) while its guest's server goes on. */
import { cpSync, rmSync } from 'node:fs';
import type mysql from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Folder } from '../../lab/daemon/daemon.js';
import { Between } from './between.js';
import { Host } from '../../lab/mariadb/host.js';
import { MariadbServer } from '../../lab/mariadb/server.js';

const folder = new Folder();
const host = new Host(folder);
const between = new Between(folder, host.channel);
let server: MariadbServer;
let connection: mysql.Connection;

beforeAll(async () => {
  await host.start();
  await between.open();
  server = await MariadbServer.start({ host, args: [`--vamos-channel=${between.address}`] });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await between.close();
  await host[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});
beforeEach(async () => {
  connection = await server.connect();
});

const sql = async (text: string): Promise<unknown[]> =>
  (await connection.query<mysql.RowDataPacket[]>({ sql: text, rowsAsArray: true }))[0];

/** `done`, or the error's number and message. */
const outcomeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    (error: { errno: number; message: string }) => `${error.errno}: ${error.message}`,
  );

describe('a commit that is lost while the root is put back to a state without earlier commits', () => {
  beforeEach(async () => {
    await sql('CREATE OR REPLACE TABLE t (id INT PRIMARY KEY) ENGINE=VAMOS');
    await sql('INSERT INTO t VALUES (1)');
  });

  const ids = () => sql('SELECT id FROM t ORDER BY id');

  /** Loses the last statement's commit; the host comes back as it was before the statements that it acknowledged. */
  async function lose(acknowledged: string[], last: string): Promise<string> {
    await host.stop();
    cpSync(host.root, folder.file('backup'), { recursive: true });
    await host.start();
    for (const statement of acknowledged) await sql(statement);
    // The server is connected again.
    await ids();
    between.fallSilent();
    const outcome = outcomeOf(sql(last));
    await between.hasLost();
    await host.kill();
    rmSync(host.root, { recursive: true });
    cpSync(folder.file('backup'), host.root, { recursive: true });
    rmSync(folder.file('backup'), { recursive: true });
    await host.start();
    between.cut();
    between.comeBack();
    return outcome;
  }

  test.each([
    ['an insert', ['INSERT INTO t VALUES (2)']],
    ['an update that runs on the host', ['UPDATE t SET id = 2 WHERE id = 1']],
    [
      'a transaction',
      ['BEGIN', 'INSERT INTO t VALUES (2)', 'SAVEPOINT s', 'INSERT INTO t VALUES (3)', 'COMMIT'],
    ],
  ])(
    'has an outcome that is not known, and is not made again, where the host acknowledged %s',
    async (_, acknowledged) => {
      const outcome = await lose(acknowledged, 'INSERT INTO t VALUES (10)');
      expect(outcome).toMatch(/is not known.*put back to an earlier state/);
      expect(await ids()).toEqual([[1]]);
      await sql('INSERT INTO t VALUES (11)');
      expect(await ids()).toEqual([[1], [11]]);
    },
  );

  test.each([
    ['nothing', []],
    ['what changed no row', ['DELETE FROM t WHERE id = 100']],
    ['what was undone', ['BEGIN', 'SAVEPOINT s', 'INSERT INTO t VALUES (2)', 'ROLLBACK TO s', 'COMMIT']],
  ])('is made again where the host acknowledged %s since', async (_, acknowledged) => {
    expect(await lose(acknowledged, 'INSERT INTO t VALUES (10)')).toBe('done');
    expect(await ids()).toEqual([[1], [10]]);
  });
});

test('the next value of a sequence that may be stored or not has an outcome that is not known', async () => {
  await sql('CREATE SEQUENCE s CACHE 1 ENGINE=VAMOS');
  await sql('SELECT NEXT VALUE FOR s');
  await sql('SET GLOBAL vamos_connect_timeout_ms = 500');
  between.fallSilentAtWrite();
  const outcome = outcomeOf(sql('SELECT NEXT VALUE FOR s'));
  await between.hasLost();
  between.cut();
  expect(await outcome).toMatch(/is not known/);
  await sql('SET GLOBAL vamos_connect_timeout_ms = 60000');
  between.comeBack();
  await sql('SELECT NEXT VALUE FOR s');
});
