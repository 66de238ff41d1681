import { MAX_INTEGER_BITS } from '../../src/protocol/generated/limits.js';
import fc from 'fast-check';
import { ValueType, type Comparison, type ProgramWriter } from '../../src/protocol/program.js';
import { ColumnKind, type ColumnLayout, type RawValue } from '../../src/protocol/rows.js';

/** The value of an expression for a row: INTEGER bigint, DOUBLE number, BYTES Buffer, BOOLEAN boolean. */
export type Value = bigint | number | Buffer | boolean | null;
export interface Row {
  values: RawValue[];
  /** Values of the columns that hold a DECIMAL. */
  decimals: Map<number, bigint | null>;
}

/** An expression of FORMATS.md, evaluated in the plainest way, and as a program. */
export interface Expression {
  type: ValueType;
  bits: number;
  text: string;
  value(row: Row): Value;
  write(program: ProgramWriter): ProgramWriter;
}

const { INTEGER, DOUBLE, BYTES, BOOLEAN } = ValueType;

interface Decimal {
  digits: number;
  scale: number;
}
const DECIMALS = new Map<number, Decimal>([
  [10, { digits: 7, scale: 2 }],
  [11, { digits: 36, scale: 19 }],
]);

const column = (kind: ColumnKind, widthBytes = 0): ColumnLayout => ({
  name: ColumnKind[kind],
  kind,
  widthBytes,
  nullable: true,
});

export const COLUMNS: readonly ColumnLayout[] = [
  column(ColumnKind.INT8),
  column(ColumnKind.INT64),
  column(ColumnKind.UINT32),
  column(ColumnKind.UINT64),
  column(ColumnKind.FLOAT),
  column(ColumnKind.DOUBLE),
  column(ColumnKind.FIXED, 3),
  column(ColumnKind.BYTES),
  column(ColumnKind.BYTES),
  column(ColumnKind.BLOB),
  column(ColumnKind.FIXED, 4),
  column(ColumnKind.FIXED, 17),
  column(ColumnKind.INT16),
  column(ColumnKind.UINT16),
];
const INTEGER_BITS = new Map([
  [0, 8],
  [1, 64],
  [2, 32],
  [3, 64],
  [12, 16],
  [13, 16],
]);
const BLOB_COLUMN = 9;

const shortBytes = fc
  .array(fc.constantFrom(0x00, 0x1f, 0x20, 0x20, 0x61, 0xff), { maxLength: 4 })
  .map((bytes) => Buffer.from(bytes));
const smallIntegers = fc.bigInt({ min: -3n, max: 3n });
const doubles = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 0.5, 1e300, 5e-324),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

const bitLength = (value: bigint): number => (value === 0n ? 0 : value.toString(2).replace('-', '').length);

/**
 * Returns MariaDB's binary form: groups of nine digits from the point in four bytes, smaller groups in as
 * many bytes as they need.
 */
function decimalBytes(value: bigint, { digits, scale }: Decimal): Buffer {
  const BYTES_OF = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
  const all = (value < 0n ? -value : value).toString().padStart(digits, '0');
  const whole = all.slice(0, digits - scale);
  const fraction = all.slice(digits - scale);
  const groups = [whole.slice(0, whole.length % 9)];
  for (let at = whole.length % 9; at < whole.length; at += 9) groups.push(whole.slice(at, at + 9));
  for (let at = 0; at < fraction.length; at += 9) groups.push(fraction.slice(at, at + 9));
  const parts = groups
    .filter((group) => group !== '')
    .map((group) => {
      const bytes = Buffer.alloc(BYTES_OF[group.length]!);
      bytes.writeUIntBE(Number(group), 0, bytes.length);
      return bytes;
    });
  const bytes = Buffer.concat(parts);
  if (value < 0n) for (let i = 0; i < bytes.length; i++) bytes[i]! ^= 0xff;
  bytes[0]! ^= 0x80;
  return bytes;
}

