/** Random conditions over columns. They are drawn without them, and turned into SQL when the columns are known. */
import fc from 'fast-check';
import { number16, pick } from '../schema.js';
import { CONSTANTS, warns, type ColumnType } from './types.js';

export interface Column {
  name: string;
  type: ColumnType;
}

/** What a condition is written for. */
export interface Scope {
  columns: readonly Column[];
  /** How a constant stands in the text: as it is, or as a parameter. */
  constant: (sql: string) => string;
}

/** SQL, and whether it may warn or fail for single rows. */
export interface Written {
  text: string;
  mayWarn: boolean;
}

const leaf = fc.record({
  kind: fc.constant('leaf' as const),
  form: number16,
  column: number16,
  operand: number16,
  values: fc.array(number16, { minLength: 2, maxLength: 5 }),
});
export type Leaf = typeof leaf extends fc.Arbitrary<infer Spec> ? Spec : never;
export type Condition = Leaf | { kind: 'AND' | 'OR' | 'XOR' | 'NOT'; of: Condition[] };

export const { condition } = fc.letrec<{ condition: Condition }>((tie) => {
  const several = (kind: 'AND' | 'OR', weight: number) => ({
    weight,
    arbitrary: fc.record({
      kind: fc.constant(kind),
      of: fc.array(tie('condition'), { minLength: 2, maxLength: 4 }),
    }),
  });
  const few = (kind: 'NOT' | 'XOR', count: number) => ({
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant(kind),
      of: fc.array(tie('condition'), { minLength: count, maxLength: count }),
    }),
  });
  return {
    condition: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      { weight: 6, arbitrary: leaf },
      several('AND', 3),
      several('OR', 2),
      few('NOT', 1),
      few('XOR', 2),
    ),
  };
});

/**
 * The condition as SQL. One that may warn and decides together with others is evaluated for more rows or for fewer, as
 * the server sees fit.
 */
export function write(condition: Condition, scope: Scope): Written & { isEvaluatedAtWill: boolean } {
  const leaves: Written[] = [];
  const text = writeTree(condition, scope, leaves);
  const mayWarn = leaves.some((each) => each.mayWarn);
  return { text, mayWarn, isEvaluatedAtWill: mayWarn && leaves.length > 1 };
}

/** Only the part of it that never warns: for statements whose warnings are errors. */
export function quietPart(condition: Condition, scope: Scope): Condition | undefined {
  if (condition.kind === 'leaf') return writeLeaf(condition, scope).mayWarn ? undefined : condition;
  const of = condition.of.map((each) => quietPart(each, scope)).filter((each) => each !== undefined);
  if (of.length === 0) return undefined;
  return of.length < condition.of.length ? of[0] : { ...condition, of };
}

function writeTree(condition: Condition, scope: Scope, leaves: Written[]): string {
  if (condition.kind === 'leaf') {
    const written = writeLeaf(condition, scope);
    leaves.push(written);
    // The server makes a condition of each pair of a row's values.
    if (isOfRows(condition)) leaves.push(written);
    return `(${written.text})`;
  }
  const parts = condition.of.map((each) => writeTree(each, scope, leaves));
  return condition.kind === 'NOT' ? `NOT ${parts[0]!}` : `(${parts.join(` ${condition.kind} `)})`;
}

const FORMS = 19;
const ROWS = 11;
const isOfRows = ({ form }: Leaf): boolean => form % FORMS === ROWS;

const COMPARISONS = ['=', '<', '>', '<=', '>=', '<>', '<=>', '='];
const PATTERNS = [
  "'a%'",
  "'A%'",
  "'%a'",
  "'a_'",
  "'a'",
  "'a '",
  "'a %'",
  "'zz\\\\%'",
  "'zz\\\\%%'",
  "'Zz\\\\_%'",
  "''",
  "'%'",
  "'ä%'",
  "'日%'",
  "'1%'",
  "'-1%'",
  "'2024-02%'",
  "'a\\0%'",
  'NULL',
  '1',
];

const isQuoted = (sql: string): boolean => sql.endsWith("'");
const hasFraction = (sql: string): boolean => /\.\d*[1-9]|e-/.test(sql);

