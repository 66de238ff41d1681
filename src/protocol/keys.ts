import { VamosError } from './errors.js';
import {
  ColumnKind,
  asBuffer,
  checkedBigInt,
  checkedBytes,
  checkedNumber,
  fixedWidthBytes,
  type ColumnLayout,
  type RawValue,
} from './rows.js';

export interface KeyPart {
  column: ColumnLayout;
  descending: boolean;
  /** Its values come as the bytes that stand in the key, which nothing turns back. */
  opaque?: boolean;
}

/** Encodes and decodes keys of one index, so that `memcmp` orders them as the index does (FORMATS.md, "Key"). */
export class KeyFormat {
  readonly parts: readonly KeyPart[];

  constructor(parts: readonly KeyPart[]) {
    this.parts = parts;
  }

  /**
   * @param values of the first parts, or of all: fewer give the prefix that all keys with these values share
   * @throws VamosError BAD_REQUEST: a value that the column can't hold
   */
  encode(values: readonly RawValue[]): Buffer {
    if (values.length > this.parts.length) {
      throw new VamosError('BAD_REQUEST', `${values.length} values for a key of ${this.parts.length} parts`);
    }
    const pieces = values.map((value, number) => encodePart(this.parts[number]!, value));
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /**
   * @param key a whole key
   * @throws VamosError BAD_REQUEST: not a key of this index
   */
  decode(key: Uint8Array): RawValue[] {
    const reader = { bytes: asBuffer(key), offset: 0 };
    const values = this.parts.map((part) => decodePart(part, reader));
    if (reader.offset !== key.length) throw notAKey();
    return values;
  }
}

const NULL_BYTE = 0x00;
const VALUE_BYTE = 0x01;
const SIGN = 0x80;

function encodePart({ column, descending, opaque }: KeyPart, value: RawValue): Buffer {
  if (value === null && !column.nullable) {
    throw new VamosError('BAD_REQUEST', `column ${column.name} can't be NULL`);
  }
  const data =
    value === null ? undefined : opaque ? asBuffer(value as Uint8Array) : encodeValue(column, value);
  const mark = column.nullable ? 1 : 0;
  const part = Buffer.allocUnsafe(mark + (data?.length ?? 0));
  if (mark) part[0] = data ? VALUE_BYTE : NULL_BYTE;
  if (data) part.set(data, mark);
  if (descending) for (let offset = 0; offset < part.length; offset++) part[offset]! ^= 0xff;
  return part;
}

function encodeValue(column: ColumnLayout, value: RawValue): Buffer {
  if (column.kind === ColumnKind.BYTES) return escapeZeros(checkedBytes(column, value));
  if (column.kind === ColumnKind.FIXED) return asBuffer(checkedBytes(column, value));
  const width = fixedWidthBytes(column);
  const data = Buffer.allocUnsafe(width);
  switch (column.kind) {
    case ColumnKind.INT8:
    case ColumnKind.INT16:
    case ColumnKind.INT32:
      data.writeIntBE(checkedNumber(column, value), 0, width);
      data[0]! ^= SIGN;
      return data;
    case ColumnKind.UINT8:
    case ColumnKind.UINT16:
    case ColumnKind.UINT32:
      data.writeUIntBE(checkedNumber(column, value), 0, width);
      return data;
    case ColumnKind.INT64:
      data.writeBigInt64BE(checkedBigInt(column, value));
      data[0]! ^= SIGN;
      return data;
    case ColumnKind.UINT64:
      data.writeBigUInt64BE(checkedBigInt(column, value));
      return data;
    case ColumnKind.FLOAT:
      data.writeFloatBE(checkedNumber(column, value));
      return orderFloat(data);
    case ColumnKind.DOUBLE:
      data.writeDoubleBE(checkedNumber(column, value));
      return orderFloat(data);
    default:
      throw new VamosError('BAD_REQUEST', `column ${column.name} can't be part of a key`);
  }
}

/** Makes the order of IEEE bits that of their bytes, -0 as 0. */
function orderFloat(data: Buffer): Buffer {
  const isZero = (data[0]! & 0x7f) === 0 && data.every((byte, offset) => offset === 0 || byte === 0);
  if (isZero) data[0] = 0;
  if (data[0]! & SIGN) for (let offset = 0; offset < data.length; offset++) data[offset]! ^= 0xff;
  else data[0]! ^= SIGN;
  return data;
}

/** BYTES in a key. */
export function escapeZeros(bytes: Uint8Array): Buffer {
  let zeros = 0;
  for (const byte of bytes) if (byte === 0) zeros++;
  const escaped = Buffer.allocUnsafe(bytes.length + zeros + 2);
  let to = 0;
  if (zeros === 0) {
    escaped.set(bytes);
    to = bytes.length;
  } else {
    for (const byte of bytes) {
      escaped[to++] = byte;
      if (byte === 0) escaped[to++] = 0xff;
    }
  }
  escaped[to++] = 0x00;
  escaped[to] = 0x01;
  return escaped;
}

interface Reader {
  bytes: Buffer;
  offset: number;
}

function notAKey(): VamosError {
  return new VamosError('BAD_REQUEST', 'not a key of this index');
}

function take(reader: Reader, length: number, descending: boolean): Buffer {
  const end = reader.offset + length;
  if (end > reader.bytes.length) throw notAKey();
  const data = Buffer.from(reader.bytes.subarray(reader.offset, end));
  reader.offset = end;
  if (descending) for (let offset = 0; offset < length; offset++) data[offset]! ^= 0xff;
  return data;
}

function decodePart({ column, descending, opaque }: KeyPart, reader: Reader): RawValue {
  if (opaque) throw notAKey();
  if (column.nullable) {
    const mark = take(reader, 1, descending)[0];
    if (mark === NULL_BYTE) return null;
    if (mark !== VALUE_BYTE) throw notAKey();
  }
  if (column.kind === ColumnKind.BYTES) {
    const data = takeEscaped(reader, descending);
    return column.isText ? data.toString('utf8') : new Uint8Array(data);
  }
  const width = fixedWidthBytes(column);
  const data = take(reader, width, descending);
  switch (column.kind) {
    case ColumnKind.INT8:
    case ColumnKind.INT16:
    case ColumnKind.INT32:
      data[0]! ^= SIGN;
      return data.readIntBE(0, width);
    case ColumnKind.UINT8:
    case ColumnKind.UINT16:
    case ColumnKind.UINT32:
      return data.readUIntBE(0, width);
    case ColumnKind.INT64:
      data[0]! ^= SIGN;
      return data.readBigInt64BE();
    case ColumnKind.UINT64:
      return data.readBigUInt64BE();
    case ColumnKind.FLOAT:
      return restoreFloat(data).readFloatBE();
    case ColumnKind.DOUBLE:
      return restoreFloat(data).readDoubleBE();
    case ColumnKind.FIXED:
      return new Uint8Array(data);
    default:
      throw notAKey();
  }
}

function restoreFloat(data: Buffer): Buffer {
  if (data[0]! & SIGN) data[0]! ^= SIGN;
  else for (let offset = 0; offset < data.length; offset++) data[offset]! ^= 0xff;
  return data;
}

function takeEscaped(reader: Reader, descending: boolean): Buffer {
  const flip = descending ? 0xff : 0;
  const data: number[] = [];
  for (let offset = reader.offset; offset < reader.bytes.length; offset++) {
    const byte = reader.bytes[offset]! ^ flip;
    if (byte !== 0) {
      data.push(byte);
      continue;
    }
    const next = offset + 1 < reader.bytes.length ? reader.bytes[offset + 1]! ^ flip : -1;
    if (next === 0x01) {
      reader.offset = offset + 2;
      return Buffer.from(data);
    }
    if (next !== 0xff) throw notAKey();
    data.push(0);
    offset++;
  }
  throw notAKey();
}
