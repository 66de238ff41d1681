import { VamosError } from '../../src/protocol/errors.js';
import { ColumnKind, type ColumnLayout, type RawValue } from '../../src/protocol/rows.js';
import type { BlobHandle, BlobSource } from './blob.js';

/** How a column's values look in TypeScript, and how they stand in the row. */
export class ColumnType<Read, Written = Read, Nullable extends boolean = false> {
  declare readonly read: Read;
  declare readonly written: Written;
  /** The type's name, which is kept with the definition, so that a table opens by name alone. */
  readonly typeName: string;
  readonly kind: ColumnKind;
  readonly widthBytes: number;
  readonly isNullable: Nullable;
  readonly isText: boolean;
  /** Turns a value into what the row holds; without it the value is stored as it is. */
  readonly encode: ((value: never) => RawValue) | undefined;
  readonly decode: ((raw: RawValue) => unknown) | undefined;
  /**
   * The value does not say all that stands in the row (a Date has no microseconds), so an old row is
   * identified by its bytes.
   */
  readonly isLossy: boolean;
  /** The collation that orders indexes of a text column in a table that MariaDB made. */
  readonly collation: string | undefined;
  /** The column is MariaDB's CHAR: its values sort as if filled up with spaces, whatever the collation. */
  readonly isPadded: boolean;
  /** MariaDB computes the column from others. */
  readonly isGenerated: boolean;

  constructor(options: {
    typeName: string;
    kind: ColumnKind;
    widthBytes?: number;
    isNullable?: boolean;
    isText?: boolean;
    encode?: ((value: never) => RawValue) | undefined;
    decode?: ((raw: RawValue) => unknown) | undefined;
    isLossy?: boolean;
    collation?: string | undefined;
    isPadded?: boolean;
    isGenerated?: boolean;
  }) {
    this.typeName = options.typeName;
    this.kind = options.kind;
    this.widthBytes = options.widthBytes ?? 0;
    this.isNullable = (options.isNullable ?? false) as Nullable;
    this.isText = options.isText ?? false;
    this.encode = options.encode;
    this.decode = options.decode;
    this.isLossy = options.isLossy ?? false;
    this.collation = options.collation;
    this.isPadded = options.isPadded ?? false;
    this.isGenerated = options.isGenerated ?? false;
  }

  /** Returns the same type with NULL allowed. */
  nullable(): ColumnType<Read | null, Written | null, true> {
    return new ColumnType({ ...this, isNullable: true });
  }

  layout(name: string): ColumnLayout {
    return {
      name,
      kind: this.kind,
      nullable: this.isNullable,
      widthBytes: this.widthBytes,
      isText: this.isText,
    };
  }
}

export type AnyColumnType = ColumnType<unknown, unknown, boolean>;

function plain<Value>(typeName: string, kind: ColumnKind, widthBytes = 0): ColumnType<Value> {
  return new ColumnType({ typeName, kind, widthBytes });
}

function wrong(typeName: string, value: unknown): VamosError {
  return new VamosError('BAD_REQUEST', `${String(value)} is not a ${typeName}`);
}

