/** Random tables. Every choice is a number that is taken modulo what there is to choose from, so all shrink well. */
import fc from 'fast-check';

type Family = 'integer' | 'decimal' | 'float' | 'text' | 'bytes' | 'other';

export interface ColumnType {
  sql: string;
  family: Family;
  /** Literals that the type takes, few and in part equal under its collation: duplicates must happen. */
  values: string[];
  /** Literals that it takes only with a warning, or not at all. */
  bad: string[];
  /** How it may stand in an index: whole, only with a prefix, or not at all. */
  key: 'whole' | 'prefix' | 'no';
}

const TEXTS = [
  "''",
  "'a'",
  "'A'",
  "'ab'",
  "'b'",
  "'b '",
  "'B  '",
  "'ä'",
  "'é'",
  "'e'",
  "'ß'",
  "'ss'",
  "'a\\0b'",
  "'zz%'",
  "'Zz_9'",
  "' a'",
];
const WIDE_TEXTS = ["'日本'", "'Ω'", "'ω'", "'ﬀ'"];
const EMOJI = ["'😀'", "'😁x'"];
const LONG_TEXT = "REPEAT('xyz ', 400)";

function text(sql: string, charset: string, collation: string, prefix = false): ColumnType {
  const takesAll = ['utf8mb4', 'utf16'].includes(charset);
  const takesWide = takesAll || ['utf8mb3', 'ucs2'].includes(charset);
  return {
    sql: `${sql} CHARACTER SET ${charset} COLLATE ${collation}`,
    family: 'text',
    values: [
      ...TEXTS,
      ...(takesWide ? WIDE_TEXTS : []),
      ...(takesAll ? EMOJI : []),
      ...(prefix ? [LONG_TEXT] : []),
    ],
    bad: [...(prefix ? [] : [LONG_TEXT]), ...(takesAll ? [] : EMOJI)],
    key: prefix ? 'prefix' : 'whole',
  };
}

function number(sql: string, family: Family, values: string[], bad: string[]): ColumnType {
  return { sql, family, values, bad, key: 'whole' };
}

function other(sql: string, values: string[], bad: string[], key: ColumnType['key'] = 'whole'): ColumnType {
  return { sql, family: 'other', values, bad, key };
}

const BYTES = ["''", "'a'", "'A'", "X'00'", "X'0001'", "X'FF'", "X'FF00'", "'a '", "'ab'"];
const SMALL = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '20', '30'];

