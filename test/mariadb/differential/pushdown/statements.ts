/** Random statements whose work may be pushed to the data, on tables of the same kind. */
import fc from 'fast-check';
import { number16, pick } from '../schema.js';
import type { Sql } from '../sql.js';
import { aggregateList, type Aggregates } from './aggregates.js';
import {
  arithmetic,
  condition,
  quietPart,
  write,
  type Column,
  type Condition,
  type Scope,
} from './conditions.js';
import { given, tableSpec, type Table } from './schema.js';

export interface World {
  tables: Table[];
  nextId: number;
  /** A transaction is open, and may hold locks. */
  isOpen: boolean;
  mayHoldLocks: boolean;
  commitsItself: boolean;
}

const where = fc.option(condition, { freq: 7 });
const choices = fc.array(number16, { minLength: 1, maxLength: 8 });
const kinds = {
  insert: fc.record({
    table: number16,
    rows: fc.array(choices, { minLength: 1, maxLength: 12 }),
    bad: number16,
  }),
  select: fc.record({ table: number16, where, form: number16, hint: number16, columns: number16 }),
  aggregate: fc.record({
    table: number16,
    where,
    form: number16,
    hint: number16,
    functions: fc.array(fc.record({ form: number16, column: number16, argument: number16 }), {
      minLength: 1,
      maxLength: 4,
    }),
  }),
  update: fc.record({
    table: number16,
    where,
    form: number16,
    sets: fc.array(fc.record({ column: number16, form: number16, value: number16 }), {
      minLength: 1,
      maxLength: 3,
    }),
  }),
  remove: fc.record({ table: number16, where, form: number16 }),
  join: fc.record({ left: number16, right: number16, where, on: where, form: number16, pair: number16 }),
  prepared: fc.record({ table: number16, where: condition, form: number16, shifts: choices }),
  insertSelect: fc.record({ table: number16, where, form: number16 }),
  transaction: fc.record({ form: number16 }),
  setting: fc.record({ form: number16 }),
  elsewhere: fc.record({ table: number16, form: number16, values: choices }),
};
type Kinds = {
  [Kind in keyof typeof kinds]: (typeof kinds)[Kind] extends fc.Arbitrary<infer Spec> ? Spec : never;
};
type Step = { [Kind in keyof Kinds]: { kind: Kind; spec: Kinds[Kind] } }[keyof Kinds];
const WEIGHTS: Record<keyof Kinds, number> = {
  insert: 3,
  select: 10,
  aggregate: 8,
  update: 6,
  remove: 3,
  join: 3,
  prepared: 3,
  insertSelect: 1,
  transaction: 4,
  setting: 2,
  elsewhere: 1,
};

export const sequence = fc.record({
  tables: fc.array(tableSpec, { minLength: 1, maxLength: 2 }),
  rows: fc.array(fc.record({ rows: fc.array(choices, { minLength: 1, maxLength: 25, size: 'max' }) }), {
    minLength: 2,
    maxLength: 2,
  }),
  steps: fc.array(
    fc.oneof(
      ...(Object.keys(kinds) as (keyof Kinds)[]).map((kind) => ({
        weight: WEIGHTS[kind],
        arbitrary: (kinds[kind] as fc.Arbitrary<unknown>).map((spec) => ({ kind, spec }) as Step),
      })),
    ),
    { minLength: 1, maxLength: 40, size: 'max' },
  ),
});
export type Sequence = typeof sequence extends fc.Arbitrary<infer Spec> ? Spec : never;

/** What every connection of a sequence begins with. */
export const PREAMBLE =
  "SET timestamp = 1700000000.25, @i = 3, @d = 1.5, @f = 2.5e0, @s = 'a', @n = NULL, @changes = 0";

export function statementsOf(step: Step, world: World): Sql[] {
  const sql = make(step, world);
  return Array.isArray(sql) ? sql : [sql];
}

