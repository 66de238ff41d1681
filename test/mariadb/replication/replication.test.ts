/** Row-based replication, to and from a server whose tables are InnoDB's. */
import { expect, test } from 'vitest';
import { caughtUp, follow, useReplicas } from './replicas.js';
import { Session } from '../../../lab/mariadb/session.js';

const replicas = useReplicas();

const CHECKS = ['SELECT * FROM t ORDER BY id', 'SELECT COUNT(*), SUM(n) FROM u'];

test.each([
  ['VAMOS', 'InnoDB', 0],
  ['InnoDB', 'VAMOS', 0],
  ['InnoDB', 'VAMOS', 4],
])('from %s to %s with %d parallel threads', async (from, to, threads) => {
  const { source, port } = await replicas.startSource(1, from, '--log-slave-updates');
  const replica = await replicas.start(2, to, '--log-slave-updates', `--slave-parallel-threads=${threads}`);
  await using writer = await Session.open(source);
  await using reader = await Session.open(replica);
  await follow(reader, writer, port);
  await reader.sql('START SLAVE');

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

  await caughtUp(reader, writer);
  for (const check of CHECKS) expect(await reader.sql(check)).toEqual(await writer.sql(check));
  const [[engine]] = (await reader.sql(
    "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_NAME = 't'",
  )) as [[string]];
  expect(engine).toBe(to);
  await reader.sql('STOP SLAVE');
});