/** The column types. Integers of 64 bits are bigint, the smaller ones number. */
export const t = {
  int8: () => plain<number>('int8', ColumnKind.INT8),
  int16: () => plain<number>('int16', ColumnKind.INT16),
  int32: () => plain<number>('int32', ColumnKind.INT32),
  int64: () => plain<bigint>('int64', ColumnKind.INT64),
  uint8: () => plain<number>('uint8', ColumnKind.UINT8),
  uint16: () => plain<number>('uint16', ColumnKind.UINT16),
  uint32: () => plain<number>('uint32', ColumnKind.UINT32),
  uint64: () => plain<bigint>('uint64', ColumnKind.UINT64),
  /** A 32-bit IEEE 754 number: what is read is what was written, rounded. */
  float: () => plain<number>('float', ColumnKind.FLOAT),
  double: () => plain<number>('double', ColumnKind.DOUBLE),
  boolean: () =>
    new ColumnType<boolean>({
      typeName: 'boolean',
      kind: ColumnKind.UINT8,
      encode: (value: boolean) => {
        if (typeof value !== 'boolean') throw wrong('boolean', value);
        return value ? 1 : 0;
      },
      decode: (raw) => raw !== 0,
    }),
  /**
   * A string: UTF-8 in the row, ordered by code point.
   * @param maxBytes the most bytes of its UTF-8; 0: no limit of its own
   */
  text: (maxBytes = 0) =>
    new ColumnType<string>({
      typeName: 'text',
      kind: ColumnKind.BYTES,
      widthBytes: maxBytes,
      isText: true,
      encode: (value: string) => {
        if (typeof value !== 'string') throw wrong('text', value);
        return value;
      },
    }),
  /**
   * Bytes.
   * @param maxBytes 0: no limit of its own
   */
  bytes: (maxBytes = 0) => plain<Uint8Array>('bytes', ColumnKind.BYTES, maxBytes),
  /** Bytes of exactly this number, 1 to 65,535. */
  fixed: (widthBytes: number) => plain<Uint8Array>('fixed', ColumnKind.FIXED, widthBytes),
  /** A Date, stored as milliseconds since 1970. */
  dateTime: () =>
    new ColumnType<Date>({
      typeName: 'date-time',
      kind: ColumnKind.INT64,
      encode: (value: Date) => {
        if (!(value instanceof Date) || Number.isNaN(value.getTime())) throw wrong('date-time', value);
        return BigInt(value.getTime());
      },
      decode: (raw) => new Date(Number(raw)),
    }),
  /** Anything that JSON can hold, stored as its text. */
  json: <Value = unknown>() =>
    new ColumnType<Value>({
      typeName: 'json',
      kind: ColumnKind.BYTES,
      isText: true,
      encode: (value: unknown) => {
        const text = JSON.stringify(value) as string | undefined;
        if (text === undefined) throw wrong('json', value);
        return text;
      },
      decode: parseJson,
    }),
  /**
   * Bytes up to 1 GiB, read as a handle: small blobs stand in the row, others are streamed beside it.
   * @param maxBytes 0: no limit of its own
   */
  blob: (maxBytes = 0) =>
    new ColumnType<BlobHandle, BlobHandle | BlobSource>({
      typeName: 'blob',
      kind: ColumnKind.BLOB,
      widthBytes: maxBytes,
    }),
};

function parseJson(raw: RawValue): unknown {
  try {
    return JSON.parse(raw as string);
  } catch (cause) {
    throw new VamosError('CORRUPTION', 'a json column holds no JSON', { cause });
  }
}

const BY_NAME: Record<string, (widthBytes: number) => AnyColumnType> = {
  int8: t.int8,
  int16: t.int16,
  int32: t.int32,
  int64: t.int64,
  uint8: t.uint8,
  uint16: t.uint16,
  uint32: t.uint32,
  uint64: t.uint64,
  float: t.float,
  double: t.double,
  boolean: t.boolean,
  text: t.text,
  bytes: t.bytes,
  fixed: t.fixed,
  'date-time': t.dateTime,
  json: () => t.json(),
  blob: t.blob,
};

const BY_KIND: Record<ColumnKind, (widthBytes: number) => AnyColumnType> = {
  [ColumnKind.INT8]: t.int8,
  [ColumnKind.INT16]: t.int16,
  [ColumnKind.INT32]: t.int32,
  [ColumnKind.INT64]: t.int64,
  [ColumnKind.UINT8]: t.uint8,
  [ColumnKind.UINT16]: t.uint16,
  [ColumnKind.UINT32]: t.uint32,
  [ColumnKind.UINT64]: t.uint64,
  [ColumnKind.FLOAT]: t.float,
  [ColumnKind.DOUBLE]: t.double,
  [ColumnKind.FIXED]: t.fixed,
  [ColumnKind.BYTES]: t.bytes,
  [ColumnKind.BLOB]: t.blob,
};

/**
 * Returns the type of a column that another connector may have defined: by its type's name if that is one of
 * ours, else by its kind.
 */
export function typeOfColumn(column: {
  kind: ColumnKind;
  type: string;
  nullable: boolean;
  widthBytes: number;
}): AnyColumnType {
  const named = Object.hasOwn(BY_NAME, column.type) ? BY_NAME[column.type]!(column.widthBytes) : undefined;
  const type = named?.kind === column.kind ? named : BY_KIND[column.kind](column.widthBytes);
  return column.nullable ? type.nullable() : type;
}