function make(step: Step, world: World): Sql | Sql[] {
  switch (step.kind) {
    case 'insert':
      return change(world, insert(pick(world.tables, step.spec.table), step.spec, world));
    case 'select':
      return select(step.spec, world);
    case 'aggregate':
      return aggregate(step.spec, world);
    case 'update':
      return change(world, update(step.spec, world));
    case 'remove':
      return change(world, remove(step.spec, world));
    case 'join':
      return join(step.spec, world);
    case 'prepared':
      return prepared(step.spec, world);
    case 'insertSelect':
      return change(world, insertSelect(step.spec, world));
    case 'transaction':
      return transaction(step.spec.form, world);
    case 'setting':
      return setting(step.spec.form, world);
    case 'elsewhere':
      return elsewhere(step.spec, world);
  }
}

const TRANSACTION = [
  'BEGIN',
  'START TRANSACTION WITH CONSISTENT SNAPSHOT',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT a',
  'ROLLBACK TO a',
];
const SETTINGS = [
  "SET sql_mode = ''",
  "SET sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO'",
  "SET sql_mode = 'STRICT_ALL_TABLES,PAD_CHAR_TO_FULL_LENGTH'",
  "SET sql_mode = 'SIMULTANEOUS_ASSIGNMENT'",
  // Not NO_ZERO_IN_DATE: under it the server makes 0000-00-00 of a stored 2024-00-00 in its temporary tables, of any engine, and
  // it is for each engine's costs whether an ORDER BY takes one.
  "SET sql_mode = 'NO_ZERO_DATE,STRICT_TRANS_TABLES'",
  "SET sql_mode = 'TIME_ROUND_FRACTIONAL'",
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
  'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
  'SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE',
  'SET autocommit = 0',
  'SET autocommit = 1',
  "SET time_zone = '+05:30'",
  "SET time_zone = '+00:00'",
  "SET time_zone = 'SYSTEM'",
  "SET optimizer_switch = 'mrr=on,mrr_cost_based=off', join_cache_level = 8",
  "SET optimizer_switch = 'mrr=off', join_cache_level = 2",
  "SET optimizer_switch = 'index_condition_pushdown=off'",
  "SET optimizer_switch = 'semijoin=off,materialization=off'",
  "SET optimizer_switch = 'derived_merge=off'",
  'SET div_precision_increment = 0',
  'SET div_precision_increment = 10',
];

function transaction(form: number, world: World): Sql {
  const text = pick(TRANSACTION, form);
  const effect = (): void => {
    if (text.startsWith('ROLLBACK TO') || text.startsWith('SAVEPOINT')) return;
    world.mayHoldLocks = false;
    world.isOpen = text === 'BEGIN' || text.startsWith('START');
  };
  return { text, effect };
}

function setting(form: number, world: World): Sql {
  const text = pick(SETTINGS, form);
  const effect = (): void => {
    if (!text.startsWith('SET autocommit')) return;
    const commitsItself = text.endsWith('1');
    // Where it does so already, this ends no transaction.
    if (commitsItself && !world.commitsItself) world.isOpen = world.mayHoldLocks = false;
    world.commitsItself = commitsItself;
  };
  return { text, effect };
}

function change(world: World, sql: Sql): Sql {
  // A statement that failed holds its locks, too.
  world.mayHoldLocks ||= world.isOpen || !world.commitsItself;
  return sql;
}

/** The whole of its own, or of its view. */
const scopeOf = (table: Table, prefix = ''): Scope => ({
  columns: table.columns.map(({ name, type }) => ({ name: `${prefix}${name}`, type })),
  constant: (sql) => sql,
});

/**
 * ` WHERE …`, and how strictly the outcome is compared.
 * @param hasMore a view adds a condition of its own: which rows this one meets depends on which of the two is evaluated first
 */
