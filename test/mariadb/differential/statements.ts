/**
 * Random statements. They are drawn without the tables that they will meet (numbers that choose among what is there
 * then), and turned into SQL when their turn comes, so that a failing sequence shrinks to few statements.
 */
import fc from 'fast-check';
import { TRACES, traceable, tracingValue, trigger, triggerSpec } from './routines.js';
import {
  columnDefinition,
  columnSpec,
  comparable,
  createTable,
  keyDefinition,
  keySpec,
  makeColumn,
  makeKey,
  makeTable,
  number16,
  pick,
  tableSpec,
  totalOrder,
  type Column,
  type Key,
  type Table,
  type TableSpec,
} from './schema.js';
import type { Sql } from './sql.js';

/** What is in the databases, as far as statements are made from it. */
export interface World {
  tables: Table[];
  names: number;
}

const choices = fc.array(number16, { minLength: 1, maxLength: 8 });
const condition = fc.record({ form: number16, column: number16, values: choices });
type Condition = typeof condition extends fc.Arbitrary<infer Spec> ? Spec : never;
const conditions = fc.record({ all: fc.array(condition, { maxLength: 2 }), or: fc.boolean() });
type Conditions = typeof conditions extends fc.Arbitrary<infer Spec> ? Spec : never;

const kinds = {
  insert: fc.record({
    table: number16,
    rows: fc.array(choices, { minLength: 1, maxLength: 5 }),
    form: number16,
    bad: number16,
    columns: number16,
    traces: number16,
  }),
  fill: fc.record({
    table: number16,
    rows: fc.integer({ min: 5, max: 150 }),
    form: number16,
    seeds: choices,
  }),
  insertSelect: fc.record({ table: number16, from: number16, where: conditions, form: number16 }),
  update: fc.record({
    table: number16,
    where: conditions,
    sets: fc.array(choices, { minLength: 1, maxLength: 2 }),
    form: number16,
  }),
  remove: fc.record({ table: number16, where: conditions, form: number16 }),
  select: fc.record({ table: number16, where: conditions, form: number16, key: number16, order: number16 }),
  join: fc.record({ left: number16, right: number16, on: number16, where: conditions, form: number16 }),
  updateJoined: fc.record({
    left: number16,
    right: number16,
    on: number16,
    where: conditions,
    column: number16,
    value: number16,
    remove: fc.boolean(),
  }),
  transaction: fc.record({ form: number16 }),
  setting: fc.record({ form: number16 }),
  alter: fc.record({ table: number16, form: number16, column: columnSpec, key: keySpec, choice: number16 }),
  define: fc.record({ table: number16, form: number16, spec: tableSpec }),
  trigger: triggerSpec,
  traces: fc.record({ form: number16 }),
};
type Kinds = {
  [Kind in keyof typeof kinds]: (typeof kinds)[Kind] extends fc.Arbitrary<infer Spec> ? Spec : never;
};
export type Step = { [Kind in keyof Kinds]: { kind: Kind; spec: Kinds[Kind] } }[keyof Kinds];

const WEIGHTS: Record<keyof Kinds, number> = {
  insert: 10,
  fill: 2,
  insertSelect: 2,
  update: 6,
  remove: 4,
  select: 10,
  join: 3,
  updateJoined: 2,
  transaction: 7,
  setting: 1,
  alter: 2,
  define: 1,
  trigger: 2,
  traces: 2,
};

export const step: fc.Arbitrary<Step> = fc.oneof(
  ...(Object.keys(kinds) as (keyof Kinds)[]).map((kind) => ({
    weight: WEIGHTS[kind],
    arbitrary: (kinds[kind] as fc.Arbitrary<unknown>).map((spec) => ({ kind, spec }) as Step),
  })),
);

export const program = fc.record({
  tables: fc.array(tableSpec, { minLength: 1, maxLength: 2 }),
  steps: fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }),
});
export type Program = typeof program extends fc.Arbitrary<infer Spec> ? Spec : never;

