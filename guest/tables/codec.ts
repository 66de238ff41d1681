import type { IndexEntry } from '../../src/protocol/batches.js';
import { VamosError } from '../../src/protocol/errors.js';
import type { vamos } from '../../src/protocol/generated/messages.js';
import { KeyFormat } from '../../src/protocol/keys.js';
import { ColumnKind, RowFormat, type BlobReference, type RawValue } from '../../src/protocol/rows.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import { BlobHandle, type BlobReader } from './blob.js';
import { sortKey } from './mariadb/collation.js';
import { isHiddenColumn } from './mariadb/type.js';
import type { AnyDefinition, Columns } from './schema.js';
import type { AnyColumnType } from './types.js';

/** A row with its values by column name. */
export type AnyRow = Record<string, unknown>;

/** The bytes that rows of a transaction were read from, by which an update says what it expects to find. */
const packedRows = new WeakMap<object, Buffer>();

/** The columns that a read asked for. */
export interface Projection {
  /** Column numbers; empty: all columns. */
  readonly numbers: number[];
  readonly columns: readonly { name: string; type: AnyColumnType }[];
  readonly format: RowFormat;
}

/** A part of an index, as the table's definition has it. */
interface IndexPart {
  column: number;
  /** Set if the part's bytes are a sort key of this many first characters; 0: of all. */
  opaque: { prefixCharacters: number } | undefined;
}

interface CodecIndex {
  name: string;
  unique: boolean;
  parts: readonly IndexPart[];
  format: KeyFormat;
}