function filter(
  condition: Condition | null,
  scope: Scope,
  hasMore = false,
): { text: string; strictness: { anyWarnings?: boolean; anyError?: boolean } } {
  if (!condition) return { text: '', strictness: {} };
  const { text, isEvaluatedAtWill } = write(condition, scope);
  return {
    text: ` WHERE ${text}`,
    strictness: isEvaluatedAtWill || hasMore ? { anyWarnings: true, anyError: true } : {},
  };
}

/**
 * For statements that change rows, of the table or its view. A condition that warns may be an error there, for the first row
 * that it meets: which rows it meets is certain where no index is used.
 */
function quietFilter(
  name: string,
  condition: Condition | null,
  { scope, form }: { scope: Scope; form: number },
): { name: string; text: string } {
  if (condition && form % 5 === 0)
    return { name: `${name} USE INDEX ()`, text: ` WHERE ${write(condition, scope).text}` };
  const quiet = condition && quietPart(condition, scope);
  return { name, text: quiet ? ` WHERE ${write(quiet, scope).text}` : '' };
}

export function insert(
  table: Table,
  { rows, bad }: Pick<Kinds['insert'], 'rows' | 'bad'>,
  world: World,
): Sql {
  const columns = given(table);
  const lines = rows.map((choices, row) => {
    const values = columns.map((column, index) => {
      const choice = choices[index % choices.length]! + index * 5;
      const isBad =
        bad % 7 === 0 && (bad >> 3) % rows.length === row && (bad >> 7) % columns.length === index;
      return valueOf(table, column, choice, isBad);
    });
    return `(${[world.nextId++, ...values].join(', ')})`;
  });
  return {
    text: `INSERT ${bad % 3 === 0 ? 'IGNORE ' : ''}INTO ${table.name} (${['id', ...columns.map(({ name }) => name)].join(', ')}) VALUES ${lines.join(', ')}`,
  };
}

function valueOf(table: Table, { name, type }: Column, choice: number, isBad = false): string {
  if (isBad) return pick(type.bad, choice);
  if (choice % 6 === 0 && table.nullable.has(name)) return 'NULL';
  return pick(type.values, choice >> 1);
}

const LOCKS = ['', '', '', '', ' FOR UPDATE', ' LOCK IN SHARE MODE'];

function hintOf(table: Table, hint: number): string {
  if (hint % 3 === 0) return ' USE INDEX ()';
  if (hint % 3 === 1 && table.keys.length > 0) return ` FORCE INDEX (${pick(table.keys, hint >> 2)})`;
  return '';
}

/** Columns that a SELECT shows: all, some, or expressions of them. */
function shown(table: Table, choice: number): string {
  const names = table.columns.map(({ name }) => name);
  if (choice % 4 === 0) return '*';
  if (choice % 4 === 1)
    return names.filter((_, index) => index === 0 || (choice >> (index + 2)) & 1).join(', ');
  const column = pick(table.columns, choice >> 2);
  if (choice % 4 === 2) return column.name;
  return ['text', 'bytes'].includes(column.type.family)
    ? `id, LENGTH(${column.name})`
    : `id, HEX(${column.name})`;
}

function select({ table, where, form, hint, columns }: Kinds['select'], world: World): Sql {
  const of = pick(world.tables, table);
  const lock = pick(LOCKS, form >> 3);
  if (lock !== '') change(world, { text: '' });
  const isView = form % 13 === 0;
  const name = isView ? of.view : `${of.name}${hintOf(of, hint)}`;
  const { text, strictness } = filter(where, scopeOf(of), isView);
  const from = `FROM ${name}${text}`;
  const list = shown(of, columns);
  switch (form % 8) {
    case 0:
      return {
        text: `SELECT ${list} ${from} ORDER BY id${form % 16 ? ' DESC' : ''} LIMIT ${(form >> 5) % 6}${form % 3 ? '' : ' OFFSET 2'}${lock}`,
        ordered: true,
        ...strictness,
        // Rows behind the last one wanted may be read, or not.
        anyWarnings: true,
      };
    case 1: {
      const column = pick(of.columns, form >> 3);
      return {
        text: `SELECT ${list} ${from} ORDER BY HEX(${column.name}), id LIMIT ${(form >> 5) % 9}${lock}`,
        ordered: true,
        ...strictness,
      };
    }
    case 2:
      return { text: `SELECT DISTINCT ${pick(of.columns, columns).name} IS NULL ${from}`, ...strictness };
    case 3:
      return { text: `SELECT EXISTS (SELECT 1 ${from})`, ...strictness, anyWarnings: true };
    default:
      return { text: `SELECT ${list} ${from}${lock}`, ...strictness };
  }
}