/** The statement that the step is in this world; nothing when there is none (no table has what it needs). */
export function statementOf(step: Step, world: World): Sql | undefined {
  switch (step.kind) {
    case 'insert':
      return insert(step.spec, world);
    case 'fill':
      return fill(step.spec, world);
    case 'insertSelect':
      return insertSelect(step.spec, world);
    case 'update':
      return update(step.spec, world);
    case 'remove':
      return remove(step.spec, world);
    case 'select':
      return select(step.spec, world);
    case 'join':
      return join(step.spec, world);
    case 'updateJoined':
      return updateJoined(step.spec, world);
    case 'transaction':
      return { text: pick(TRANSACTION, step.spec.form) };
    case 'setting':
      return { text: pick(SETTINGS, step.spec.form) };
    case 'alter':
      return alter(step.spec, world);
    case 'define':
      return define(step.spec, world);
    case 'trigger':
      return trigger(step.spec, world.tables);
    case 'traces':
      return pick(TRACES, step.spec.form);
  }
}

const TRANSACTION = [
  'START TRANSACTION',
  'BEGIN',
  'START TRANSACTION WITH CONSISTENT SNAPSHOT',
  'COMMIT',
  'COMMIT',
  'COMMIT AND CHAIN',
  'ROLLBACK',
  'SAVEPOINT a',
  'SAVEPOINT b',
  'ROLLBACK TO a',
  'ROLLBACK TO b',
  'RELEASE SAVEPOINT a',
];

const SETTINGS = [
  "SET sql_mode = ''",
  "SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
  "SET sql_mode = 'STRICT_ALL_TABLES,PAD_CHAR_TO_FULL_LENGTH'",
  'SET autocommit = 0',
  'SET autocommit = 1',
  'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
  'SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE',
  'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
  "SET optimizer_switch = 'mrr=on,mrr_cost_based=off', join_cache_level = 8",
  "SET optimizer_switch = 'mrr=on,mrr_sort_keys=on,mrr_cost_based=off', join_cache_level = 6",
  "SET optimizer_switch = 'mrr=off', join_cache_level = 2",
  'SET auto_increment_increment = 3, auto_increment_offset = 2',
  'SET auto_increment_increment = 1, auto_increment_offset = 1',
  'SET unique_checks = 0',
];

/** Columns that a statement may give values. */
const writable = (table: Table) => table.columns.filter((each) => each.generated === undefined);
const shown = (table: Table) => table.columns.filter((each) => !each.isAuto);
const isUnique = (table: Table, column: Column) =>
  table.keys.some((key) => key.kind !== 'PLAIN' && key.parts.some((part) => part.column === column.name)) ||
  // A generated column may have it, too.
  table.columns.some(
    (each) =>
      each.generated?.includes(`(${column.name}`) === true &&
      table.keys.some((key) => key.kind !== 'PLAIN' && key.parts.some((part) => part.column === each.name)),
  );

function literal(column: Column, choice: number, bad = false): string {
  const { type } = column;
  if (bad && type.bad.length > 0) return pick(type.bad, choice);
  if (choice % 11 === 0) return column.nullable || bad ? 'NULL' : pick(type.values, choice);
  // Numbers spread, so that not all are duplicates.
  if (type.family === 'integer' && !column.isAuto && choice % 2 === 0) return String(choice % 100);
  if (column.isAuto && choice % 4 !== 0) return 'NULL';
  return pick(type.values, choice);
}

