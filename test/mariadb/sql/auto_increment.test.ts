/** AUTO_INCREMENT where its column ends, beside InnoDB. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';

let server: MariadbServer;
beforeAll(async () => {
  server = await MariadbServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

/** The values of four inserts, or their errors, and what is in the table then. */
async function fourInserts(engine: string, definition: string, first: string): Promise<unknown[]> {
  await using session = await Session.open(server);
  await session.sql(`CREATE OR REPLACE TABLE t (${definition}) ENGINE=${engine}`, first);
  const outcomes: unknown[] = [];
  for (let insert = 0; insert < 4; insert++) {
    outcomes.push(
      await session.sql('INSERT INTO t VALUES (NULL)').then(
        () => session.sql('SELECT LAST_INSERT_ID()'),
        (error: { code: string }) => error.code,
      ),
    );
  }
  return [...outcomes, await session.sql('SELECT CAST(id AS CHAR) FROM t ORDER BY id')];
}

describe.each([
  ['TINYINT', '125'],
  ['SMALLINT UNSIGNED', '65533'],
  ['INT', '2147483645'],
  ['BIGINT', '9007199254740991'],
  ['BIGINT', '9223372036854775805'],
  ['BIGINT UNSIGNED', '9223372036854775806'],
  ['BIGINT UNSIGNED', '18446744073709551613'],
])('%s after %s', (type, value) => {
  const column = `id ${type} AUTO_INCREMENT PRIMARY KEY`;

  test('goes on behind a row that has it', async () => {
    const first = `INSERT INTO t VALUES (${value})`;
    expect(await fourInserts('VAMOS', column, first)).toEqual(await fourInserts('InnoDB', column, first));
  });

  test('goes on where ALTER TABLE says', async () => {
    const first = `ALTER TABLE t AUTO_INCREMENT = ${value}`;
    expect(await fourInserts('VAMOS', column, first)).toEqual(await fourInserts('InnoDB', column, first));
  });
});
