/**
 * Functions over many rows that the host computes beside the data, so that only one row of results travels.
 */
import { readWindow } from '../../src/protocol/batches.js';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { ProgramWriter } from '../../src/protocol/program.js';
import { ColumnKind, asBuffer, type RawValue } from '../../src/protocol/rows.js';
import { checkComparable, isPadded, type FilteredColumns } from './filter.js';
import { decimalShape, decimalText } from './mariadb/decimal.js';
import type { AnyDefinition, ColumnName, Row } from './schema.js';
import type { AnyColumnType } from './types.js';

const { Function } = vamos.tables.Aggregate;

/** The columns for each function that is wanted. */
export interface Wanted<
  Sum extends string = string,
  Min extends string = string,
  Max extends string = string,
> {
  /** Columns of numbers. Sums of integers and decimals are exact. */
  sum?: readonly Sum[];
  min?: readonly Min[];
  max?: readonly Max[];
}

/**
 * A sum has the type that its column reads as (integers and decimals of MariaDB: strings, as mysql2 gives
 * them).
 */
type SumOf<Read> =
  Extract<Read, number | bigint> extends never ? unknown : Extract<Read, number | bigint> | null;

/** Results are NULL where no row had a value. */
export interface Aggregated<
  D extends AnyDefinition,
  Sum extends ColumnName<D>,
  Min extends ColumnName<D>,
  Max extends ColumnName<D>,
> {
  /** Rows that were aggregated. */
  count: number;
  sum: { [K in Sum]: SumOf<Row<D>[K]> };
  min: { [K in Min]: Row<D>[K] | null };
  max: { [K in Max]: Row<D>[K] | null };
}

interface Part {
  function: 'sum' | 'min' | 'max';
  name: string;
  number: number;
  type: AnyColumnType;
}

/** One request's aggregates, and how their results are read. */
export class AggregateList {
  readonly #parts: Part[] = [];

  /** @throws VamosError BAD_REQUEST: the host can't sum or compare a column */
  constructor(columns: FilteredColumns, wanted: Wanted) {
    for (const each of ['sum', 'min', 'max'] as const) {
      for (const name of wanted[each] ?? []) {
        const number = columns.findIndex((column) => column.name === name);
        if (number < 0) throw new VamosError('BAD_REQUEST', `no column ${name}`);
        const part = { function: each, name, number, type: columns[number]!.type };
        if (each === 'sum') checkSummable(part);
        else checkComparable(name, part.type);
        this.#parts.push(part);
      }
    }
  }

  get messages(): vamos.tables.IAggregate[] {
    return [
      { function: Function.COUNT },
      ...this.#parts.map((part) => ({
        function: { sum: Function.SUM, min: Function.MIN, max: Function.MAX }[part.function],
        value: valueOf(part),
        padded: part.function !== 'sum' && isPadded(part.type),
      })),
    ];
  }

  /** Reads the results from the window that answers the request. */
  read(window: Uint8Array): Aggregated<AnyDefinition, string, string, string> {
    const [row] = readWindow(window, false);
    if (!row?.row) throw new VamosError('INTERNAL', 'the host answered no aggregates');
    const source = new ResultReader(row.row);
    const results = { count: Number(source.count()), sum: {}, min: {}, max: {} } as Aggregated<
      AnyDefinition,
      string,
      string,
      string
    >;
    for (const part of this.#parts) {
      const isNull = source.count() === 0n;
      results[part.function][part.name] = isNull
        ? null
        : part.function === 'sum'
          ? readSum(source, part)
          : readOne(source, part);
    }
    return results;
  }
}

function checkSummable({ name, type }: Part): void {
  const isNumber = isInteger(type.kind) || isFloat(type.kind);
  const isLabel = /^mariadb:(enum|set|date|time|year|timestamp)/i.test(type.typeName);
  const isOwn = type.encode === undefined || type.typeName.startsWith('mariadb:');
  if ((isNumber && isOwn && !isLabel) || decimalShape(type.typeName)) return;
  throw new VamosError('BAD_REQUEST', `column ${name} holds no numbers that the host can add up`);
}

function valueOf({ function: what, number, type }: Part): Buffer {
  const shape = what === 'sum' ? decimalShape(type.typeName) : undefined;
  const program = new ProgramWriter();
  return (shape ? program.decimal(number, shape.digits, shape.scale) : program.column(number)).finish();
}

function readSum(source: ResultReader, { name, type }: Part): unknown {
  if (isFloat(type.kind)) return source.double();
  const sum = source.integer(4);
  const shape = decimalShape(type.typeName);
  if (shape) return decimalText(sum, shape.scale);
  if (type.typeName.startsWith('mariadb:')) return String(sum);
  if (type.kind === ColumnKind.INT64 || type.kind === ColumnKind.UINT64) return sum;
  if (!Number.isSafeInteger(Number(sum))) {
    throw new VamosError(
      'VALUE_OUT_OF_RANGE',
      `the sum of column ${name} is ${sum}, which no number can hold`,
    );
  }
  return Number(sum);
}

function readOne(source: ResultReader, { type }: Part): unknown {
  const raw = readRaw(source, type);
  return type.decode ? type.decode(raw) : raw;
}

function readRaw(source: ResultReader, { kind, isText }: AnyColumnType): RawValue {
  if (isFloat(kind)) return source.double();
  if (!isInteger(kind)) {
    const bytes = source.bytes();
    return isText ? bytes.toString('utf8') : new Uint8Array(bytes);
  }
  const value = source.integer(2);
  return kind === ColumnKind.INT64 || kind === ColumnKind.UINT64 ? value : Number(value);
}

const isFloat = (kind: ColumnKind): boolean => kind === ColumnKind.FLOAT || kind === ColumnKind.DOUBLE;
const isInteger = (kind: ColumnKind): boolean => kind <= ColumnKind.UINT64;

/** Reads results one after another (FORMATS.md, "Programs"). */
class ResultReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes);
  }

  count(): bigint {
    return this.#take(8).readBigUInt64LE();
  }

  double(): number {
    return this.#take(8).readDoubleLE();
  }

  /** Reads an integer of this many 64-bit words, in two's complement. */
  integer(words: number): bigint {
    const bytes = this.#take(8 * words);
    let value = bytes.readBigInt64LE(8 * (words - 1));
    for (let word = words - 2; word >= 0; word--) value = (value << 64n) | bytes.readBigUInt64LE(8 * word);
    return value;
  }

  bytes(): Buffer {
    return this.#take(this.#take(4).readUInt32LE());
  }

  #take(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new VamosError('CORRUPTION', 'aggregates that end too early');
    const taken = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}
