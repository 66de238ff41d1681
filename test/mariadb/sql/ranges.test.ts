/** What depends on how the server goes through rows that it gets by ranges, beside InnoDB. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';

let server: MariadbServer;
beforeAll(async () => {
  server = await MariadbServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

/** What the statement gives on VAMOS and on InnoDB, and what is left of the table then. */
async function onBoth(statement: string): Promise<{ vamos: unknown; innodb: unknown }> {
  const run = async (engine: string) => {
    await using session = await Session.open(server);
    await session.sql(
      `CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, a INT NOT NULL, s VARCHAR(10), KEY (a)) ENGINE=${engine}`,
      "INSERT INTO t SELECT seq, seq % 10, 'x' FROM seq_1_to_100",
      `CREATE OR REPLACE TABLE l (n INT PRIMARY KEY, c INT) ENGINE=${engine}`,
      'INSERT INTO l SELECT seq, seq * 10 FROM seq_1_to_10',
    );
    const result = await session.sql(...statement.split(';'));
    const affected = (result as { affectedRows?: number }).affectedRows ?? result;
    return [affected, await session.sql('SELECT * FROM t ORDER BY id')];
  };
  return { vamos: await run('VAMOS'), innodb: await run('InnoDB') };
}

test.each([
  'DELETE t FROM t LEFT JOIN l ON l.n = t.a WHERE t.id > 90',
  'DELETE t FROM l JOIN t WHERE l.n = 5 AND t.id > 60',
  'DELETE t FROM t JOIN l ON t.a = l.n WHERE l.n = 5 AND t.id > 60',
  'DELETE t FROM t JOIN l ON t.a = l.n WHERE t.id IN (3, 5, 15, 25, 77)',
  'UPDATE t LEFT JOIN l ON l.n = t.a SET t.s = l.c WHERE t.id BETWEEN 20 AND 60',
])('%s', async (statement) => {
  const { vamos, innodb } = await onBoth(statement);
  expect(vamos).toEqual(innodb);
});

test.each([
  'SELECT id FROM t LIMIT 2 PROCEDURE ANALYSE()',
  'SELECT * FROM t ORDER BY id LIMIT 3, 4',
  'SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 3; SELECT FOUND_ROWS()',
  'SELECT id FROM t LIMIT 3; SELECT FOUND_ROWS()',
  'SELECT id FROM t LIMIT 7; SELECT COUNT(*) FROM t; SELECT FOUND_ROWS()',
  'SELECT id FROM t LIMIT 7; SELECT SQL_CALC_FOUND_ROWS SUM(a) FROM t WHERE id > 5 LIMIT 1; SELECT FOUND_ROWS()',
])('%s', async (statement) => {
  const { vamos, innodb } = await onBoth(statement);
  expect(JSON.stringify(vamos)).toEqual(JSON.stringify(innodb).replaceAll('InnoDB', 'VAMOS'));
});
