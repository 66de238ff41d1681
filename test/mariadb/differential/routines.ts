/**
 * Statements in which the server looks at single rows before the statement ends: triggers and functions with handlers, and
 * values whose evaluation leaves traces. What they leave is compared, too.
 */
import fc from 'fast-check';
import { number16, pick, type Column, type Table } from './schema.js';
import type { Sql } from './sql.js';

export const triggerSpec = fc.record({ table: number16, form: number16, handler: number16, body: number16 });
type TriggerSpec = typeof triggerSpec extends fc.Arbitrary<infer Spec> ? Spec : never;

/** What these need beside the tables. Counters of a session begin anew with each sequence. */
export const PRELUDE: readonly string[] = [
  'CREATE TABLE journal (id INT PRIMARY KEY, v INT, UNIQUE (v))',
  'CREATE SEQUENCE numbers ENGINE=InnoDB',
  `CREATE FUNCTION tell(n INT) RETURNS INT BEGIN
     DECLARE CONTINUE HANDLER FOR 1062 RETURN -n;
     INSERT INTO journal VALUES (n, n);
     RETURN n;
   END`,
  'SET @rows = 0, @handled = 0, @behind = 0',
];

/** What is left of them. */
export const TRACES: readonly Sql[] = [
  { text: 'SELECT CAST(@rows AS INT), CAST(@handled AS INT), CAST(@behind AS INT)' },
  { text: 'SELECT IS_FREE_LOCK(CONCAT(DATABASE(), 1)), IS_FREE_LOCK(CONCAT(DATABASE(), 2))' },
  { text: 'SELECT NEXTVAL(numbers)' },
  { text: 'SELECT * FROM journal ORDER BY id', ordered: true },
];

/** A value for an integer column whose evaluation can be noticed. */
export function tracingValue(choice: number): string {
  const small = choice % 20;
  return pick(
    [
      '(@rows := @rows + 1)',
      `(@rows := @rows + 1) % 5`,
      `tell(${small})`,
      'NEXTVAL(numbers)',
      `GET_LOCK(CONCAT(DATABASE(), ${(choice % 2) + 1}), 0)`,
      `IF(${small} > 10, (@rows := @rows + ${small}), ${small})`,
    ],
    choice >> 5,
  );
}

/** Columns that such a value fits. */
export const traceable = ({ columns }: Table): Column[] =>
  columns.filter((each) => each.type.family === 'integer' && !each.isAuto && each.generated === undefined);

/**
 * Its statements are the same for each row, where the order of rows is the optimizer's choice: how often the handler ran is
 * compared, not for which rows.
 */
export function trigger({ table, form, handler, body }: TriggerSpec, tables: readonly Table[]): Sql {
  const of = pick(tables, table);
  const time = pick(['BEFORE', 'AFTER'], form);
  const event = pick(['INSERT', 'INSERT', 'UPDATE', 'DELETE'], form >> 1);
  const isOrdered = event === 'INSERT';
  const [column] = traceable(of);
  const id = body % 6;
  const changes = time === 'BEFORE' && event !== 'DELETE' && column && handler % 5 === 0;
  const noted = changes
    ? `SET NEW.${column.name} = ${id}, @handled = @handled + 1`
    : 'SET @handled = @handled + 1';
  const statements = [
    isOrdered
      ? `INSERT INTO journal VALUES (@behind % 7, @rows % 5 + ${id})`
      : `INSERT INTO journal VALUES (${id}, ${id})`,
    `INSERT INTO journal VALUES (${id + 20}, ${id + 20}), (${id}, ${id}), (${id + 30}, ${id + 30})`,
    `INSERT INTO journal SELECT seq, seq FROM seq_${id}_to_${id + 2}`,
    `UPDATE journal SET v = ${id} WHERE id = ${(body >> 4) % 6}`,
    `REPLACE INTO journal VALUES (${id}, ${id + 1})`,
    `DELETE FROM journal WHERE id = ${id}`,
  ];
  return {
    text: `CREATE OR REPLACE TRIGGER r${form % 3} ${time} ${event} ON ${of.name} FOR EACH ROW BEGIN
  DECLARE ${pick(['CONTINUE', 'EXIT'], handler)} HANDLER FOR ${pick(['1062', 'SQLEXCEPTION', "SQLSTATE '23000'"], handler >> 1)} ${noted};
  ${pick(statements, body >> 8)};
  SET @behind = @behind + 1;
END`,
    anyCount: true,
  };
}