/** Turns rows and keys of one table into bytes and back. */
export class TableCodec {
  readonly table: number;
  readonly version: number;
  readonly columns: readonly { name: string; type: AnyColumnType }[];
  /** Indexes by number; the first is the primary key. */
  readonly indexes: readonly CodecIndex[];
  readonly autoIncrementColumn: number | undefined;
  readonly blobColumns: readonly number[];
  readonly whole: Projection;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #isLossy: boolean;

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
      const parts = (index.parts ?? []).map((part) => ({
        column: part.column ?? 0,
        opaque: part.opaque ? { prefixCharacters: part.prefixCharacters ?? 0 } : undefined,
      }));
      const format = new KeyFormat(
        (index.parts ?? []).map((part) => ({
          column: layouts[part.column ?? 0]!,
          descending: part.descending ?? false,
          opaque: part.opaque ?? false,
        })),
      );
      return { name: index.name ?? '', unique: index.unique ?? false, parts, format };
    });
    this.#isLossy = this.columns.some(({ type }) => type.isLossy);
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
    // The primary key is the first index, whatever its connector called it.
    const number = name === 'primary' ? 0 : this.indexes.findIndex((index) => index.name === name);
    if (number < 0) throw new VamosError('INDEX_MISSING', `no index ${name}`);
    return number;
  }

  /**
   * Returns the row's values as the formats take them.
   * @param before the row that it changes, with its values: a value that is still the same keeps its bytes
   * @throws VamosError BAD_REQUEST
   */
  rawValues(row: AnyRow, before?: { row: AnyRow; raw: readonly RawValue[] }): RawValue[] {
    for (const name in row) this.#columnNumber(name);
    const generated = this.columns.find(({ type }) => type.isGenerated);
    if (generated) {
      throw new VamosError(
        'BAD_REQUEST',
        `MariaDB computes column ${generated.name}: write the table through it`,
      );
    }
    return this.columns.map(({ name, type }, number) =>
      before && row[name] === before.row[name] ? before.raw[number]! : rawValue(name, type, row[name]),
    );
  }

  /** Returns the bytes that a row was read from, or those that it would be written as. */
  packedAsRead(row: AnyRow): { packed: Buffer; raw: RawValue[] } {
    const packed = packedRows.get(row);
    if (packed) return { packed, raw: this.whole.format.unpack(packed) };
    if (this.#isLossy) {
      throw new VamosError('BAD_REQUEST', 'the old row is the object that a read of whole rows returned');
    }
    for (const { name } of this.columns) {
      if (row[name] === undefined) {
        throw new VamosError('BAD_REQUEST', `the old row lacks column ${name}: read it whole`);
      }
    }
    const raw = this.rawValues(row);
    return { packed: this.whole.format.pack(raw), raw };
  }

  entries(raw: readonly RawValue[]): IndexEntry[] {
    return this.indexes.map(({ parts, format }) => {
      const values = parts.map((part) => this.#partValue(part, raw[part.column]!));
      return { key: format.encode(values), hasNull: values.includes(null) };
    });
  }

  /**
   * Returns what the key holds for a column's value.
   * @throws VamosError BAD_REQUEST: a collation that only MariaDB knows
   */
  #partValue({ column, opaque }: IndexPart, value: RawValue): RawValue {
    if (!opaque || value === null) return value;
    const { name, type } = this.columns[column]!;
    if (!(value instanceof Uint8Array)) {
      throw new VamosError('BAD_REQUEST', `column ${name} is too long to be part of a key here`);
    }
    const { collation = 'binary', isPadded } = type;
    return sortKey({ name, collation, isPadded }, value, opaque.prefixCharacters);
  }

  /** Reads a row of a window. With `keep` its bytes are kept for an update that must be exact. */
  unpack(projection: Projection, bytes: Buffer, reader: BlobReader, keep: boolean): AnyRow {
    const row = this.toRow(projection, projection.format.unpack(bytes), reader);
    if ((keep || this.#isLossy) && projection === this.whole) packedRows.set(row, bytes);
    return row;
  }

  toRow(projection: Projection, raw: readonly RawValue[], reader: BlobReader): AnyRow {
    const row: AnyRow = {};
    const { columns } = projection;
    for (let number = 0; number < columns.length; number++) {
      const { name, type } = columns[number]!;
      const value = raw[number]!;
      if (isHiddenColumn(name)) continue;
      if (value === null) row[name] = null;
      else if (type.kind === ColumnKind.BLOB && !(type.decode && value instanceof Uint8Array)) {
        row[name] = new BlobHandle(value as Uint8Array | BlobReference, reader);
      } else row[name] = type.decode ? type.decode(value) : value;
    }
    return row;
  }

  /**
   * Fills in the values that are read whole and stand in chunks beside the row; undefined: there are none.
   */
  readChunks(row: AnyRow, options: CallOptions): Promise<void> | undefined {
    const missing = this.columns.filter(
      ({ name, type }) => type.decode && type.kind === ColumnKind.BLOB && row[name] instanceof BlobHandle,
    );
    if (missing.length === 0) return undefined;
    const read = async (): Promise<void> => {
      for (const { name, type } of missing) {
        row[name] = type.decode!(await (row[name] as BlobHandle).bytes(options));
      }
    };
    return read();
  }

  /** Returns the whole key of an index, from an object of its columns or the only column's value. */
  key(index: number, key: unknown): Buffer {
    const { name, parts, format } = this.indexes[index]!;
    const values = isPlainObject(key) ? this.#prefixValues(index, key) : [this.#keyValue(parts[0]!, key)];
    if (values.length !== parts.length) {
      const wanted = parts.map((part) => this.columns[part.column]!.name).join(', ');
      throw new VamosError('BAD_REQUEST', `a key of index ${name} needs ${wanted}`);
    }
    return format.encode(values);
  }

  /** Returns what all keys with these values of the index's first columns begin with. */
  keyPrefix(index: number, prefix: AnyRow): Buffer {
    return this.indexes[index]!.format.encode(this.#prefixValues(index, prefix));
  }

  #prefixValues(index: number, prefix: AnyRow): RawValue[] {
    const { name, parts } = this.indexes[index]!;
    const given = Object.keys(prefix).filter((each) => prefix[each] !== undefined);
    const used = parts.slice(0, given.length);
    for (const each of given) {
      const number = this.#columnNumber(each);
      if (!used.some((part) => part.column === number)) {
        throw new VamosError('BAD_REQUEST', `column ${each} is not among the first columns of index ${name}`);
      }
    }
    return used.map((part) => this.#keyValue(part, prefix[this.columns[part.column]!.name]));
  }

  #keyValue(part: IndexPart, value: unknown): RawValue {
    const { name, type } = this.columns[part.column]!;
    return this.#partValue(part, rawValue(name, type, value));
  }
}

function rawValue(name: string, type: AnyColumnType, value: unknown): RawValue {
  if (value === undefined || value === null) return null;
  if (value instanceof BlobHandle) return value.raw;
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
