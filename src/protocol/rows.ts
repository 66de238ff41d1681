import { VamosError } from './errors.js';
import { vamos } from './generated/messages.js';
import { BLOB_REFERENCE_BYTES } from './generated/limits.js';

export const ColumnKind = vamos.tables.ColumnKind;
export type ColumnKind = vamos.tables.ColumnKind;

/** What the codecs need to know of a column. */
export interface ColumnLayout {
  /** For messages. */
  name: string;
  kind: ColumnKind;
  nullable: boolean;
  /** FIXED: its width; BYTES, BLOB: the most it may have, 0 for no limit of its own. */
  widthBytes: number;
  /** BYTES only: its values are strings in TypeScript, UTF-8 in the row. */
  isText?: boolean;
}

/** A blob that stands in chunks of its own. */
export interface BlobReference {
  blob: number;
  lengthBytes: number;
}

/**
 * A column's value as the codecs take and give it: number (8 to 32 bits, FLOAT, DOUBLE), bigint (64 bits), string (text),
 * Uint8Array (FIXED, BYTES, inline BLOB), BlobReference, or null.
 */
export type RawValue = number | bigint | string | Uint8Array | BlobReference | null;

const FIXED_WIDTHS: Partial<Record<ColumnKind, number>> = {
  [ColumnKind.INT8]: 1,
  [ColumnKind.UINT8]: 1,
  [ColumnKind.INT16]: 2,
  [ColumnKind.UINT16]: 2,
  [ColumnKind.INT32]: 4,
  [ColumnKind.UINT32]: 4,
  [ColumnKind.FLOAT]: 4,
  [ColumnKind.INT64]: 8,
  [ColumnKind.UINT64]: 8,
  [ColumnKind.DOUBLE]: 8,
};

const BlobForm = vamos.tables.Blob.Form;

/** Width of the column in the row's fixed part; 0: it stands in the variable part. */
export function fixedWidthBytes(column: { kind: ColumnKind; widthBytes: number }): number {
  return column.kind === ColumnKind.FIXED ? column.widthBytes : (FIXED_WIDTHS[column.kind] ?? 0);
}

/** A view of the same bytes with Buffer's readers. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

interface Placed {
  column: ColumnLayout;
  /** In the fixed part, or of its end offset. */
  offset: number;
  widthBytes: number;
}

/** Packs and unpacks rows of one list of columns (FORMATS.md, "Row"). */
export class RowFormat {
  readonly columns: readonly ColumnLayout[];
  readonly #placed: readonly Placed[];
  /** Everything before the variable part. */
  readonly #headerBytes: number;
  readonly #hasVariable: boolean;
  readonly #bitmapBytes: number;

  constructor(columns: readonly ColumnLayout[]) {
    this.columns = columns;
    this.#bitmapBytes = (columns.length + 7) >> 3;
    let offset = this.#bitmapBytes;
    const placed: Placed[] = [];
    for (const column of columns) {
      const widthBytes = fixedWidthBytes(column);
      placed.push({ column, widthBytes, offset });
      offset += widthBytes;
    }
    this.#hasVariable = placed.some((each) => each.widthBytes === 0);
    for (const each of placed) {
      if (each.widthBytes > 0) continue;
      each.offset = offset;
      offset += 4;
    }
    this.#placed = placed;
    this.#headerBytes = offset;
  }

  /** The format of rows with just these columns, in this order. */
  project(columns: readonly number[]): RowFormat {
    return new RowFormat(
      columns.map((number) => {
        const column = this.columns[number];
        if (!column)
          throw new VamosError('BAD_REQUEST', `no column ${number} in a row of ${this.columns.length}`);
        return column;
      }),
    );
  }

  /**
   * @param values one for each column
   * @throws VamosError BAD_REQUEST: a value that the column can't hold
   */
  pack(values: readonly RawValue[]): Buffer {
    if (values.length !== this.columns.length) {
      throw new VamosError(
        'BAD_REQUEST',
        `${values.length} values for a row of ${this.columns.length} columns`,
      );
    }
    const lengths = this.#hasVariable ? this.#variableLengths(values) : [];
    const variableBytes = lengths.reduce((sum, length) => sum + length, 0);
    const row = Buffer.allocUnsafe(this.#headerBytes + variableBytes);
    row.fill(0, 0, this.#headerBytes);
    let end = 0;
    for (let number = 0; number < this.#placed.length; number++) {
      const { column, offset, widthBytes } = this.#placed[number]!;
      const value = values[number]!;
      if (value === null) {
        if (!column.nullable) throw new VamosError('BAD_REQUEST', `column ${column.name} can't be NULL`);
        row[number >> 3]! |= 1 << (number & 7);
      } else if (widthBytes > 0) {
        writeFixed(row, offset, column, value);
      } else {
        writeVariable(row, this.#headerBytes + end, column, value, lengths[number]!);
        end += lengths[number]!;
      }
      if (widthBytes === 0) row.writeUInt32LE(end, offset);
    }
    return row;
  }

  #variableLengths(values: readonly RawValue[]): number[] {
    return this.#placed.map(({ column, widthBytes }, number) => {
      const value = values[number]!;
      if (widthBytes > 0 || value === null) return 0;
      return variableLength(column, value);
    });
  }