export const TYPES: ColumnType[] = [
  number('INT', 'integer', [...SMALL, '-1', '2147483647', '-2147483648'], ['2147483648', "'x'"]),
  number('TINYINT', 'integer', [...SMALL, '-1', '127', '-128'], ['128', '-129', "'1x'"]),
  number('SMALLINT UNSIGNED', 'integer', [...SMALL, '65535'], ['-1', '65536']),
  number('MEDIUMINT', 'integer', [...SMALL, '-8388608', '8388607'], ['8388608']),
  number('INT UNSIGNED ZEROFILL', 'integer', [...SMALL, '4294967295'], ['-1']),
  number('BIGINT', 'integer', [...SMALL, '-9223372036854775808', '9223372036854775807'], ['1e30']),
  number('BIGINT UNSIGNED', 'integer', [...SMALL, '18446744073709551615'], ['-1']),
  number(
    'DECIMAL(10,3)',
    'decimal',
    ['0', '1.5', '-1.5', '1234567.891', '-0.001', '7'],
    ['1.00051', '12345678'],
  ),
  number('DECIMAL(65,30)', 'decimal', ['0', '1e-30', '-12345678901234567890.5', '3.25'], ["'y'"]),
  number('FLOAT', 'float', ['0', '1.5', '-2.25', '1e10', '-1e-10'], ['1e300']),
  number('DOUBLE', 'float', ['0', '1.5', '-2.25', '1e300', '-1e-300', '0.1'], ["'z'"]),
  text('VARCHAR(20)', 'utf8mb4', 'utf8mb4_general_ci'),
  text('CHAR(5)', 'latin1', 'latin1_swedish_ci'),
  text('VARCHAR(300)', 'utf8mb4', 'utf8mb4_unicode_ci'),
  text('VARCHAR(12)', 'utf8mb4', 'utf8mb4_bin'),
  text('CHAR(10)', 'utf8mb4', 'utf8mb4_unicode_520_nopad_ci'),
  text('VARCHAR(15)', 'latin1', 'latin1_german2_ci'),
  text('VARCHAR(15)', 'latin1', 'latin1_bin'),
  text('VARCHAR(15)', 'utf8mb3', 'utf8mb3_general_nopad_ci'),
  text('VARCHAR(15)', 'ucs2', 'ucs2_swedish_ci'),
  text('CHAR(6)', 'utf16', 'utf16_general_ci'),
  text('VARCHAR(15)', 'utf8mb4', 'utf8mb4_uca1400_ai_ci'),
  text('TEXT', 'utf8mb4', 'utf8mb4_general_ci', true),
  text('MEDIUMTEXT', 'latin1', 'latin1_swedish_ci', true),
  text('TEXT', 'utf8mb4', 'utf8mb4_nopad_bin', true),
  { sql: 'BINARY(4)', family: 'bytes', values: BYTES, bad: ["'abcdef'"], key: 'whole' },
  { sql: 'VARBINARY(16)', family: 'bytes', values: BYTES, bad: ["REPEAT('a', 17)"], key: 'whole' },
  { sql: 'BLOB', family: 'bytes', values: [...BYTES, "REPEAT('q', 5000)"], bad: [], key: 'prefix' },
  {
    sql: 'LONGBLOB',
    family: 'bytes',
    values: [...BYTES, "REPEAT('r', 100000)"],
    bad: [],
    key: 'prefix',
  },
  other('DATE', ["'2024-02-29'", "'1000-01-01'", "'9999-12-31'", "'2001-01-01'"], ["'2023-02-30'", "'x'"]),
  other('TIME', ["'00:00:00'", "'-838:59:59'", "'12:34:56'", "'838:59:59'"], ["'900:00:00'"]),
  other('TIME(3)', ["'00:00:00.001'", "'-00:00:00.5'", "'12:34:56.789'"], ["'12:61:00'"]),
  other('DATETIME', ["'2024-02-29 01:02:03'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"], ["'never'"]),
  other('DATETIME(6)', ["'2024-02-29 01:02:03.000001'", "'2024-02-29 01:02:03.5'"], ["'2024-13-01'"]),
  other('TIMESTAMP(2) NULL', ["'2024-02-29 01:02:03.25'", "'1990-01-01 00:00:00'"], ["'1900-01-01'"]),
  other('YEAR', ['2024', '1901', '2155', '0'], ['1900']),
  other("ENUM('a','B','c d')", ["'a'", "'b'", "'c d'", '1'], ["'nope'"]),
  other("SET('x','y','z')", ["''", "'x'", "'y,z'", '7'], ["'w'"]),
  other('BIT(1)', ["b'0'", "b'1'"], ["b'10'"]),
  other('BIT(17)', ["b'0'", "b'11111111111111111'", "b'101'"], ['1000000']),
  other('BOOL', ['TRUE', 'FALSE'], ["'t'"]),
  other('JSON', ['\'{"a":1}\'', "'[]'", "'null'"], ["'{'"], 'no'),
  other('INET6', ["'::1'", "'::'", "'::192.0.2.1'", "'ff::ab'"], ["'ip'"]),
  other(
    'UUID',
    ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"],
    ["'u'"],
  ),
  other('POINT', ['POINT(1, 2)', 'POINT(-1, 0)'], ["'p'"], 'no'),
];

export interface Column {
  name: string;
  type: ColumnType;
  nullable: boolean;
  default?: string;
  /** Its values are given out by the engine. */
  isAuto: boolean;
  /** Expression and kind of a generated column. */
  generated?: string;
}

export interface KeyPart {
  column: string;
  prefix?: number;
  descending: boolean;
}