function aggregate({ table, where, form, hint, functions }: Kinds['aggregate'], world: World): Sql {
  const of = pick(world.tables, table);
  const scope = scopeOf(of);
  const { text, strictness } = filter(where, scope);
  const { list, needsOneOrder }: Aggregates = aggregateList(functions, scope);
  const how = needsOneOrder ? ' USE INDEX ()' : hintOf(of, hint);
  const from = `FROM ${of.name}${how}${text}`;
  const group = pick(of.columns, form >> 4);
  switch (form % 12) {
    case 0:
      if (needsOneOrder) break;
      return {
        text: `SELECT HEX(${group.name}) AS h, ${list} ${from} GROUP BY HEX(${group.name})`,
        ...strictness,
      };
    case 1:
      if (needsOneOrder) break;
      return { text: `SELECT id % 3 AS h, ${list} ${from} GROUP BY h WITH ROLLUP`, ...strictness };
    case 2:
      return { text: `SELECT ${list} ${from} HAVING COUNT(*) > ${(form >> 4) % 4}`, ...strictness };
    case 3:
      return {
        text: `SELECT * FROM (SELECT ${list.replaceAll(/ AS \w+/g, '')} ${from}) AS d`,
        ...strictness,
        anyError: true,
      };
    case 4:
      return { text: `SELECT id, (SELECT COUNT(*) ${from}) FROM ${of.name} AS outside`, ...strictness };
    case 5:
      return {
        text: `SELECT 'x', ${list}, COUNT(*) * 2 + 1 ${from} LIMIT ${(form >> 4) % 2}`,
        ...strictness,
      };
    case 6:
      return {
        text: `SELECT ${list} ${from} UNION ALL SELECT ${list} FROM ${of.name}${how} WHERE id > 5`,
        ...strictness,
      };
    case 7:
      return {
        text: `SELECT COUNT(*) FROM ${of.name} AS o WHERE id <= (SELECT COUNT(*) FROM ${of.name} AS i WHERE i.id <= o.id)`,
        ...strictness,
      };
    default:
  }
  return { text: `SELECT ${list} ${from}`, columns: true, ...strictness };
}

function update({ table, where, form, sets }: Kinds['update'], world: World): Sql {
  const of = pick(world.tables, table);
  const scope = scopeOf(of);
  const columns = given(of);
  const assignments = new Map<string, string>();
  for (const set of sets) {
    const column = pick(columns, set.column);
    assignments.set(column.name, assignedTo(of, column, set, scope));
  }
  if (form % 17 === 0) assignments.set('id', 'id + 100000');
  const list = [...assignments].map(([name, value]) => `${name} = ${value}`).join(', ');
  const { name, text } =
    form % 13 === 0
      ? quietFilter(of.view, where, { scope, form: 1 })
      : quietFilter(of.name, where, { scope, form: form >> 3 });
  const order = form % 4 === 0 ? ` ORDER BY id${form % 8 ? ' DESC' : ''}` : '';
  const limit = order && form % 12 === 0 ? ` LIMIT ${(form >> 4) % 6}` : '';
  const ignore = form % 7 === 0 ? 'IGNORE ' : '';
  return {
    text: `UPDATE ${ignore}${name} SET ${list}${text}${order}${limit}`,
    // Where a range is read by its index, rows come in another order.
    anyRowOrder: true,
  };
}