  /**
   * The blobs that a row refers to, without unpacking it.
   * @throws VamosError BAD_REQUEST: not a row of this format
   */
  references(bytes: Uint8Array): BlobReference[] {
    const row = asBuffer(bytes);
    if (row.length < this.#headerBytes) throw new VamosError('BAD_REQUEST', 'a row without its fixed part');
    const references: BlobReference[] = [];
    let from = 0;
    for (let number = 0; number < this.#placed.length; number++) {
      const { column, offset, widthBytes } = this.#placed[number]!;
      if (widthBytes > 0) continue;
      const to = row.readUInt32LE(offset);
      if (to < from || this.#headerBytes + to > row.length) {
        throw new VamosError('BAD_REQUEST', `column ${column.name} ends outside its row`);
      }
      const isNull = (row[number >> 3]! & (1 << (number & 7))) !== 0;
      const start = this.#headerBytes + from;
      if (column.kind === ColumnKind.BLOB && !isNull && row[start] !== BlobForm.INLINE) {
        references.push(readReference(row, start, this.#headerBytes + to, column));
      }
      from = to;
    }
    return references;
  }

  /**
   * The values of the row at bytes[start, end), copied out.
   * @throws VamosError BAD_REQUEST: not a row of this format
   */
  unpack(bytes: Uint8Array, start = 0, end = bytes.length): RawValue[] {
    const row = asBuffer(bytes);
    const variable = start + this.#headerBytes;
    if (variable > end || end > row.length) {
      throw new VamosError('BAD_REQUEST', `a row of ${end - start} bytes is shorter than its fixed part`);
    }
    const values = new Array<RawValue>(this.#placed.length);
    let from = 0;
    for (let number = 0; number < this.#placed.length; number++) {
      const { column, offset, widthBytes } = this.#placed[number]!;
      const isNull = (row[start + (number >> 3)]! & (1 << (number & 7))) !== 0;
      if (widthBytes > 0) {
        values[number] = isNull ? null : readFixed(row, start + offset, column);
        continue;
      }
      const to = row.readUInt32LE(start + offset);
      if (to < from || variable + to > end) {
        throw new VamosError('BAD_REQUEST', `column ${column.name} ends outside its row`);
      }
      values[number] = isNull ? null : readVariable(row, variable + from, variable + to, column);
      from = to;
    }
    if (variable + from !== end) {
      throw new VamosError('BAD_REQUEST', `a row with ${end - variable - from} bytes too many`);
    }
    return values;
  }
}

/** @throws VamosError BAD_REQUEST */
export function wrongValue(column: ColumnLayout, value: RawValue): VamosError {
  const shown = typeof value === 'object' ? 'the value' : `${typeof value} ${String(value).slice(0, 40)}`;
  return new VamosError(
    'BAD_REQUEST',
    `column ${column.name}: ${shown} does not fit ${ColumnKind[column.kind] ?? 'an unknown kind'}` +
      (column.widthBytes > 0 ? ` of ${column.widthBytes} bytes` : ''),
  );
}

const INTEGER_LIMITS: Partial<Record<ColumnKind, [number, number]>> = {
  [ColumnKind.INT8]: [-0x80, 0x7f],
  [ColumnKind.UINT8]: [0, 0xff],
  [ColumnKind.INT16]: [-0x8000, 0x7fff],
  [ColumnKind.UINT16]: [0, 0xffff],
  [ColumnKind.INT32]: [-0x80000000, 0x7fffffff],
  [ColumnKind.UINT32]: [0, 0xffffffff],
};

/** The value as a number that the column can hold. */
export function checkedNumber(column: ColumnLayout, value: RawValue): number {
  if (typeof value !== 'number') throw wrongValue(column, value);
  const limits = INTEGER_LIMITS[column.kind];
  if (limits && !(Number.isInteger(value) && value >= limits[0] && value <= limits[1])) {
    throw wrongValue(column, value);
  }
  return value;
}

/** The value as a bigint that the column can hold. */
export function checkedBigInt(column: ColumnLayout, value: RawValue): bigint {
  if (typeof value !== 'bigint') throw wrongValue(column, value);
  const fits =
    column.kind === ColumnKind.INT64
      ? BigInt.asIntN(64, value) === value
      : BigInt.asUintN(64, value) === value;
  if (!fits) throw wrongValue(column, value);
  return value;
}

/** The value as bytes that the column can hold. */
export function checkedBytes(column: ColumnLayout, value: RawValue): Uint8Array {
  const bytes = column.isText && typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  if (!(bytes instanceof Uint8Array)) throw wrongValue(column, value);
  const fits =
    column.kind === ColumnKind.FIXED
      ? bytes.length === column.widthBytes
      : column.widthBytes === 0 || bytes.length <= column.widthBytes;
  if (!fits) throw wrongValue(column, value);
  return bytes;
}

function writeFixed(row: Buffer, offset: number, column: ColumnLayout, value: RawValue): void {
  switch (column.kind) {
    case ColumnKind.INT8:
      row.writeInt8(checkedNumber(column, value), offset);
      return;
    case ColumnKind.UINT8:
      row.writeUInt8(checkedNumber(column, value), offset);
      return;
    case ColumnKind.INT16:
      row.writeInt16LE(checkedNumber(column, value), offset);
      return;
    case ColumnKind.UINT16:
      row.writeUInt16LE(checkedNumber(column, value), offset);
      return;
    case ColumnKind.INT32:
      row.writeInt32LE(checkedNumber(column, value), offset);
      return;
    case ColumnKind.UINT32:
      row.writeUInt32LE(checkedNumber(column, value), offset);
      return;
    case ColumnKind.FLOAT:
      row.writeFloatLE(checkedNumber(column, value), offset);
      return;
    case ColumnKind.DOUBLE:
      row.writeDoubleLE(checkedNumber(column, value), offset);
      return;
    case ColumnKind.INT64:
      row.writeBigInt64LE(checkedBigInt(column, value), offset);
      return;
    case ColumnKind.UINT64:
      row.writeBigUInt64LE(checkedBigInt(column, value), offset);
      return;
    default:
      row.set(checkedBytes(column, value), offset);
  }
}

function readFixed(row: Buffer, offset: number, column: ColumnLayout): RawValue {
  switch (column.kind) {
    case ColumnKind.INT8:
      return row.readInt8(offset);
    case ColumnKind.UINT8:
      return row.readUInt8(offset);
    case ColumnKind.INT16:
      return row.readInt16LE(offset);
    case ColumnKind.UINT16:
      return row.readUInt16LE(offset);
    case ColumnKind.INT32:
      return row.readInt32LE(offset);
    case ColumnKind.UINT32:
      return row.readUInt32LE(offset);
    case ColumnKind.FLOAT:
      return row.readFloatLE(offset);
    case ColumnKind.DOUBLE:
      return row.readDoubleLE(offset);
    case ColumnKind.INT64:
      return row.readBigInt64LE(offset);
    case ColumnKind.UINT64:
      return row.readBigUInt64LE(offset);
    default:
      return copy(row, offset, offset + column.widthBytes);
  }
}

function variableLength(column: ColumnLayout, value: RawValue): number {
  if (column.isText && typeof value === 'string') {
    const length = Buffer.byteLength(value, 'utf8');
    if (column.widthBytes > 0 && length > column.widthBytes) throw wrongValue(column, value);
    return length;
  }
  if (column.kind !== ColumnKind.BLOB) return checkedBytes(column, value).length;
  if (value instanceof Uint8Array) return 1 + checkedBytes(column, value).length;
  if (typeof value !== 'object' || value === null) throw wrongValue(column, value);
  if (column.widthBytes > 0 && value.lengthBytes > column.widthBytes) throw wrongValue(column, value);
  return BLOB_REFERENCE_BYTES;
}

function writeVariable(
  row: Buffer,
  offset: number,
  column: ColumnLayout,
  value: RawValue,
  length: number,
): void {
  if (typeof value === 'string') {
    row.write(value, offset, length, 'utf8');
  } else if (column.kind !== ColumnKind.BLOB) {
    row.set(value as Uint8Array, offset);
  } else if (value instanceof Uint8Array) {
    row[offset] = BlobForm.INLINE;
    row.set(value, offset + 1);
  } else {
    const reference = value as BlobReference;
    row[offset] = BlobForm.CHUNKS;
    row.writeBigUInt64LE(BigInt(reference.blob), offset + 1);
    row.writeBigUInt64LE(BigInt(reference.lengthBytes), offset + 9);
  }
}

function readVariable(row: Buffer, start: number, end: number, column: ColumnLayout): RawValue {
  if (column.isText) return row.toString('utf8', start, end);
  if (column.kind !== ColumnKind.BLOB) return copy(row, start, end);
  if (end - start >= 1 && row[start] === BlobForm.INLINE) return copy(row, start + 1, end);
  return readReference(row, start, end, column);
}

function readReference(row: Buffer, start: number, end: number, column: ColumnLayout): BlobReference {
  if (end - start === BLOB_REFERENCE_BYTES && row[start] === BlobForm.CHUNKS) {
    const blob = row.readBigUInt64LE(start + 1);
    const lengthBytes = row.readBigUInt64LE(start + 9);
    if (blob > 0n && blob <= Number.MAX_SAFE_INTEGER && lengthBytes <= Number.MAX_SAFE_INTEGER) {
      return { blob: Number(blob), lengthBytes: Number(lengthBytes) };
    }
  }
  throw new VamosError('BAD_REQUEST', `column ${column.name}: neither blob bytes nor a reference`);
}

/** A copy that keeps no larger buffer alive. */
function copy(bytes: Buffer, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}
