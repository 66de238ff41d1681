/** A replica that applies transactions in parallel catches up in each mode, however much they conflict. */
import { expect, test } from 'vitest';
import { caughtUp, follow, useReplicas } from './replicas.js';
import { Session } from '../../../lab/mariadb/session.js';

const replicas = useReplicas();
const THREADS = 8;
const ROUNDS = 40;

test.each([
  ['optimistic', 'no log of its own', []],
  ['optimistic', 'a log of its own', ['--log-slave-updates']],
  ['aggressive', 'no log of its own', []],
])('%s, %s: rows are equal', async (mode, _, args) => {
  const [{ source, port }, replica] = await Promise.all([
    replicas.startSource(1, 'InnoDB'),
    replicas.start(2, 'VAMOS', `--slave-parallel-threads=${THREADS}`, ...args),
  ]);
  await using writer = await Session.open(source);
  await using reader = await Session.open(replica);
  await follow(reader, writer, port);
  await reader.sql(`SET GLOBAL slave_parallel_mode = ${mode}`);

  await writer.sql(
    'CREATE TABLE t (id INT PRIMARY KEY, n INT, KEY (n))',
    'INSERT INTO t SELECT seq, 0 FROM seq_1_to_20',
  );
  // One row comes and goes: done in another order, each of these is refused.
  for (let round = 0; round < ROUNDS; round++)
    await writer.sql(`INSERT INTO t VALUES (100, ${round})`, 'DELETE FROM t WHERE id = 100');
  const writers = Array.from({ length: 4 }, async (_each, at) => {
    await using session = await Session.open(source);
    for (let round = 0; round < ROUNDS; round++)
      await session.sql(`UPDATE t SET n = n + 1 WHERE id = ${1 + ((round * 7 + at) % 20)}`);
  });
  await Promise.all(writers);

  await reader.sql('START SLAVE');
  await caughtUp(reader, writer);
  const rows = 'SELECT * FROM t ORDER BY id';
  expect(await reader.sql(rows)).toEqual(await writer.sql(rows));
  await reader.sql('STOP SLAVE');
});
