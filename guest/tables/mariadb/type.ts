import { VamosError } from '../../../src/protocol/errors.js';
import { ColumnKind, type RawValue } from '../../../src/protocol/rows.js';
import { ColumnType, type AnyColumnType } from '../types.js';
import { decimalOf, packedDecimal } from './decimal.js';
import { geometryOf } from './geometry.js';
import { inet4Of, inet6Of, packedInet4, packedInet6, packedUuid, uuidOf } from './network.js';
import {
  dateOf,
  dateTimeOf,
  packedDate,
  packedDateTime,
  packedTime,
  packedTimestamp,
  timeOf,
  timestampOf,
} from './temporal.js';
import { characterSetOf } from './text.js';

/** How a column is stored in a table that MariaDB made. */
interface StoredColumn {
  kind: ColumnKind;
  /**
   * `mariadb:` and the type as `SHOW COLUMNS` says it, then ` collate NAME` and ` generated` where they hold.
   */
  type: string;
  widthBytes: number;
}

/** Turns stored values into what mysql2 gives, and back. */
interface Mapping {
  decode: (raw: never) => unknown;
  encode: (value: never) => RawValue;
}

const PREFIX = 'mariadb:';

/** Says whether a column is one of the engine's own, which no statement shows. */
export function isHiddenColumn(name: string): boolean {
  return name.startsWith('.');
}

/**
 * Returns the column's type with values as mysql2 maps them: integers and floats as number (64 bits: a string
 * where a number would lose digits), DECIMAL, TIME and text as string, JSON as what it says, DATE, DATETIME
 * and TIMESTAMP as Date, binary types and BIT as Buffer, geometry as objects.
 * @returns undefined for a column that another connector made
 */
export function mariadbType(column: StoredColumn): AnyColumnType | undefined {
  if (!column.type.startsWith(PREFIX)) return undefined;
  const { base, parameters, collation, isGenerated } = parse(column.type.slice(PREFIX.length));
  const mapping = mappingOf(base, parameters, collation, column);
  return new ColumnType<unknown>({
    typeName: column.type,
    kind: column.kind,
    widthBytes: column.widthBytes,
    decode: mapping.decode as (raw: RawValue) => unknown,
    encode: mapping.encode,
    isLossy: true,
    isGenerated,
    isPadded: base === 'char',
    ...(collation === undefined ? {} : { collation }),
  });
}

interface ParsedType {
  base: string;
  parameters: string;
  collation: string | undefined;
  isGenerated: boolean;
}

function parse(text: string): ParsedType {
  const [, type = text, collation, generated] = /^(.*?)(?: collate (\w+))?( generated)?$/s.exec(text) ?? [];
  const [, base = type, parameters = ''] = /^(\w+)(?:\((.*)\))?/s.exec(type) ?? [];
  return { base: base.toLowerCase(), parameters, collation, isGenerated: generated !== undefined };
}

function mappingOf(
  base: string,
  parameters: string,
  collation: string | undefined,
  column: StoredColumn,
): Mapping {
  const [first = 0, second = 0] = /^[\d,]+$/.test(parameters) ? parameters.split(',').map(Number) : [];
  switch (base) {
    case 'date':
      return mapping(dateOf, packedDate);
    case 'datetime':
      return mapping(
        (raw: Uint8Array) => dateTimeOf(raw, first),
        (value: Date) => packedDateTime(value, first),
      );
    case 'timestamp':
      return mapping(
        (raw: Uint8Array) => timestampOf(raw, first),
        (value: Date) => packedTimestamp(value, first),
      );
    case 'time':
      return mapping(
        (raw: Uint8Array) => timeOf(raw, first),
        (value: string) => packedTime(value, first),
      );
    case 'year':
      return mapping(
        (raw: number) => (raw === 0 ? 0 : raw + 1900),
        (value: number) => (value === 0 ? 0 : value - 1900),
      );
    case 'decimal':
      return mapping(
        (raw: Uint8Array) => decimalOf(raw, first, second),
        (value: string | number) => packedDecimal(value, first, second),
      );
    case 'enum':
      return enumeration(labelsOf(parameters));
    case 'set':
      return setOf(labelsOf(parameters), column.kind);
    case 'inet4':
      return mapping(inet4Of, packedInet4);
    case 'inet6':
      return mapping(inet6Of, packedInet6);
    case 'uuid':
      return mapping(uuidOf, packedUuid);
    case 'json': {
      const { decode, encode } = text(collation ?? 'utf8mb4_bin');
      return mapping(
        (raw: Uint8Array) => JSON.parse(decode(raw as never) as string) as unknown,
        (value: unknown) => encode(JSON.stringify(value) as never),
      );
    }
    case 'geometry':
    case 'point':
    case 'linestring':
    case 'polygon':
    case 'multipoint':
    case 'multilinestring':
    case 'multipolygon':
    case 'geometrycollection':
      return mapping(geometryOf, bytesOf);
    default:
  }
  switch (column.kind) {
    case ColumnKind.BYTES:
    case ColumnKind.BLOB:
      return collation === undefined || collation === 'binary' ? binary : text(collation);
    case ColumnKind.FIXED:
      return binary;
    case ColumnKind.INT64:
    case ColumnKind.UINT64:
      return mapping(
        (raw: bigint) =>
          BigInt(Number(raw)) === raw && Number.isSafeInteger(Number(raw)) ? Number(raw) : String(raw),
        toBigInt,
      );
    default:
      return mapping((raw: number) => raw, Number);
  }
}

function mapping<Raw, Written>(decode: (raw: Raw) => unknown, encode: (value: Written) => RawValue): Mapping {
  return { decode, encode };
}

function toBigInt(value: number | bigint | string): bigint {
  return BigInt(value);
}

function bytesOf(value: Uint8Array): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new VamosError('BAD_REQUEST', 'a binary column takes bytes');
  return value;
}

const binary = mapping((raw: Uint8Array) => Buffer.from(raw), bytesOf);

function text(collation: string): Mapping {
  const characters = characterSetOf(collation);
  return mapping(
    (raw: Uint8Array) => characters.decode(raw),
    (value: string) => {
      if (typeof value !== 'string') throw new VamosError('BAD_REQUEST', `${String(value)} is not a string`);
      return characters.encode(value);
    },
  );
}

/** Reads labels such as 'one','it''s two'. */
function labelsOf(parameters: string): string[] {
  return [...parameters.matchAll(/'((?:[^']|'')*)'/g)].map(([, label]) => label!.replaceAll("''", "'"));
}

/** Makes the mapping of an ENUM. 0 stands for the empty string of a value that was not valid. */
function enumeration(labels: string[]): Mapping {
  return mapping(
    (raw: number) => (raw === 0 ? '' : labels[raw - 1]),
    (value: string) => {
      const number = labels.indexOf(value) + 1;
      if (number === 0 && value !== '') throw new VamosError('BAD_REQUEST', `'${value}' is not in the enum`);
      return number;
    },
  );
}

function setOf(labels: string[], kind: ColumnKind): Mapping {
  return mapping(
    (raw: number | bigint) => labels.filter((_label, bit) => (BigInt(raw) >> BigInt(bit)) & 1n).join(','),
    (value: string) => {
      let bits = 0n;
      for (const label of value === '' ? [] : value.split(',')) {
        const bit = labels.indexOf(label);
        if (bit < 0) throw new VamosError('BAD_REQUEST', `'${label}' is not in the set`);
        bits |= 1n << BigInt(bit);
      }
      return kind === ColumnKind.UINT64 ? bits : Number(bits);
    },
  );
}
