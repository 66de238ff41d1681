/** SEQUENCE objects whose state a table of the engine holds: the same on VAMOS and on InnoDB. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let one: Session;
  let two: Session;

  beforeEach(async () => {
    const open = () => Session.open(server(), `default_storage_engine = ${engine}`);
    [one, two] = await Promise.all([open(), open()]);
    await one.sql('DROP TABLE IF EXISTS t', 'DROP SEQUENCE IF EXISTS s, s2');
  });
  afterEach(async () => {
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });

  const next = async (session: Session, sequence = 's') =>
    Number(((await session.sql(`SELECT NEXTVAL(${sequence})`)) as [[unknown]])[0][0]);

  test('a sequence is made without naming an engine, and each connection gets values of its own', async () => {
    await one.sql('CREATE SEQUENCE s START WITH 10 INCREMENT BY 5 CACHE 2');
    expect((await one.sql('SHOW CREATE TABLE s')) as string[][]).toEqual([
      ['s', expect.stringContaining(`ENGINE=${engine}`)],
    ]);
    const values = [];
    for (const session of [one, two, one, two, one]) values.push(await next(session));
    expect(values).toEqual([10, 15, 20, 25, 30]);
    expect(await one.sql('SELECT PREVIOUS VALUE FOR s')).toEqual([[30]]);
    expect(await one.sql('SELECT next_not_cached_value, cache_size FROM s')).toEqual([[40, 2]]);
  });

  test('values are not taken back by a rollback, and one transaction waits for no other', async () => {
    await one.sql('CREATE SEQUENCE s NOCACHE', `CREATE TABLE t (id INT PRIMARY KEY)`);
    await one.sql('BEGIN', 'SELECT * FROM t', 'INSERT INTO t VALUES (NEXTVAL(s))');
    await two.sql('BEGIN', 'INSERT INTO t VALUES (NEXTVAL(s))');
    await one.sql('INSERT INTO t VALUES (NEXTVAL(s))', 'ROLLBACK');
    await two.sql('COMMIT');
    expect(await one.sql('SELECT id FROM t')).toEqual([[2]]);
    expect(await next(one)).toBe(4);
  });

  test('ALTER, SETVAL, RENAME, DROP, cycles and defaults of columns work', async () => {
    await one.sql('CREATE SEQUENCE s MAXVALUE 3 CYCLE');
    const values = [];
    for (let n = 0; n < 5; n++) values.push(await next(one));
    expect(values).toEqual([1, 2, 3, 1, 2]);
    await one.sql('ALTER SEQUENCE s MAXVALUE 1000 RESTART 50 NOCACHE', 'DO SETVAL(s, 60)');
    expect(await next(two)).toBe(61);
    await one.sql('RENAME TABLE s TO s2');
    expect(await next(two, 's2')).toBe(62);
    await one.sql('CREATE TABLE t (id INT DEFAULT NEXTVAL(s2) PRIMARY KEY, v INT)');
    await one.sql('INSERT INTO t (v) VALUES (1), (2)');
    expect(await one.sql('SELECT id FROM t')).toEqual([[63], [64]]);
    await one.sql('DROP TABLE t', 'DROP SEQUENCE s2');
    const UNKNOWN_SEQUENCES = 4091;
    expect((await one.refusal('SELECT NEXTVAL(s2)')).errno).toBe(UNKNOWN_SEQUENCES);
  });

  test('a sequence goes on from where it was after the tables were closed', async () => {
    await one.sql('CREATE SEQUENCE s NOCACHE', 'CREATE TEMPORARY SEQUENCE s2');
    expect([await next(one), await next(one, 's2')]).toEqual([1, 1]);
    await one.sql('FLUSH TABLES');
    expect([await next(one), await next(one, 's2')]).toEqual([2, 2]);
  });
});