export interface Key {
  name: string;
  kind: 'PRIMARY' | 'UNIQUE' | 'PLAIN';
  parts: KeyPart[];
}

export interface Table {
  name: string;
  columns: Column[];
  keys: Key[];
  partitions: number;
}

export const number16 = fc.nat({ max: 0xffff });

/** The element that the number chooses. */
export function pick<Value>(values: readonly Value[], choice: number): Value {
  return values[choice % values.length]!;
}

export const columnSpec = fc.record({
  type: number16,
  nullable: fc.boolean(),
  defaulted: number16,
});
export type ColumnSpec = typeof columnSpec extends fc.Arbitrary<infer Spec> ? Spec : never;

export const keySpec = fc.record({
  unique: fc.boolean(),
  parts: fc.array(fc.record({ column: number16, prefix: number16, descending: fc.boolean() }), {
    minLength: 1,
    maxLength: 3,
  }),
});
export type KeySpec = typeof keySpec extends fc.Arbitrary<infer Spec> ? Spec : never;

export const tableSpec = fc.record({
  columns: fc.array(columnSpec, { minLength: 1, maxLength: 6 }),
  primary: fc.option(
    fc.oneof({ weight: 3, arbitrary: fc.constant('auto' as const) }, { weight: 5, arbitrary: keySpec }),
    { freq: 6 },
  ),
  keys: fc.array(keySpec, { maxLength: 3 }),
  generated: fc.option(fc.record({ of: number16, stored: fc.boolean(), indexed: fc.boolean() }), { freq: 3 }),
  partitions: number16,
});
export type TableSpec = typeof tableSpec extends fc.Arbitrary<infer Spec> ? Spec : never;

export function makeTable(name: string, spec: TableSpec): Table {
  const columns = spec.columns.map((each, index) => makeColumn(`c${index}`, each));
  const keys: Key[] = [];
  if (spec.primary === 'auto') {
    const type = pick(['INT', 'BIGINT UNSIGNED', 'BIGINT'], spec.partitions);
    // Given values stand before the generated ones: where a refused one leaves the counter is the engine's own.
    const given = type.endsWith('UNSIGNED') ? [] : ['-1', '-2', '-3'];
    const values = ['NULL', 'DEFAULT', '0', ...given];
    columns.unshift({
      name: 'id',
      type: number(type, 'integer', values, ["'q'"]),
      nullable: false,
      isAuto: true,
    });
    keys.push({ name: 'PRIMARY', kind: 'PRIMARY', parts: [{ column: 'id', descending: false }] });
  }
  if (spec.generated) {
    const of = pick(columns, spec.generated.of);
    const expression = generatedFrom(of);
    if (expression !== undefined) {
      columns.push({
        name: 'g',
        type: TYPES[0]!,
        nullable: true,
        isAuto: false,
        generated: `${expression} ${spec.generated.stored ? 'STORED' : 'VIRTUAL'}`,
      });
      if (spec.generated.indexed)
        keys.push({ name: 'kg', kind: 'PLAIN', parts: [{ column: 'g', descending: false }] });
    }
  }
  if (spec.primary && spec.primary !== 'auto') {
    const primary = makeKey('PRIMARY', 'PRIMARY', spec.primary, columns);
    if (primary) {
      keys.unshift(primary);
      for (const { column } of primary.parts) columns.find((each) => each.name === column)!.nullable = false;
    }
  }
  spec.keys.forEach((each, index) => {
    const key = makeKey(`k${index}`, each.unique ? 'UNIQUE' : 'PLAIN', each, columns);
    if (key) keys.push(key);
  });
  const [first] = keys;
  const canPartition =
    first?.kind === 'PRIMARY' &&
    first.parts.length === 1 &&
    keys.every((key) => key.kind !== 'UNIQUE') &&
    columns.find((each) => each.name === first.parts[0]!.column)!.type.family === 'integer' &&
    columns.every((each) => each.type.sql !== 'POINT');
  return { name, columns, keys, partitions: canPartition && spec.partitions % 4 === 0 ? 3 : 0 };
}