function writeLeaf({ form, column, operand, values }: Leaf, scope: Scope): Written {
  const chosen = pick(scope.columns, column);
  const left = operandOf(chosen, operand, scope);
  const { family } = chosen.type;
  let mayWarn = left.mayWarn;
  let isRounded = false;
  const constant = (index: number): string => {
    const value = constantFor(left.type, values[index % values.length]! + index);
    mayWarn ||= value.mayWarn;
    isRounded ||= family === 'integer' && hasFraction(value.sql);
    return scope.constant(value.sql);
  };
  // The server rounds what it looks up in an index of whole numbers: it finds 1 for id = 0.5, where the host finds nothing.
  const unlessRounded = (operator: string): string =>
    isRounded && ['=', '<=>'].includes(operator) ? '>=' : operator;
  const say = (text: string): Written => ({ text, mayWarn });
  const not = (values[0]! >> 4) % 3 === 0 ? 'NOT ' : '';
  const comparison = pick(COMPARISONS, values[0]! >> 3);
  switch (form % FORMS) {
    case 0: {
      const list = values.map((_, index) => constant(index));
      if (values[0]! % 5 === 0) list.push('NULL');
      return say(`${left.text} ${not}IN (${list.join(', ')})`);
    }
    case 1:
    case 2: {
      const bounds = [constant(0), constant(1)];
      // A number makes numbers of all three.
      mayWarn ||= !['integer', 'decimal', 'float', 'bit'].includes(family) && !bounds.every(isQuoted);
      return say(`${left.text} ${not}BETWEEN ${bounds.join(' AND ')}`);
    }
    case 3:
    case 4: {
      const pattern = pick(PATTERNS, values[0]!);
      const isText = family === 'text' || family === 'bytes';
      mayWarn ||= !isText && family !== 'label';
      if (values[1]! % 6 === 0) return say(`${left.text} ${not}LIKE 'a|%%' ESCAPE '|'`);
      return say(`${left.text} ${not}LIKE ${scope.constant(pattern)}`);
    }
    case 5:
      return say(`${left.text} IS ${not}NULL`);
    case 6: {
      const what = pick(['TRUE', 'FALSE', 'UNKNOWN'], values[1]!);
      return say(`(${left.text} ${comparison} ${constant(0)}) IS ${not}${what}`);
    }
    case 7: {
      const alike = scope.columns.filter((each) => each.type.family === family);
      return say(`${left.text} ${comparison} ${pick(alike, values[1]!).name}`);
    }
    case 8: {
      const other = pick(scope.columns, values[1]!);
      mayWarn ||= other.type.family !== family;
      return say(`${chosen.name} ${comparison} ${other.name}`);
    }
    case 9:
      // As a truth value: of text, its number.
      mayWarn ||= !['integer', 'decimal', 'float', 'bit', 'label'].includes(family);
      return say(left.text);
    case 10: {
      const value = constant(0);
      return say(`${value} ${unlessRounded(comparison)} ${left.text}`);
    }
    case ROWS: {
      const other = pick(scope.columns, values[1]!);
      const value = constantFor(other.type, values[0]!);
      mayWarn ||= value.mayWarn;
      const pairs = `(${constant(0)}, ${scope.constant(value.sql)})`;
      const row = `(${chosen.name}, ${other.name})`;
      isRounded ||= other.type.family === 'integer' && hasFraction(value.sql);
      return say(
        values[0]! % 2 && !isRounded ? `${row} = ${pairs}` : `${row} IN (${pairs}, (${constant(1)}, NULL))`,
      );
    }
    case 12:
      return say(
        `${pick(['COALESCE', 'IFNULL', 'NULLIF'], values[1]!)}(${chosen.name}, ${constant(0)}) ${comparison} ${constant(1)}`,
      );
    case 13: {
      mayWarn = false;
      const length = pick(['LENGTH', 'CHAR_LENGTH', 'OCTET_LENGTH', 'BIT_LENGTH'], values[1]!);
      return say(`${length}(${chosen.name}) ${comparison} ${scope.constant(String(values[0]! % 12))}`);
    }
    case 14: {
      const constants = ['1', '0', 'NULL', '1 = 1', "'a' = 'b'", 'NULL <=> NULL', '@i = 3', '@n', '@s = 1'];
      mayWarn = values[0]! % constants.length === constants.length - 1;
      return say(pick(constants, values[0]!));
    }
    default: {
      const value = constant(0);
      return say(`${left.text} ${unlessRounded(comparison)} ${value}`);
    }
  }
}

/** A literal to compare with: mostly one of the column's own values. */
function constantFor(type: ColumnType, choice: number): { sql: string; mayWarn: boolean } {
  if (choice % 3 !== 0) return { sql: pick(type.values, choice >> 2), mayWarn: false };
  const { sql, kind } = pick(CONSTANTS, choice >> 2);
  return { sql, mayWarn: warns(type.family, kind) };
}

/** The column, mostly; or an expression of it. */
function operandOf(column: Column, choice: number, scope: Scope): Written & { type: ColumnType } {
  const { name, type } = column;
  const say = (text: string, mayWarn = false) => ({ text, mayWarn, type });
  if (choice % 4 !== 0) return say(name);
  const which = choice >> 2;
  const isNumber = ['integer', 'decimal', 'float', 'bit'].includes(type.family);
  const isUnsigned = type.family === 'bit' || type.sql.includes('UNSIGNED');
  const mayFail = type.isWide || isUnsigned || which % 9 >= 6;
  if (isNumber) return say(arithmetic(column, which, scope), mayFail);
  switch (type.family) {
    case 'text':
      return say(pick([`UPPER(${name})`, `${name} COLLATE ${otherCollation(type)}`, `TRIM(${name})`], which));
    case 'bytes':
      return say(pick([`HEX(${name})`, `BINARY ${name}`], which));
    case 'temporal':
      return say(
        pick([`YEAR(${name})`, `${name} + INTERVAL 1 DAY`, `${name} + 0`, `DATE(${name})`], which),
        true,
      );
    default:
      return say(name);
  }
}

const otherCollation = ({ sql }: ColumnType): string => {
  const charset = /CHARACTER SET (\w+)/.exec(sql)?.[1] ?? 'utf8mb4';
  return sql.includes('_bin') && charset !== 'ascii' ? `${charset}_general_ci` : `${charset}_bin`;
};

/** Returns arithmetic of numbers; the last choices may fail. */
export function arithmetic({ name }: Column, choice: number, { columns, constant }: Scope): string {
  const numbers = columns.filter(({ type }) => type.family === 'integer' && !type.isWide);
  const other = numbers.length > 0 ? pick(numbers, choice >> 4).name : name;
  // Only the one that is chosen has its constants written.
  const forms = [
    () => `${name} + ${constant('1')}`,
    () => `${name} - ${constant('2')}`,
    () => `${name} * ${constant('3')}`,
    () => `-${name}`,
    () => `${name} + ${constant('0.5')}`,
    () => `${name} * ${constant('1.5e0')}`,
    () => `${name} + ${other}`,
    () => `${name} * ${other} - ${constant('1')}`,
    () => pick([`${name} DIV 2`, `${name} / 3`, `${name} % 4`, `ABS(${name})`, `${name} | 1`], choice >> 4),
  ];
  return pick(forms, choice)();
}
