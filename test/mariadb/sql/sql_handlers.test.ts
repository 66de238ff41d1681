/** Handlers of triggers, functions, procedures and events see the error of each of their statements: as on InnoDB. */
import type mysql from 'mysql2/promise';
import { beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../lab/daemon/daemon.js';
import { Session } from '../../../lab/mariadb/session.js';
import { useServer } from '../suite.js';

const server = useServer();

describe.each(['VAMOS', 'InnoDB'])('%s', (engine) => {
  let one: Session;
  let two: Session;

  beforeEach(async () => {
    [one, two] = await Promise.all([Session.open(server()), Session.open(server())]);
    await one.sql(
      `CREATE OR REPLACE DATABASE handlers`,
      'USE handlers',
      `SET SESSION default_storage_engine = ${engine}`,
      'CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY (v))',
      'CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, what VARCHAR(80))',
      "INSERT INTO log (u, what) VALUES (1, 'first'), (2, 'second')",
    );
    await two.sql('USE handlers');
    return async () => {
      await one[Symbol.asyncDispose]();
      await two[Symbol.asyncDispose]();
    };
  });

  const told = () => one.sql('SELECT u, what FROM log ORDER BY u, what');

  test.each(['BEFORE', 'AFTER'])(
    'CONTINUE goes on behind a duplicate in a %s INSERT trigger',
    async (when) => {
      await one.sql(
        `CREATE TRIGGER r ${when} INSERT ON t FOR EACH ROW BEGIN
         DECLARE CONTINUE HANDLER FOR 1062 SET @seen = CONCAT(@seen, NEW.id, ' ');
         INSERT INTO log (u, what) VALUES (NEW.v, 'trigger');
         SET @behind = @behind + 1;
       END`,
        "SET @seen = '', @behind = 0",
        'INSERT INTO t VALUES (10, 1), (11, 3), (12, 2), (13, 3)',
      );
      expect(await one.sql('SELECT @seen, @behind')).toEqual([['10 12 13 ', 4]]);
      expect(await one.sql('SELECT id FROM t')).toHaveLength(4);
      expect(await told()).toEqual([
        [1, 'first'],
        [2, 'second'],
        [3, 'trigger'],
      ]);
    },
  );

  test.each(['INSERT INTO t VALUES (10, 1)', 'INSERT INTO t SELECT 10, 1'])(
    'EXIT leaves the trigger and keeps the row, also in a transaction: %s',
    async (insert) => {
      await one.sql(
        `CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW BEGIN
           DECLARE EXIT HANDLER FOR SQLSTATE '23000' SET @exit = 1;
           INSERT INTO log (u, what) VALUES (5, 'before'), (NEW.v, 'trigger'), (6, 'after');
           SET @behind = 1;
         END`,
        'SET @exit = 0, @behind = 0',
        'BEGIN',
        insert,
      );
      expect(await one.sql('SELECT @exit, @behind')).toEqual([[1, 0]]);
      await one.sql('COMMIT');
      expect(await two.sql('SELECT id FROM t')).toEqual([[10]]);
      expect(await told()).toEqual([
        [1, 'first'],
        [2, 'second'],
        // Rows that the trigger's statement wrote before the refused one stay.
        [5, 'before'],
      ]);
    },
  );

  test('handlers of UPDATE and DELETE triggers, single-table and joined, and of triggers of triggers', async () => {
    await one.sql(
      'CREATE TABLE deep (id INT PRIMARY KEY)',
      'INSERT INTO deep VALUES (7)',
      'INSERT INTO t VALUES (1, 1), (2, 2)',
      `CREATE TRIGGER u BEFORE UPDATE ON t FOR EACH ROW BEGIN
         DECLARE CONTINUE HANDLER FOR 1062 SET NEW.v = -1;
         INSERT INTO log (u, what) VALUES (NEW.v, 'update');
       END`,
      `CREATE TRIGGER d AFTER DELETE ON t FOR EACH ROW BEGIN
         DECLARE CONTINUE HANDLER FOR 1062 SET @seen = CONCAT(@seen, 'd', OLD.id);
         INSERT INTO log (u, what) VALUES (OLD.id, 'delete');
       END`,
      `CREATE TRIGGER l AFTER INSERT ON log FOR EACH ROW BEGIN
         DECLARE CONTINUE HANDLER FOR 1062 SET @seen = CONCAT(@seen, 'l', NEW.u);
         INSERT INTO deep VALUES (NEW.u);
       END`,
      "SET @seen = ''",
      'UPDATE t SET v = id + 6 WHERE id = 1',
      'UPDATE t JOIN (SELECT 2 AS id) d USING (id) SET v = 1',
    );
    expect(await one.sql('SELECT @seen')).toEqual([['l7']]);
    expect(await one.sql('SELECT * FROM t ORDER BY id')).toEqual([
      [1, 7],
      [2, -1],
    ]);
    await one.sql('DELETE FROM t WHERE id = 2', 'DELETE t FROM t JOIN (SELECT 1 AS id) d USING (id)');
    expect(await one.sql('SELECT @seen')).toEqual([['l7d2d1']]);
  });

  test('a function says what became of its INSERT, wherever it is called', async () => {
    await one.sql(
      `CREATE FUNCTION tell(n INT) RETURNS INT BEGIN
         DECLARE CONTINUE HANDLER FOR 1062 RETURN -n;
         INSERT INTO log (u, what) VALUES (n, 'function');
         RETURN ROW_COUNT();
       END`,
    );
    expect(await one.sql('SELECT tell(1), tell(3), tell(3)')).toEqual([[-1, 1, -3]]);
    await one.sql('INSERT INTO t VALUES (1, tell(2)), (2, tell(4))');
    await one.sql('INSERT INTO t SELECT seq, tell(seq) FROM seq_4_to_5');
    await one.sql('UPDATE t SET v = tell(id + 4) WHERE id = 2');
    expect(await one.sql('SELECT * FROM t ORDER BY id')).toEqual([
      [1, -2],
      [2, 1],
      [4, -4],
      [5, 1],
    ]);
  });

  test('a lock that a trigger can not have ends the statement, not the transaction', async () => {
    await two.sql('BEGIN', 'SELECT * FROM log WHERE u BETWEEN 50 AND 60 FOR UPDATE');
    await one.sql(
      'SET SESSION vamos_lock_wait_timeout = 0, innodb_lock_wait_timeout = 0',
      `CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW BEGIN
         DECLARE CONTINUE HANDLER FOR 1205 SET @behind = 1;
         UPDATE log SET u = 55 WHERE u = 1;
         SET @behind = 2;
       END`,
      'SET @behind = 0',
      'BEGIN',
      'UPDATE log SET what = NULL WHERE u = 2',
    );
    expect(await one.code('INSERT INTO t VALUES (10, 1)')).toBe('ER_LOCK_WAIT_TIMEOUT');
    expect(await one.sql('SELECT @behind')).toEqual([[0]]);
    await one.sql('COMMIT');
    await two.sql('COMMIT');
    expect(await two.sql('SELECT COUNT(*) FROM t')).toEqual([[0]]);
    expect(await told()).toEqual([
      [1, 'first'],
      [2, null],
    ]);
  });

  test.each([0, 1])(
    'a procedure handles the errors of its statements, autocommit = %d',
    async (autocommit) => {
      await one.sql(
        `SET autocommit = ${autocommit}`,
        `CREATE PROCEDURE p() BEGIN
         DECLARE number, line INT;
         DECLARE message TEXT;
         DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN
           GET DIAGNOSTICS CONDITION 1 number = MYSQL_ERRNO, message = MESSAGE_TEXT, line = ROW_NUMBER;
           INSERT INTO log (what) VALUES (CONCAT(number, ' ', line, ' ', message));
         END;
         INSERT INTO log (u) VALUES (1);
         INSERT INTO log (u) VALUES (7), (8), (2), (9);
         INSERT INTO log (u) SELECT seq FROM seq_1_to_3 ORDER BY seq DESC;
         UPDATE log SET u = 2 WHERE u = 1;
         INSERT INTO log (u, what) VALUES (10, 'end');
       END`,
        'CALL p()',
      );
      expect(await told()).toEqual([
        [null, "1062 1 Duplicate entry '1' for key 'u'"],
        [null, "1062 1 Duplicate entry '2' for key 'u'"],
        [null, "1062 2 Duplicate entry '2' for key 'u'"],
        [null, "1062 3 Duplicate entry '2' for key 'u'"],
        [1, 'first'],
        [2, 'second'],
        [10, 'end'],
      ]);
      await one.sql('COMMIT');
    },
  );

  test('SIGNAL and RESIGNAL of a trigger take back what the statement did', async () => {
    await one.sql(
      `CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW BEGIN
         DECLARE EXIT HANDLER FOR 1062 BEGIN
           IF NEW.id = 11 THEN RESIGNAL SET MESSAGE_TEXT = 'twice';
           ELSE SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF;
         END;
         INSERT INTO log (u, what) VALUES (NEW.v, 'trigger');
       END`,
    );
    expect((await one.refusal('INSERT INTO t VALUES (9, 3), (10, 1), (11, 1)')).message).toBe('refused');
    expect((await one.refusal('INSERT INTO t VALUES (9, 3), (11, 1)')).message).toBe('twice');
    expect(await one.sql('SELECT COUNT(*) FROM t')).toEqual([[0]]);
    expect(await told()).toHaveLength(2);
  });

  test('LOAD DATA runs the handlers of its triggers', async () => {
    await one.sql(
      `CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW BEGIN
         DECLARE CONTINUE HANDLER FOR 1062 SET NEW.v = -1;
         INSERT INTO log (u, what) VALUES (NEW.v, 'load');
       END`,
    );
    const file = server().folder.file(`load-${engine}`);
    await one.sql(`SELECT seq, seq FROM seq_1_to_4 INTO OUTFILE '${file}'`);
    await one.sql(`LOAD DATA INFILE '${file}' INTO TABLE t`);
    expect(await one.sql('SELECT v FROM t ORDER BY id')).toEqual([[-1], [-1], [3], [4]]);
  });

  test('an event handles the errors of its statements', async () => {
    await one.sql(
      'SET GLOBAL event_scheduler = ON',
      `CREATE EVENT e ON SCHEDULE AT CURRENT_TIMESTAMP DO BEGIN
         DECLARE CONTINUE HANDLER FOR 1062 INSERT INTO log (u, what) VALUES (3, 'handled');
         INSERT INTO log (u) VALUES (1);
         INSERT INTO log (u, what) VALUES (4, 'end');
       END`,
    );
    await until(async () => ((await told()) as unknown[]).length === 4);
    expect(await told()).toContainEqual([3, 'handled']);
    await server().query<mysql.ResultSetHeader>('SET GLOBAL event_scheduler = OFF');
  });
});