/** A condition over the table that has the same meaning whatever way the server takes to the rows. */
function predicate({ form, column, values }: Condition, table: Table, prefix = ''): string | undefined {
  const usable = shown(table).filter((each) => each.type.sql !== 'POINT' && each.type.sql !== 'JSON');
  if (usable.length === 0) return undefined;
  // Columns of keys first: they are what conditions are about.
  const inKeys = usable.filter((each) =>
    table.keys.some((key) => key.parts.some((part) => part.column === each.name)),
  );
  const chosen = inKeys.length > 0 && form % 3 !== 0 ? pick(inKeys, column) : pick(usable, column);
  const name = `${prefix}${chosen.name}`;
  const value = (index: number) =>
    literal({ ...chosen, nullable: false }, values[index % values.length]! * 11 + 1);
  switch (form % 10) {
    case 0:
      return `${name} IN (${values.map((_, index) => value(index)).join(', ')})`;
    case 1:
      return `${name} >= ${value(0)}`;
    case 2:
      return `${name} < ${value(0)}`;
    case 3:
      return `${name} BETWEEN ${value(0)} AND ${value(1)}`;
    case 4:
      return `${name} IS ${values[0]! % 2 ? 'NOT ' : ''}NULL`;
    case 5:
      return chosen.type.family === 'text' ? `${name} LIKE ${value(0)}` : `${name} <=> ${value(0)}`;
    case 6:
      return `${name} > ${value(0)} AND ${name} <= ${value(1)}`;
    case 7:
      return `${name} <> ${value(0)}`;
    default:
      return `${name} = ${value(0)}`;
  }
}

function where({ all, or }: Conditions, table: Table, prefix = ''): string {
  const texts = all.map((each) => predicate(each, table, prefix)).filter((text) => text !== undefined);
  return texts.length === 0 ? '' : ` WHERE ${texts.map((text) => `(${text})`).join(or ? ' OR ' : ' AND ')}`;
}

function insert({ table, rows, form, bad, columns, traces }: Kinds['insert'], world: World): Sql | undefined {
  const into = pick(world.tables, table);
  const all = writable(into);
  const traced = traces % 6 === 0 ? traceable(into) : [];
  const tracing = traced.length > 0 ? pick(traced, traces >> 3) : undefined;
  const given = columns % 5 === 0 ? all.filter((_, index) => (columns >> (index + 3)) & 1) : all;
  const lines = rows.map(
    (choices, row) =>
      `(${given
        .map((column, index) => {
          const choice = choices[index % choices.length]! + index * 7;
          if (column === tracing) return tracingValue(traces + row);
          return literal(
            column,
            choice,
            bad % 12 === 0 && (bad >> 4) % rows.length === row && (bad >> 8) % given.length === index,
          );
        })
        .join(', ')})`,
  );
  const head = `${into.name} (${given.map(({ name }) => name).join(', ')}) VALUES ${lines.join(', ')}`;
  switch (form % 8) {
    case 0:
      return { text: `INSERT IGNORE INTO ${head}` };
    case 1:
      return { text: `REPLACE INTO ${head}` };
    case 2: {
      const free = all.filter((each) => !each.isAuto);
      if (free.length === 0) return { text: `INSERT INTO ${head}` };
      const target = pick(free, form >> 3);
      const value = (form >> 3) % 2 ? `VALUES(${target.name})` : literal(target, form >> 4);
      return {
        text: `INSERT INTO ${head} ON DUPLICATE KEY UPDATE ${target.name} = ${value}`,
        anyCount: true,
      };
    }
    case 3:
      return { text: `INSERT INTO ${head} RETURNING ${comparable(into)}`, ordered: true };
    default:
      return { text: `INSERT INTO ${head}` };
  }
}

/** Inserts many rows, for windows and ranges with something in them. */
function fill({ table, rows, form, seeds }: Kinds['fill'], world: World): Sql {
  const into = pick(world.tables, table);
  const columns = writable(into).filter((each) => !each.isAuto);
  const values = columns.map((column, index) => {
    const seed = seeds[index % seeds.length]! + index;
    const { family, sql } = column.type;
    if (family === 'integer') return `(seq * ${(seed % 3) + 1} + ${seed % 50}) % 120`;
    if (family === 'decimal' || family === 'float') return `seq / ${(seed % 8) + 1}`;
    if (family === 'text' || family === 'bytes')
      return `CONCAT(CHAR(97 + seq % ${(seed % 9) + 1}), seq % 90)`;
    if (sql.startsWith('DATE')) return `'2020-01-01' + INTERVAL seq * ${(seed % 40) + 1} DAY`;
    return literal(column, seed);
  });
  const verb = pick(['INSERT', 'INSERT IGNORE', 'REPLACE'], form);
  return {
    text:
      `${verb} INTO ${into.name} (${columns.map(({ name }) => name).join(', ')}) ` +
      `SELECT ${values.join(', ') || '1'} FROM seq_1_to_${rows}`,
  };
}

