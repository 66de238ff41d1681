/** Row-based replication, to and from a server whose tables are InnoDB's. */
import net from 'node:net';
import type mysql from 'mysql2/promise';
import { afterEach, expect, test } from 'vitest';
import { until } from '../daemon/daemon.js';
import { MariadbServer } from './server.js';
import { Session } from './session.js';

const servers: MariadbServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server[Symbol.asyncDispose]()));
});

async function freePort(): Promise<number> {
  const probe = net.createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** One that others can replicate from: on a port that another process may take before the server does. */
async function startSource(id: number, engine: string): Promise<{ source: MariadbServer; port: number }> {
  for (let triesLeft = 10; ; triesLeft--) {
    const port = await freePort();
    const network = ['--skip-networking=0', '--bind-address=127.0.0.1', `--port=${port}`];
    try {
      return { source: await start(id, engine, ...network), port };
    } catch (error) {
      if (triesLeft === 0 || !/Bind on TCP\/IP port/.test((error as Error).message)) throw error;
    }
  }
}

async function start(id: number, engine: string, ...args: string[]): Promise<MariadbServer> {
  const server = await MariadbServer.start({
    host: engine === 'VAMOS' ? 'own' : 'none',
    args: [
      `--server-id=${id}`,
      '--log-bin=binary',
      '--log-slave-updates',
      '--binlog-format=ROW',
      `--default-storage-engine=${engine}`,
      ...args,
    ],
  });
  servers.push(server);
  return server;
}

const CHECKS = ['SELECT * FROM t ORDER BY id', 'SELECT COUNT(*), SUM(n) FROM u'];

test.each([
  ['VAMOS', 'InnoDB', 0],
  ['InnoDB', 'VAMOS', 0],
  ['InnoDB', 'VAMOS', 4],
])('from %s to %s with %d parallel threads', async (from, to, threads) => {
  const { source, port } = await startSource(1, from);
  const replica = await start(2, to, `--slave-parallel-threads=${threads}`);
  await using writer = await Session.open(source);
  await using reader = await Session.open(replica);
  await writer.sql(
    "CREATE USER replica@'127.0.0.1'",
    "GRANT REPLICATION SLAVE ON *.* TO replica@'127.0.0.1'",
  );
  await reader.sql(
    `CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${port}, MASTER_USER='replica', MASTER_USE_GTID=slave_pos`,
    'START SLAVE',
  );

  // No ENGINE: each server has its own.
  await writer.sql(
    'CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(50), b BLOB, n INT, KEY (a))',
  );
  await writer.sql('CREATE TABLE u (n INT)');
  await writer.sql("INSERT INTO t (a, b, n) VALUES ('one', x'00FF', 1), ('two', NULL, 2), ('three', 'b', 3)");
  await writer.sql(
    'BEGIN',
    "UPDATE t SET a = CONCAT(a, '!') WHERE id > 1",
    'DELETE FROM t WHERE id = 1',
    'COMMIT',
  );
  await writer.sql('BEGIN', 'INSERT INTO t (n) VALUES (9)', 'SAVEPOINT s', 'INSERT INTO t (n) VALUES (10)');
  await writer.sql('ROLLBACK TO s', 'COMMIT', 'BEGIN', 'DELETE FROM t', 'ROLLBACK');
  const writers = Array.from({ length: 4 }, async (_, at) => {
    await using session = await Session.open(source);
    for (let round = 0; round < 25; round++) {
      await session.sql(
        `INSERT INTO u VALUES (${at * 100 + round})`,
        `UPDATE t SET n = n + 1 WHERE id = ${2 + (at % 2)}`,
      );
    }
  });
  await Promise.all(writers);
  await writer.sql(
    "XA START 'x'",
    'INSERT INTO u VALUES (5000)',
    "XA END 'x'",
    "XA PREPARE 'x'",
    "XA COMMIT 'x'",
  );
  await writer.sql('UPDATE u SET n = n + 1 WHERE n < 10', 'ALTER TABLE u ADD COLUMN c INT DEFAULT 4');

  const [[gtid]] = (await writer.sql('SELECT @@gtid_binlog_pos')) as [[string]];
  await until(async () => {
    const [status] = await replica.query<mysql.RowDataPacket[]>('SHOW SLAVE STATUS');
    const { Last_SQL_Error: refusal, Last_IO_Error: loss } = status as Record<string, string>;
    if (refusal || loss) throw new Error(refusal || loss);
    const [[position]] = (await reader.sql('SELECT @@gtid_slave_pos')) as [[string]];
    return position === gtid;
  });
  for (const check of CHECKS) expect(await reader.sql(check)).toEqual(await writer.sql(check));
  const [[engine]] = (await reader.sql(
    "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_NAME = 't'",
  )) as [[string]];
  expect(engine).toBe(to);
  await reader.sql('STOP SLAVE');
});