function assignedTo(
  table: Table,
  column: Column,
  { form, value }: { form: number; value: number },
  scope: Scope,
): string {
  const isNumber = ['integer', 'decimal', 'float'].includes(column.type.family);
  const alike = table.columns.filter(({ type }) => type.family === column.type.family);
  switch (form % 8) {
    case 0:
      return pick(column.type.bad, value);
    case 1:
    case 2:
      return isNumber ? arithmetic(column, value, scope) : valueOf(table, column, value);
    case 3:
      return pick(alike, value).name;
    case 4:
      return pick(table.columns, value).name;
    case 5:
      return value % 2 ? 'DEFAULT' : 'NULL';
    default:
      return valueOf(table, column, value);
  }
}

function remove({ table, where, form }: Kinds['remove'], world: World): Sql {
  const of = pick(world.tables, table);
  const scope = scopeOf(of);
  const name = form % 13 === 0 ? of.view : of.name;
  // It takes no hints.
  const { text } = quietFilter(name, where, { scope, form: 1 });
  // Some rows are to be left for what follows.
  const range = form % 3 === 0 ? text : `${text === '' ? ' WHERE' : `${text} AND`} id % 4 = ${form % 4}`;
  const order = form % 4 === 0 ? ` ORDER BY id${form % 8 ? ' DESC' : ''} LIMIT ${(form >> 4) % 6}` : '';
  const returning = form % 11 === 0 && name === of.name ? ' RETURNING id' : '';
  return { text: `DELETE FROM ${name}${range}${order}${returning}` };
}

function join({ left, right, where, on, form, pair }: Kinds['join'], world: World): Sql {
  const a = pick(world.tables, left);
  const b = pick(world.tables, right);
  const alike = given(b).filter(({ type }) => type.sql === pick(given(a), pair).type.sql);
  const both: Scope = { ...scopeOf(a), columns: [...scopeOf(a, 'a.').columns, ...scopeOf(b, 'b.').columns] };
  const inside = on ? ` AND ${write(on, scopeOf(b, 'b.')).text}` : '';
  const equal =
    alike.length > 0 && form % 2 ? `a.${pick(given(a), pair).name} = b.${alike[0]!.name}` : 'a.id = b.id';
  const { text } = filter(where, form % 3 === 0 ? both : scopeOf(b, 'b.'));
  const any = { anyWarnings: true, anyError: true };
  switch (form % 6) {
    case 0:
      return {
        text: `SELECT a.id, b.* FROM ${a.name} a JOIN ${b.name} b ON ${equal}${inside}${text}`,
        ...any,
      };
    case 1:
    case 2:
      return {
        text: `SELECT a.id, b.* FROM ${a.name} a LEFT JOIN ${b.name} b ON ${equal}${inside}${text}`,
        ...any,
      };
    case 3:
      return {
        text: `SELECT a.id FROM ${a.name} a WHERE EXISTS (SELECT 1 FROM ${b.name} b WHERE ${equal}${inside})`,
        ...any,
      };
    case 4:
      return {
        text: `SELECT a.id, (SELECT COUNT(*) FROM ${b.name} b WHERE b.id >= a.id${inside}) FROM ${a.name} a`,
        ...any,
      };
    default:
      return {
        text: `SELECT a.id FROM ${a.name} a WHERE a.id NOT IN (SELECT b.id FROM ${b.name} b${text})`,
        ...any,
      };
  }
}