function insertSelect({ table, from, where: filter, form }: Kinds['insertSelect'], world: World): Sql {
  const into = pick(world.tables, table);
  const source = pick(world.tables, from);
  const targets = writable(into).filter((each) => !each.isAuto);
  const sources = shown(source);
  // Like to like where there is a like: else every row is an error.
  const pairs = targets.map((target) => {
    const same = sources.filter((each) => each.type.sql === target.type.sql);
    const alike = sources.filter(
      (each) => each.type.family === target.type.family && target.type.family !== 'other',
    );
    const found = same[0] ?? alike[0];
    return [target.name, found ? `s.${found.name}` : literal(target, form + 1)];
  });
  const verb = pick(['INSERT', 'INSERT IGNORE', 'REPLACE', 'INSERT'], form);
  return {
    text:
      `${verb} INTO ${into.name} (${pairs.map(([name]) => name).join(', ')}) ` +
      `SELECT ${pairs.map(([, value]) => value).join(', ') || '1'} FROM ${source.name} s${where(filter, source, 's.')} ` +
      `ORDER BY ${totalOrder(source, 's.')} LIMIT ${form % 50}`,
  };
}

function assignment(column: Column, choices: number[]): string {
  const [choice, form = 0] = choices as [number, number?];
  const { family } = column.type;
  if (form % 3 === 0 && family === 'integer') return `${column.name} = ${column.name} + ${(choice % 5) - 2}`;
  if (form % 3 === 0 && family === 'text') return `${column.name} = CONCAT('x', ${column.name})`;
  return `${column.name} = ${literal(column, choice, choice % 17 === 0)}`;
}

function update({ table, where: filter, sets, form }: Kinds['update'], world: World): Sql | undefined {
  const of = pick(world.tables, table);
  const columns = writable(of).filter((each) => !each.isAuto);
  if (columns.length === 0) return undefined;
  const chosen = [...new Map(sets.map((choices) => [pick(columns, choices.at(-1)!), choices])).entries()];
  // Which rows a duplicate stops at depends on their order.
  const needsOrder = chosen.some(([column]) => isUnique(of, column)) || form % 3 === 0;
  const order = needsOrder ? ` ORDER BY ${totalOrder(of)}${form % 2 ? ' DESC' : ''}` : '';
  const limit = needsOrder && form % 5 === 0 ? ` LIMIT ${(form >> 4) % 7}` : '';
  return {
    text:
      `UPDATE ${form % 7 === 0 ? 'IGNORE ' : ''}${of.name} ` +
      `SET ${chosen.map(([column, choices]) => assignment(column, choices)).join(', ')}${where(filter, of)}${order}${limit}`,
    anyRowOrder: true,
  };
}

function remove({ table, where: filter, form }: Kinds['remove'], world: World): Sql {
  const of = pick(world.tables, table);
  if (form % 11 === 0) return { text: `DELETE FROM ${of.name}` };
  if (form % 4 === 0)
    return { text: `DELETE FROM ${of.name}${where(filter, of)} RETURNING ${comparable(of)}` };
  return {
    text: `DELETE FROM ${of.name}${where(filter, of)} ORDER BY ${totalOrder(of)} LIMIT ${(form >> 4) % 12}`,
  };
}

const LOCKS = [
  '',
  '',
  '',
  ' FOR UPDATE',
  ' LOCK IN SHARE MODE',
  ' FOR UPDATE NOWAIT',
  ' FOR UPDATE SKIP LOCKED',
];

