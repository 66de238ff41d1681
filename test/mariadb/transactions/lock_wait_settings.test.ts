/** Which setting says how long a statement waits for a row lock. */
import { expect, test } from 'vitest';
import { Session, untilLocked } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();
const WANT = 'UPDATE t SET v = 2 WHERE id = 1';

test.each([
  ['innodb_lock_wait_timeout where vamos_lock_wait_timeout is not set', 'innodb_lock_wait_timeout = 1'],
  ['vamos_lock_wait_timeout where it is set', 'vamos_lock_wait_timeout = 1'],
])('%s', async (_, setting) => {
  await using holder = await Session.open(server());
  await using patient = await Session.open(server(), 'innodb_lock_wait_timeout = 100');
  await using impatient = await Session.open(server(), 'innodb_lock_wait_timeout = 100', setting);
  await holder.sql(
    'CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v INT) ENGINE=VAMOS',
    'INSERT INTO t VALUES (1, 1)',
    'BEGIN',
    'SELECT * FROM t FOR UPDATE',
  );
  const waiting = patient.sql(WANT).then(() => 'has waited');
  await untilLocked(server());
  // It came later and gives up, while the other one, which may wait for longer than any default, goes on.
  expect(await Promise.race([waiting, impatient.code(WANT)])).toBe('ER_LOCK_WAIT_TIMEOUT');
  await holder.sql('COMMIT');
  expect(await waiting).toBe('has waited');
});
