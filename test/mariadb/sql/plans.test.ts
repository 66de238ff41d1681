import { afterAll, beforeAll, expect, test } from 'vitest';
import { LOAD, QUERIES, tables, VIEWS } from './rental.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';

// Plans are compared by the rows that they read, with those of InnoDB after ANALYZE TABLE. Nothing is pushed to the host, so
// that both engines count the same.

/** Guesses of both engines differ a little. */
const MORE_ROWS = 1.25;
const FEW_ROWS = 200;

let server: MariadbServer;
/** Rows that InnoDB read, and its answers. */
const expected = new Map<string, { read: number; answer: unknown }>();

beforeAll(async () => {
  server = await MariadbServer.start({ args: ['--innodb-buffer-pool-size=64M', '--vamos-pushdown=OFF'] });
  await server.query('CREATE DATABASE innodb');
  await using session = await Session.open(server);
  await session.sql('USE innodb', ...tables('InnoDB'), ...LOAD, ...VIEWS);
  await session.sql('ANALYZE TABLE category, actor, film, film_actor, film_category, customer, item, rental');
  for (const [name, query] of Object.entries(QUERIES)) expected.set(name, await run(session, query));
});
afterAll(() => server[Symbol.asyncDispose]());

async function rowsRead(session: Session): Promise<number> {
  const counters = (await session.sql("SHOW SESSION STATUS LIKE 'Handler_read%'")) as [string, string][];
  return counters.reduce((sum, [, value]) => sum + Number(value), 0);
}

async function run(session: Session, query: string): Promise<{ read: number; answer: unknown }> {
  const before = await rowsRead(session);
  const answer = await session.sql(query);
  return { read: (await rowsRead(session)) - before, answer };
}

/** What reads more rows than on InnoDB, of all queries; and that the answers agree. */
async function worse(session: Session): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [name, query] of Object.entries(QUERIES)) {
    const { read, answer } = await run(session, query);
    const innodb = expected.get(name)!;
    expect(sorted(answer), name).toEqual(sorted(innodb.answer));
    if (read > innodb.read * MORE_ROWS + FEW_ROWS) found[name] = `${read} rows, InnoDB ${innodb.read}`;
  }
  return found;
}

function sorted(rows: unknown): string[] {
  return (rows as unknown[][]).map((row) => JSON.stringify(row)).sort();
}

const ANALYZE = 'ANALYZE TABLE category, actor, film, film_actor, film_category, customer, item, rental';

test('plans read no more rows than on InnoDB right after a load, in the same connection', async () => {
  await using session = await Session.open(server);
  await session.sql(...tables('VAMOS'), ...LOAD, ...VIEWS);
  expect(await worse(session)).toEqual({});
});

test('and after ANALYZE TABLE', async () => {
  await using session = await Session.open(server);
  await session.sql(ANALYZE);
  expect(await worse(session)).toEqual({});
});

test('and after FLUSH TABLES', async () => {
  await using session = await Session.open(server);
  await session.sql('FLUSH TABLES');
  expect(await worse(session)).toEqual({});
});

test('and after a restart of server and host', async () => {
  await server.stop();
  await server.host!.stop();
  await server.host!.start();
  await server.start();
  await using session = await Session.open(server);
  expect(await worse(session)).toEqual({});
});