function select({ table, where: filter, form, key, order }: Kinds['select'], world: World): Sql {
  const of = pick(world.tables, table);
  const isSorted = [4, 5].includes(form % 9);
  const misread = isSorted ? of.keys.filter((each) => isOverVirtual(each, of)) : [];
  let hint = '';
  if (misread.length > 0) hint = ` IGNORE INDEX (${misread.map(keyName).join(', ')})`;
  else if (of.keys.length > 0 && key % 3 === 0) hint = ` FORCE INDEX (${keyName(pick(of.keys, key >> 2))})`;
  const from = `FROM ${of.name}${hint}${where(filter, of)}`;
  const columns = shown(of).filter((each) => each.type.sql !== 'POINT');
  const column = columns.length > 0 ? pick(columns, order) : undefined;
  const lock = pick(LOCKS, form >> 5);
  if (!column) return { text: `SELECT COUNT(*) ${from}${lock}` };
  switch (form % 9) {
    case 0:
      return { text: `SELECT COUNT(*), COUNT(${column.name}), COUNT(DISTINCT ${column.name}) ${from}` };
    case 1: {
      // Any one of values that are equal under their collation may be the answer.
      const least = ['text', 'bytes'].includes(column.type.family)
        ? `HEX(WEIGHT_STRING(MIN(${column.name}))), HEX(WEIGHT_STRING(MAX(${column.name})))`
        : `MIN(${column.name}), MAX(${column.name})`;
      return { text: `SELECT ${column.type.sql === 'JSON' ? 'COUNT(*)' : least} ${from}` };
    }
    case 2:
      return { text: `SELECT COUNT(*), ${sum(column)} ${from} GROUP BY ${column.name}` };
    case 3:
      return { text: `SELECT ${column.name} ${from}${lock}` };
    case 4: {
      const way = order % 2 ? ' DESC' : '';
      return {
        text: `SELECT ${comparable(of)} ${from} ORDER BY ${column.name}${way}, ${totalOrder(of)} LIMIT ${(order >> 3) % 9}, ${((order >> 6) % 20) + 1}${lock}`,
        ordered: true,
      };
    }
    case 5:
      // The order itself is seen by what sorts equal being equal.
      return {
        text: `SELECT HEX(WEIGHT_STRING(${weighed(column)})) ${from} ORDER BY ${column.name}${order % 2 ? ' DESC' : ''}`,
        ordered: ['text', 'bytes', 'integer', 'decimal'].includes(column.type.family),
      };
    case 6:
      return {
        text: `SELECT ${comparable(of)} FROM ${of.name} WHERE ${column.name} IN (SELECT ${column.name} ${from.replace(of.name, `${of.name} AS other`)})`,
      };
    default:
      return { text: `SELECT ${comparable(of)} ${from}${lock}` };
  }
}

/**
 * InnoDB 10.11.18 leaves rows out of what it reads by such an index for a sort, once rows were deleted there: it gives them
 * without the index, and without ORDER BY.
 */
const isOverVirtual = (key: Key, table: Table) =>
  key.parts.some(({ column }) =>
    table.columns.some(({ name, generated }) => name === column && generated?.endsWith('VIRTUAL')),
  );

/** What has the same weights where it sorts equal: most collations of texts pass over spaces at the end. */
function weighed({ name, type }: Column): string {
  if (type.family === 'bytes') return name;
  if (type.family !== 'text') return `CAST(${name} AS CHAR)`;
  return type.sql.includes('nopad') ? name : `RTRIM(${name})`;
}

const keyName = ({ name }: { name: string }) => (name === 'PRIMARY' ? '`PRIMARY`' : name);
const sum = ({ name, type }: Column) =>
  type.family === 'integer' || type.family === 'decimal' ? `SUM(${name})` : `COUNT(${name})`;

