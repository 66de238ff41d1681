import type { IndexEntry } from '../../src/protocol/batches.js';
import { VamosError } from '../../src/protocol/errors.js';
import type { vamos } from '../../src/protocol/generated/messages.js';
import { KeyFormat } from '../../src/protocol/keys.js';
import { ColumnKind, RowFormat, type BlobReference, type RawValue } from '../../src/protocol/rows.js';
import { BlobHandle, type BlobReader } from './blob.js';
import type { AnyColumnType } from './types.js';
import type { AnyDefinition, Columns } from './schema.js';

/** A row with its values by column name. */
export type AnyRow = Record<string, unknown>;

/** The bytes that rows of a transaction were read from: an update says by them what it expects to find. */
const packedRows = new WeakMap<object, Buffer>();

/** The columns that a read asked for. */
export interface Projection {
  /** Empty: all. */
  readonly numbers: number[];
  readonly columns: readonly { name: string; type: AnyColumnType }[];
  readonly format: RowFormat;
}

/** Turns rows and keys of one table into bytes and back. */
export class TableCodec {
  readonly table: number;
  readonly version: number;
  readonly columns: readonly { name: string; type: AnyColumnType }[];
  /** By number; the first is the primary key. */
  readonly indexes: readonly { name: string; unique: boolean; columns: number[]; format: KeyFormat }[];
  readonly autoIncrementColumn: number | undefined;
  readonly blobColumns: readonly number[];
  readonly whole: Projection;
  readonly #numbers: ReadonlyMap<string, number>;

  constructor(info: vamos.tables.ITableInfo, definition: AnyDefinition) {
    this.table = info.table ?? 0;
    this.version = info.version ?? 0;
    const message = info.definition!;
    const types = definition.columns as Columns;
    this.columns = (message.columns ?? []).map((column) => ({
      name: column.name ?? '',
      type: types[column.name ?? '']!,
    }));
    this.#numbers = new Map(this.columns.map(({ name }, number) => [name, number]));
    const layouts = this.columns.map(({ name, type }) => type.layout(name));
    this.whole = { numbers: [], columns: this.columns, format: new RowFormat(layouts) };
    this.indexes = (message.indexes ?? []).map((index) => {
      const columns = (index.parts ?? []).map((part) => part.column ?? 0);
      const format = new KeyFormat(
        (index.parts ?? []).map((part) => ({
          column: layouts[part.column ?? 0]!,
          descending: part.descending ?? false,
        })),
      );
      return { name: index.name ?? '', unique: index.unique ?? false, columns, format };
    });
    this.autoIncrementColumn = message.autoIncrement ? message.autoIncrement - 1 : undefined;
    this.blobColumns = layouts.flatMap((layout, number) => (layout.kind === ColumnKind.BLOB ? [number] : []));
  }

  projection(names: readonly string[] | undefined): Projection {
    if (!names) return this.whole;
    const numbers = names.map((name) => this.#columnNumber(name));
    return {
      numbers,
      columns: numbers.map((number) => this.columns[number]!),
      format: this.whole.format.project(numbers),
    };
  }

  #columnNumber(name: string): number {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new VamosError('BAD_REQUEST', `no column ${name}`);
    return number;
  }

  indexNumber(name: string): number {
    const number = this.indexes.findIndex((index) => index.name === name);
    if (number < 0) throw new VamosError('INDEX_MISSING', `no index ${name}`);
    return number;
  }

  /** The row's values as the formats take them. @throws VamosError BAD_REQUEST */
  rawValues(row: AnyRow): RawValue[] {
    for (const name in row) this.#columnNumber(name);
    return this.columns.map(({ name, type }) => rawValue(name, type, row[name]));
  }

  /** The bytes that a row was read from, or those that it would be written as. */
  packedAsRead(row: AnyRow): { packed: Buffer; raw: RawValue[] } {
    const packed = packedRows.get(row);
    if (packed) return { packed, raw: this.whole.format.unpack(packed) };
    for (const { name } of this.columns) {
      if (row[name] === undefined) {
        throw new VamosError('BAD_REQUEST', `the old row lacks column ${name}: read it whole`);
      }
    }
    const raw = this.rawValues(row);
    return { packed: this.whole.format.pack(raw), raw };
  }

  entries(raw: readonly RawValue[]): IndexEntry[] {
    return this.indexes.map(({ columns, format }) => {
      const values = columns.map((number) => raw[number] as RawValue);
      return { key: format.encode(values), hasNull: values.includes(null) };
    });
  }

  /** The row of a window; `keep`: with its bytes, for an update that must be exact. */
  unpack(projection: Projection, bytes: Buffer, reader: BlobReader, keep: boolean): AnyRow {
    const row = this.toRow(projection, projection.format.unpack(bytes), reader);
    if (keep && projection === this.whole) packedRows.set(row, bytes);
    return row;
  }

  toRow(projection: Projection, raw: readonly RawValue[], reader: BlobReader): AnyRow {
    const row: AnyRow = {};
    const { columns } = projection;
    for (let number = 0; number < columns.length; number++) {
      const { name, type } = columns[number]!;
      const value = raw[number]!;
      if (value === null) row[name] = null;
      else if (type.kind === ColumnKind.BLOB) {
        row[name] = new BlobHandle(value as Uint8Array | BlobReference, reader);
      } else row[name] = type.decode ? type.decode(value) : value;
    }
    return row;
  }

  /** The whole key of an index, from an object of its columns or the one column's value. */
  key(index: number, key: unknown): Buffer {
    const { name, columns, format } = this.indexes[index]!;
    const values = isPlainObject(key) ? this.#prefixValues(index, key) : [this.#keyValue(columns[0]!, key)];
    if (values.length !== columns.length) {
      const wanted = columns.map((number) => this.columns[number]!.name).join(', ');
      throw new VamosError('BAD_REQUEST', `a key of index ${name} needs ${wanted}`);
    }
    return format.encode(values);
  }

  /** What all keys with these values of the index's first columns begin with. */
  keyPrefix(index: number, prefix: AnyRow): Buffer {
    return this.indexes[index]!.format.encode(this.#prefixValues(index, prefix));
  }

  #prefixValues(index: number, prefix: AnyRow): RawValue[] {
    const { name, columns } = this.indexes[index]!;
    const given = Object.keys(prefix).filter((each) => prefix[each] !== undefined);
    const used = columns.slice(0, given.length);
    for (const each of given) {
      if (!used.includes(this.#columnNumber(each))) {
        throw new VamosError('BAD_REQUEST', `column ${each} is not among the first columns of index ${name}`);
      }
    }
    return used.map((number) => this.#keyValue(number, prefix[this.columns[number]!.name]));
  }

  #keyValue(number: number, value: unknown): RawValue {
    const { name, type } = this.columns[number]!;
    return rawValue(name, type, value);
  }
}

function rawValue(name: string, type: AnyColumnType, value: unknown): RawValue {
  if (value === undefined || value === null) return null;
  if (type.kind === ColumnKind.BLOB) return value instanceof BlobHandle ? value.raw : (value as RawValue);
  try {
    return type.encode ? type.encode(value as never) : (value as RawValue);
  } catch (cause) {
    throw new VamosError('BAD_REQUEST', `column ${name}: ${(cause as Error).message}`, { cause });
  }
}

function isPlainObject(value: unknown): value is AnyRow {
  return (
    typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !(value instanceof Date)
  );
}