function rawValue(number: number): fc.Arbitrary<RawValue> {
  switch (COLUMNS[number]!.kind) {
    case ColumnKind.INT8:
      return fc.constantFrom(-128, -1, 0, 1, 2, 127);
    case ColumnKind.INT16:
      return fc.constantFrom(-32768, -1, 0, 1, 2, 32767);
    case ColumnKind.UINT16:
      return fc.constantFrom(0, 1, 2, 65535);
    case ColumnKind.UINT32:
      return fc.constantFrom(0, 1, 2, 0xffff_ffff);
    case ColumnKind.INT64:
      return fc.constantFrom(-(2n ** 63n), -1n, 0n, 1n, 2n ** 53n + 1n, 2n ** 63n - 1n);
    case ColumnKind.UINT64:
      return fc.constantFrom(0n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n);
    case ColumnKind.FLOAT:
      return doubles.map(Math.fround).filter(Number.isFinite);
    case ColumnKind.DOUBLE:
      return doubles;
    case ColumnKind.FIXED:
      return fc.uint8Array({ minLength: 3, maxLength: 3 });
    case ColumnKind.BLOB:
      return fc.oneof(shortBytes, fc.constant({ blob: 5, lengthBytes: 2 ** 40 }));
    default:
      return shortBytes;
  }
}