/** Pairs of columns of one family (and, of text, one collation): others compare with warnings for every row read. */
function joinable(left: Table, right: Table): [Column, Column][] {
  return shown(left).flatMap((a) =>
    shown(right)
      .filter((b) => (a.type.family === 'integer' ? b.type.family === 'integer' : b.type.sql === a.type.sql))
      .filter(() => !['POINT', 'JSON'].includes(a.type.sql))
      .map((b): [Column, Column] => [a, b]),
  );
}

function join({ left, right, on, where: filter, form }: Kinds['join'], world: World): Sql | undefined {
  const a = pick(world.tables, left);
  const b = pick(world.tables, right);
  const pairs = joinable(a, b);
  if (pairs.length === 0) return undefined;
  const [x, y] = pick(pairs, on);
  const kind = pick(['JOIN', 'LEFT JOIN', 'STRAIGHT_JOIN', 'RIGHT JOIN'], form);
  const what = form % 5 === 0 ? 'COUNT(*)' : `${comparable(a, 'a.')}, ${comparable(b, 'b.')}`;
  return {
    text: `SELECT ${what} FROM ${a.name} a ${kind} ${b.name} b ON a.${x.name} = b.${y.name}${where(filter, a, 'a.')}`,
  };
}

function updateJoined(spec: Kinds['updateJoined'], world: World): Sql | undefined {
  const a = pick(world.tables, spec.left);
  const b = pick(world.tables, spec.right);
  const pairs = joinable(a, b);
  if (pairs.length === 0) return undefined;
  const [x, y] = pick(pairs, spec.on);
  const joined = `${a.name} a JOIN ${b.name} b ON a.${x.name} = b.${y.name}`;
  if (spec.remove) return { text: `DELETE a FROM ${joined}${where(spec.where, a, 'a.')}` };
  const columns = writable(a).filter((each) => !each.isAuto && !isUnique(a, each));
  if (columns.length === 0) return undefined;
  const column = pick(columns, spec.column);
  return {
    text: `UPDATE ${joined} SET a.${column.name} = ${literal(column, spec.value)}${where(spec.where, a, 'a.')}`,
    anyRowOrder: true,
  };
}

function alter({ table, form, column, key, choice }: Kinds['alter'], world: World): Sql | undefined {
  const of = pick(world.tables, table);
  if (of.partitions > 0 && ![0, 6, 8].includes(form % 9)) return undefined;
  // A copy computes generated columns anew, and is refused where IGNORE let in a row whose value is out of range. InnoDB changes
  // indexes in place.
  const copies = of.columns.some((each) => each.generated !== undefined) && form % 9 !== 8;
  const change = (text: string, effect?: () => void): Sql => ({
    text: `ALTER TABLE ${of.name} ${text}${copies ? ', ALGORITHM=COPY' : ''}`,
    anyCount: true,
    anyRowOrder: true,
    ...(effect && { effect }),
  });
  const free = of.columns.filter(
    (each) =>
      !each.isAuto &&
      each.generated === undefined &&
      !of.keys.some((k) => k.parts.some((part) => part.column === each.name)) &&
      !of.columns.some((other) => other.generated?.includes(`(${each.name}`) === true),
  );
  switch (form % 9) {
    case 0: {
      const added = makeColumn(`n${world.names++}`, column);
      const place = choice % 3 === 0 ? ' FIRST' : '';
      return change(`ADD COLUMN ${columnDefinition(added)}${place}`, () =>
        place ? of.columns.unshift(added) : of.columns.push(added),
      );
    }
    case 1: {
      if (free.length === 0 || of.columns.length < 2) return undefined;
      const gone = pick(free, choice);
      return change(`DROP COLUMN ${gone.name}`, () => {
        of.columns = of.columns.filter((each) => each !== gone);
      });
    }
    case 2:
    case 3: {
      const added = makeKey(`a${world.names++}`, key.unique ? 'UNIQUE' : 'PLAIN', key, of.columns);
      if (!added) return undefined;
      // InnoDB checks one that it adds in place after all others, until the table is made anew: another key may be named.
      const how = added.kind === 'UNIQUE' && !copies ? ', ALGORITHM=COPY' : '';
      return change(`ADD ${keyDefinition(added)}${how}`, () => of.keys.push(added));
    }
    case 4: {
      const plain = of.keys.filter((each) => each.kind !== 'PRIMARY');
      if (plain.length === 0) return undefined;
      const gone = pick(plain, choice);
      return change(`DROP INDEX ${gone.name}`, () => {
        of.keys = of.keys.filter((each) => each !== gone);
      });
    }
    case 5: {
      if (free.length === 0) return undefined;
      const old = pick(free, choice);
      const changed = makeColumn(old.name, column);
      return change(`MODIFY ${columnDefinition(changed)}`, () => {
        of.columns = of.columns.map((each) => (each === old ? changed : each));
      });
    }
    case 6:
      return change(pick(['FORCE', "COMMENT 'other'", 'ROW_FORMAT=DYNAMIC', 'MAX_ROWS=1000'], choice));
    case 7: {
      if (of.keys.some((each) => each.kind === 'PRIMARY')) {
        if (of.columns.some((each) => each.isAuto)) return undefined;
        return change('DROP PRIMARY KEY', () => {
          of.keys = of.keys.filter((each) => each.kind !== 'PRIMARY');
        });
      }
      const primary = makeKey('PRIMARY', 'PRIMARY', key, of.columns);
      return (
        primary &&
        change(`ADD ${keyDefinition(primary)}`, () => {
          of.keys.unshift(primary);
          for (const part of primary.parts)
            of.columns.find((each) => each.name === part.column)!.nullable = false;
        })
      );
    }
    default: {
      const name = `r${world.names++}`;
      return change(`RENAME TO ${name}`, () => {
        of.name = name;
      });
    }
  }
}