function generatedFrom({ name, type, isAuto }: Column): string | undefined {
  if (isAuto) return undefined;
  if (type.family === 'integer') return `AS (${name} DIV 3)`;
  if (type.family === 'text' || type.family === 'bytes') return `AS (CHAR_LENGTH(${name}))`;
  return undefined;
}

export function makeColumn(name: string, { type, nullable, defaulted }: ColumnSpec): Column {
  const chosen = pick(TYPES, type);
  const literal =
    chosen.key === 'prefix' || chosen.sql === 'POINT' ? undefined : pick(chosen.values, defaulted);
  return {
    name,
    type: chosen,
    nullable: nullable || chosen.sql.endsWith(' NULL'),
    isAuto: false,
    ...(defaulted % 3 === 0 && literal !== undefined && { default: literal }),
  };
}

/** A key over columns that can be in one, each once; nothing when there are none. */
export function makeKey(name: string, kind: Key['kind'], spec: KeySpec, columns: Column[]): Key | undefined {
  const parts: KeyPart[] = [];
  for (const { column, prefix, descending } of spec.parts) {
    const usable = columns.filter(
      (each) =>
        each.type.key !== 'no' &&
        !parts.some((part) => part.column === each.name) &&
        // The server refuses these, and the unique hash keys that it makes of long columns.
        !(kind === 'PRIMARY' && (each.generated !== undefined || each.type.sql.endsWith(' NULL'))),
    );
    if (usable.length === 0) continue;
    const chosen = pick(usable, column);
    const { key, family } = chosen.type;
    const canPrefix = chosen.generated === undefined && (family === 'text' || family === 'bytes');
    const takesPrefix = key === 'prefix' || (canPrefix && prefix % 4 === 0);
    parts.push({ column: chosen.name, descending, ...(takesPrefix && { prefix: pick([1, 2, 3], prefix) }) });
  }
  return parts.length === 0 ? undefined : { name, kind, parts };
}

export function columnDefinition(column: Column): string {
  const { name, type, nullable, isAuto, generated } = column;
  if (generated !== undefined) return `${name} ${type.sql} ${generated}`;
  const nullity = type.sql.endsWith(' NULL') ? '' : nullable ? ' NULL' : ' NOT NULL';
  const extra = isAuto ? ' AUTO_INCREMENT' : column.default === undefined ? '' : ` DEFAULT ${column.default}`;
  return `${name} ${type.sql}${nullity}${extra}`;
}

export function keyDefinition({ name, kind, parts }: Key): string {
  const list = parts
    .map((part) => `${part.column}${part.prefix ? `(${part.prefix})` : ''}${part.descending ? ' DESC' : ''}`)
    .join(', ');
  if (kind === 'PRIMARY') return `PRIMARY KEY (${list})`;
  return `${kind === 'UNIQUE' ? 'UNIQUE ' : ''}KEY ${name} (${list})`;
}

export function createTable(table: Table): string {
  const lines = [...table.columns.map(columnDefinition), ...table.keys.map(keyDefinition)];
  const partitioned = table.partitions
    ? ` PARTITION BY KEY (${table.keys[0]!.parts[0]!.column}) PARTITIONS ${table.partitions}`
    : '';
  return `CREATE TABLE ${table.name} (${lines.join(', ')})${partitioned}`;
}

/** Sorts the rows of the table in one way only (rows that are equal in all are equal to the reader). */
export function totalOrder(table: Table, prefix = ''): string {
  const auto = table.columns.find((each) => each.isAuto);
  if (auto) return `${prefix}${auto.name}`;
  const isNumber = ({ type }: Column) => ['integer', 'decimal', 'float'].includes(type.family);
  return table.columns
    .map((each) => (isNumber(each) ? `${prefix}${each.name}` : `HEX(${prefix}${each.name})`))
    .join(', ');
}

/** What of the table's rows is compared: generated values of an auto-increment column may differ by gaps. */
export function comparable(table: Table, prefix = ''): string {
  const shown = table.columns.filter((each) => !each.isAuto).map((each) => `${prefix}${each.name}`);
  return shown.length === 0 ? '1' : shown.join(', ');
}