/** One text, run with several values for its parameters. */
function prepared({ table, where, form, shifts }: Kinds['prepared'], world: World): Sql[] {
  const of = pick(world.tables, table);
  // Each constant is marked by its number: those that come into the text become parameters, in its order.
  const written: string[] = [];
  const scope: Scope = { ...scopeOf(of), constant: (sql) => `{${written.push(sql) - 1}}` };
  const isChange = form % 3 === 0;
  if (isChange) change(world, { text: '' });
  const quiet = isChange ? quietPart(where, scopeOf(of)) : where;
  if (!quiet) return [];
  const constants: string[] = [];
  const text = write(quiet, scope).text.replaceAll(/\{(\d+)\}/g, (_, number: string) => {
    constants.push(written[Number(number)]!);
    return '?';
  });
  // As a parameter a bit literal is a string of bytes, which is no number: an error in some orders of evaluation.
  const mayFail = isChange && constants.some((constant) => constant.startsWith("b'"));
  if (constants.length === 0 || mayFail) return [];
  const column = pick(given(of), form >> 4);
  const statement = isChange
    ? `UPDATE ${of.name} SET ${column.name} = ${valueOf(of, column, form >> 5)} WHERE ${text}`
    : form % 3 === 1
      ? `SELECT id FROM ${of.name} WHERE ${text}`
      : `SELECT COUNT(*), MIN(id), SUM(id) FROM ${of.name} WHERE ${text}`;
  // The same values in other places: types change from one time to the next.
  const executions = [0, ...shifts.slice(0, 3), 0].map((shift): Sql => {
    const values = constants.map((_, index) =>
      shift % 5 === 1 && index === 0 ? 'NULL' : constants[(index + shift) % constants.length]!,
    );
    return {
      text: `EXECUTE p USING ${values.join(', ')}`,
      anyWarnings: true,
      anyError: !isChange,
      anyRowOrder: true,
    };
  });
  const quoted = statement.replaceAll('\\', '\\\\').replaceAll("'", "''");
  return [{ text: `PREPARE p FROM '${quoted}'` }, ...(isChange ? executions.slice(0, 1) : executions)];
}

function insertSelect({ table, where, form }: Kinds['insertSelect'], world: World): Sql {
  const of = pick(world.tables, table);
  const columns = given(of).map(({ name }) => name);
  const id = world.nextId;
  world.nextId += 1000;
  const { name, text } = quietFilter(of.name, where, { scope: scopeOf(of), form: form >> 2 });
  if (form % 3 === 0) {
    const rest = columns.map((name) => `MIN(${name})`).join(', ');
    return {
      text: `INSERT IGNORE INTO ${of.name} (id, ${columns.join(', ')}) SELECT ${id} + COUNT(*), ${rest} FROM ${of.name} USE INDEX ()${text}`,
      // Rows that the host sorts out are not counted.
      anyRowOrder: true,
    };
  }
  return {
    text: `INSERT INTO ${of.name} (id, ${columns.join(', ')}) SELECT ${id} + id % 500, ${columns.join(', ')} FROM ${name}${text} ORDER BY id LIMIT 5`,
    anyRowOrder: true,
  };
}

/** Another connection changes rows and commits, where nobody can have locked them. */
function elsewhere({ table, form, values }: Kinds['elsewhere'], world: World): Sql[] {
  if (world.mayHoldLocks) return [];
  const of = pick(world.tables, table);
  const column = pick(given(of), form >> 2);
  const sql: Sql =
    form % 3 === 0
      ? insert(of, { rows: [values], bad: 1 }, world)
      : form % 3 === 1
        ? {
            text: `UPDATE ${of.name} SET ${column.name} = ${valueOf(of, column, values[0]!)} WHERE id % 3 = 0`,
            anyRowOrder: true,
          }
        : { text: `DELETE FROM ${of.name} WHERE id % 7 = ${values[0]! % 7}` };
  return [{ ...sql, connection: 1 }];
}

/** What the tables hold, seen by each of their indexes. */
export function inspection(world: World): Sql[] {
  return [
    { text: 'SELECT @changes', ordered: true },
    ...world.tables.flatMap(({ name, keys }) => [
      { text: `SELECT * FROM ${name} ORDER BY id`, ordered: true },
      ...keys.map((key) => ({ text: `SELECT * FROM ${name} FORCE INDEX (${key}) WHERE id > 0` })),
      { text: `CHECK TABLE ${name}`, ordered: true },
    ]),
  ];
}