function define({ table, form, spec }: { table: number; form: number; spec: TableSpec }, world: World): Sql {
  const of = pick(world.tables, table);
  switch (form % 4) {
    case 0:
      return { text: `TRUNCATE TABLE ${of.name}`, anyCount: true };
    case 1: {
      const made = { ...structuredClone(of), name: `l${world.names++}` };
      return {
        text: `CREATE TABLE ${made.name} LIKE ${of.name}`,
        anyCount: true,
        effect: () => world.tables.push(made),
      };
    }
    case 2: {
      const made = makeTable(of.name, spec);
      return {
        text: createTable(made).replace('CREATE TABLE', 'CREATE OR REPLACE TABLE'),
        anyCount: true,
        effect: () => {
          world.tables = world.tables.map((each) => (each === of ? made : each));
        },
      };
    }
    default: {
      const columns = shown(of).filter((each) => each.generated === undefined);
      const name = `s${world.names++}`;
      const made: Table = { name, columns: columns.map((each) => ({ ...each })), keys: [], partitions: 0 };
      const list = columns.map((each) => each.name).join(', ');
      return {
        text:
          columns.length === 0
            ? `TRUNCATE TABLE ${of.name}`
            : `CREATE TABLE ${name} AS SELECT ${list} FROM ${of.name} ORDER BY ${totalOrder(of)}`,
        effect: () => {
          if (columns.length > 0) world.tables.push(made);
        },
      };
    }
  }
}

/** What the tables hold, seen by each of their indexes. */
export function inspection(world: World): Sql[] {
  return world.tables.flatMap((table) => [
    { text: `SELECT ${comparable(table)} FROM ${table.name} ORDER BY ${totalOrder(table)}`, ordered: true },
    ...table.keys.map((key) => ({
      text: `SELECT ${comparable(table)} FROM ${table.name} FORCE INDEX (${keyName(key)}) ORDER BY ${key.parts.map((part) => `${part.column}${part.descending ? ' DESC' : ''}`).join(', ')}`,
    })),
    { text: `CHECK TABLE ${table.name}`, ordered: true },
  ]);
}
