/** What BACKUP STAGE lets writers do, stage by stage: on VAMOS as on InnoDB. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Session, untilInState, untilRunning } from '../../lab/mariadb/session.js';
import { useServer } from './suite.js';

const server = useServer();
/** Autocommit statements: row by row, and made by the host where that can be. */
const CHANGES = [
  'INSERT INTO t VALUES (10, 0)',
  'UPDATE t SET v = v + 1 WHERE id = 1',
  'UPDATE t SET v = v + 1 WHERE v < 100',
  'DELETE FROM t WHERE id = 10',
];

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let backup: Session;
  let writers: Session[];

  beforeEach(async () => {
    backup = await Session.open(server());
    // A writer that waits where it should not ends with an error.
    const open = () => Session.open(server(), 'lock_wait_timeout = 30');
    writers = await Promise.all([open(), open(), open(), open(), open()]);
    await backup.sql(
      'DROP TABLE IF EXISTS t',
      `CREATE TABLE t (id INT PRIMARY KEY, v INT) ENGINE=${engine}`,
      'INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)',
    );
    return async () => {
      await backup.sql('BACKUP STAGE END').catch(() => undefined);
      for (const session of [backup, ...writers]) await session[Symbol.asyncDispose]();
    };
  });

  test('writers go on until commits are blocked', async () => {
    const [writer] = writers as [Session];
    for (const stage of ['START', 'FLUSH', 'BLOCK_DDL']) {
      await backup.sql(`BACKUP STAGE ${stage}`);
      await writer.sql(...CHANGES, 'BEGIN', ...CHANGES, 'COMMIT');
    }
    expect(await writer.sql('SELECT v FROM t ORDER BY id')).toEqual([[12], [6], [6]]);
  });

  test('nothing is committed while commits are blocked, and all of it afterwards', async () => {
    const open = writers.pop()!;
    await open.sql('BEGIN', 'INSERT INTO t VALUES (20, 0)');
    await backup.sql('BACKUP STAGE START', 'BACKUP STAGE BLOCK_COMMIT');
    const changes = [
      'INSERT INTO t VALUES (11, 0)',
      ...['1', '2', '3'].map((id) => CHANGES[1]!.replace('= 1', `= ${id}`)),
    ];
    const waiting = [open.sql('COMMIT'), ...changes.map((change, at) => writers[at]!.sql(change))];
    for (const session of [open, ...writers])
      await untilInState(server(), session.id, 'Waiting for backup lock');
    expect(await server().query('SELECT * FROM t WHERE v <> 0 OR id > 3')).toEqual([]);
    await backup.sql('BACKUP STAGE END');
    await Promise.all(waiting);
    expect(await backup.sql('SELECT id, v FROM t ORDER BY id')).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [11, 0],
      [20, 0],
    ]);
  });

  test('a change that began before the backup is not committed while commits are blocked', async () => {
    const [holder, writer] = writers as [Session, Session];
    await holder.sql('BEGIN', 'UPDATE t SET v = 5 WHERE id = 1');
    const change = writer.sql('UPDATE t SET v = v + 1 WHERE id = 1');
    await untilRunning(server(), writer.id);
    // On VAMOS the statement may end with its request, and START waits for that.
    const start = backup.sql('BACKUP STAGE START');
    await holder.sql('COMMIT');
    await start;
    await backup.sql('BACKUP STAGE BLOCK_COMMIT');
    const before = await server().query('SELECT v FROM t WHERE id = 1');
    await backup.sql('BACKUP STAGE END');
    await change;
    expect([[{ v: 5 }], [{ v: 6 }]]).toContainEqual(before);
    expect(await backup.sql('SELECT v FROM t WHERE id = 1')).toEqual([[6]]);
  });
});