const nullable = <T>(some: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.option(some, { nil: null, freq: 5 });

export const row: fc.Arbitrary<Row> = fc
  .tuple(
    fc.tuple(...COLUMNS.map((_, number) => nullable(rawValue(number)))),
    ...[...DECIMALS].map(([number, { digits }]) =>
      nullable(
        fc.oneof(
          smallIntegers,
          fc.bigInt({ min: 1n - 10n ** BigInt(digits), max: 10n ** BigInt(digits) - 1n }),
        ),
      ).map((value): [number, bigint | null] => [number, value]),
    ),
  )
  .map(([values, ...decimals]) => {
    const packed = [...values];
    for (const [number, value] of decimals) {
      packed[number] = value === null ? null : decimalBytes(value, DECIMALS.get(number)!);
    }
    return { values: packed, decimals: new Map(decimals) };
  });

function expression(
  type: ValueType,
  text: string,
  value: (row: Row) => Value,
  write: (program: ProgramWriter) => ProgramWriter,
  bits = 0,
): Expression {
  return { type, bits, text, value, write };
}

const nullOf = (type: ValueType): Expression =>
  expression(
    type,
    'NULL',
    () => null,
    (program) => program.null(type),
  );

const constantInteger = (value: bigint): Expression =>
  expression(
    INTEGER,
    `${value}`,
    () => value,
    (program) => program.integer(value),
    bitLength(value),
  );

const integerLeaf = fc.oneof(
  fc.constantFrom(...INTEGER_BITS).map(([number, bits]) =>
    expression(
      INTEGER,
      `column ${number}`,
      ({ values }) => (values[number] === null ? null : BigInt(values[number] as number | bigint)),
      (program) => program.column(number),
      bits,
    ),
  ),
  fc.constantFrom(...DECIMALS).map(([number, { digits, scale }]) =>
    expression(
      INTEGER,
      `decimal ${number}`,
      ({ decimals }) => decimals.get(number)!,
      (program) => program.decimal(number, digits, scale),
      bitLength(10n ** BigInt(digits) - 1n),
    ),
  ),
  fc.constantFrom(7, 8, BLOB_COLUMN).map((number) =>
    expression(
      INTEGER,
      `length ${number}`,
      ({ values }) => {
        const value = values[number] as Buffer | { lengthBytes: number } | null;
        return value === null ? null : BigInt('lengthBytes' in value ? value.lengthBytes : value.length);
      },
      (program) => program.length(number),
      number === BLOB_COLUMN ? 64 : 32,
    ),
  ),
  fc.constant(
    expression(
      INTEGER,
      'big-endian 6',
      ({ values }) => {
        const value = values[6] as Uint8Array | null;
        return value === null ? null : BigInt(`0x${Buffer.from(value).toString('hex')}`);
      },
      (program) => program.bigEndian(6),
      24,
    ),
  ),
  fc
    .oneof(smallIntegers, fc.bigInt({ min: 1n - 2n ** 126n, max: 2n ** 126n - 1n }))
    .map((value) => constantInteger(value)),
  fc.constant(nullOf(INTEGER)),
);

const doubleLeaf = fc.oneof(
  fc.constantFrom(4, 5).map((number) =>
    expression(
      DOUBLE,
      `column ${number}`,
      ({ values }) => values[number] as number | null,
      (program) => program.column(number),
    ),
  ),
  doubles.map((value) =>
    expression(
      DOUBLE,
      `${value}`,
      () => value,
      (program) => program.double(value),
    ),
  ),
  fc.constant(nullOf(DOUBLE)),
);

const bytesLeaf = fc.oneof(
  fc.constantFrom(6, 7, 8).map((number) =>
    expression(
      BYTES,
      `column ${number}`,
      ({ values }) => {
        const value = values[number] as Uint8Array | null;
        return value === null ? null : Buffer.from(value);
      },
      (program) => program.column(number),
    ),
  ),
  shortBytes.map((value) =>
    expression(
      BYTES,
      `'${value.toString('hex')}'`,
      () => value,
      (program) => program.bytes(value),
    ),
  ),
  fc.constant(nullOf(BYTES)),
);

type Arithmetic = 'ADD' | 'SUBTRACT' | 'MULTIPLY';

function arithmetic(operation: Arithmetic, left: Expression, right: Expression): Expression {
  const bits = operation === 'MULTIPLY' ? left.bits + right.bits : Math.max(left.bits, right.bits) + 1;
  if (bits > MAX_INTEGER_BITS) return left;
  const apply = { ADD: plus, SUBTRACT: minus, MULTIPLY: times }[operation];
  return expression(
    INTEGER,
    `(${left.text} ${operation} ${right.text})`,
    (row) => {
      const [a, b] = [left.value(row), right.value(row)];
      return a === null || b === null ? null : apply(a as bigint, b as bigint);
    },
    (program) => right.write(left.write(program)).operation(operation),
    bits,
  );
}
const plus = (a: bigint, b: bigint): bigint => a + b;
const minus = (a: bigint, b: bigint): bigint => a - b;
const times = (a: bigint, b: bigint): bigint => a * b;

function unary(
  operation: 'NEGATE' | 'TO_DOUBLE' | 'NOT' | 'IS_NULL' | 'IS_TRUE',
  type: ValueType,
  of: Expression,
  apply: (value: Value) => Value,
): Expression {
  return expression(
    type,
    `${operation}(${of.text})`,
    (row) => apply(of.value(row)),
    (program) => of.write(program).operation(operation),
    type === INTEGER ? of.bits : 0,
  );
}

/** Compares two values that are not NULL: below 0, 0 or above. */
export function order(left: Value, right: Value, isPadded: boolean): number {
  if (left instanceof Buffer && right instanceof Buffer) {
    const length = Math.max(left.length, right.length);
    const padded = (value: Buffer): Buffer =>
      isPadded ? Buffer.concat([value, Buffer.alloc(length - value.length, ' ')]) : value;
    return Buffer.compare(padded(left), padded(right));
  }
  return left! < right! ? -1 : left! > right! ? 1 : 0;
}

const HOLDS: Record<Comparison, (order: number) => boolean> = {
  EQUAL: (order) => order === 0,
  NOT_EQUAL: (order) => order !== 0,
  LESS: (order) => order < 0,
  LESS_OR_EQUAL: (order) => order <= 0,
  GREATER: (order) => order > 0,
  GREATER_OR_EQUAL: (order) => order >= 0,
  SAME: (order) => order === 0,
};

function comparison(how: Comparison, left: Expression, right: Expression, padding: boolean): Expression {
  const isPadded = padding && left.type === BYTES;
  return expression(
    BOOLEAN,
    `(${left.text} ${how}${isPadded ? ' padded' : ''} ${right.text})`,
    (row) => {
      const [a, b] = [left.value(row), right.value(row)];
      if (how === 'SAME' && (a === null || b === null)) return a === b;
      return a === null || b === null ? null : HOLDS[how](order(a, b, isPadded));
    },
    (program) => right.write(left.write(program)).compare(how, isPadded),
  );
}

function isIn(value: Expression, constants: readonly Expression[], padding: boolean): Expression {
  const isPadded = padding && value.type === BYTES;
  return expression(
    BOOLEAN,
    `(${value.text} IN${isPadded ? ' padded' : ''} (${constants.map(({ text }) => text).join()}))`,
    (row) => {
      const a = value.value(row);
      if (a === null) return null;
      const others = constants.map((constant) => constant.value(row));
      if (others.some((other) => other !== null && order(a, other, isPadded) === 0)) return true;
      return others.includes(null) ? null : false;
    },
    (program) =>
      constants
        .reduce((next, constant) => constant.write(next), value.write(program))
        .in(constants.length, isPadded),
  );
}

const startsWith = (left: Expression, right: Expression): Expression =>
  expression(
    BOOLEAN,
    `(${left.text} STARTS_WITH ${right.text})`,
    (row) => {
      const [a, b] = [left.value(row) as Buffer | null, right.value(row) as Buffer | null];
      return a && b && a.subarray(0, b.length).equals(b);
    },
    (program) => right.write(left.write(program)).operation('STARTS_WITH'),
  );

function junction(operation: 'AND' | 'OR', left: Expression, right: Expression): Expression {
  const decisive = operation === 'OR';
  return expression(
    BOOLEAN,
    `(${left.text} ${operation} ${right.text})`,
    (row) => {
      const both = [left.value(row), right.value(row)];
      if (both.includes(decisive)) return decisive;
      return both.includes(null) ? null : !decisive;
    },
    (program) => right.write(left.write(program)).operation(operation),
  );
}

const COMPARISONS = Object.keys(HOLDS) as Comparison[];
const constantsOf = {
  [INTEGER]: fc.oneof(smallIntegers.map(constantInteger), fc.constant(nullOf(INTEGER))),
  [DOUBLE]: doubleLeaf.filter(({ text }) => !text.startsWith('column')),
  [BYTES]: bytesLeaf.filter(({ text }) => !text.startsWith('column')),
};

/** Well-typed expressions of each type. */
export const expressions = fc.letrec<{
  integer: Expression;
  double: Expression;
  bytes: Expression;
  boolean: Expression;
}>((tie) => ({
  integer: fc.oneof(
    { maxDepth: 5, depthIdentifier: 'expression' },
    integerLeaf,
    fc
      .tuple(fc.constantFrom<Arithmetic[]>('ADD', 'SUBTRACT', 'MULTIPLY'), tie('integer'), tie('integer'))
      .map(([operation, left, right]) => arithmetic(operation, left, right)),
    tie('integer').map((of) => unary('NEGATE', INTEGER, of, (value) => value && -(value as bigint))),
  ),
  double: fc.oneof(
    { maxDepth: 5, depthIdentifier: 'expression' },
    doubleLeaf,
    tie('integer').map((of) =>
      unary('TO_DOUBLE', DOUBLE, of, (value) => (value === null ? null : Number(value))),
    ),
  ),
  bytes: bytesLeaf,
  boolean: fc.oneof(
    { maxDepth: 5, depthIdentifier: 'expression' },
    fc.constant(nullOf(BOOLEAN)),
    ...(['integer', 'double', 'bytes', 'boolean'] as const).map((type) =>
      fc
        .tuple(fc.constantFrom(...COMPARISONS), tie(type), tie(type), fc.boolean())
        .map(([how, left, right, padding]) => comparison(how, left, right, padding)),
    ),
    ...(['integer', 'double', 'bytes'] as const).map((type) =>
      fc
        .tuple(
          tie(type),
          fc.array(constantsOf[({ integer: INTEGER, double: DOUBLE, bytes: BYTES } as const)[type]], {
            minLength: 1,
            maxLength: 6,
          }),
          fc.boolean(),
        )
        .map(([value, constants, padding]) => isIn(value, constants, padding)),
    ),
    fc.tuple(bytesLeaf, bytesLeaf).map(([left, right]) => startsWith(left, right)),
    ...(['AND', 'OR'] as const).map((operation) =>
      fc.tuple(tie('boolean'), tie('boolean')).map(([left, right]) => junction(operation, left, right)),
    ),
    tie('boolean').map((of) => unary('NOT', BOOLEAN, of, (value) => (value === null ? null : !value))),
    tie('boolean').map((of) => unary('IS_TRUE', BOOLEAN, of, (value) => value === true)),
    fc
      .oneof(tie('integer'), tie('double'), tie('bytes'), tie('boolean'))
      .map((of) => unary('IS_NULL', BOOLEAN, of, (value) => value === null)),
  ),
}));
