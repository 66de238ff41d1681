import fc from 'fast-check';
import { ColumnKind, type ColumnLayout, type RawValue } from '../../src/protocol/rows.js';

const MAX = { [ColumnKind.INT8]: 8, [ColumnKind.INT16]: 16, [ColumnKind.INT32]: 32 } as Record<
  number,
  number
>;
const UNSIGNED = { [ColumnKind.UINT8]: 8, [ColumnKind.UINT16]: 16, [ColumnKind.UINT32]: 32 } as Record<
  number,
  number
>;

/** Bytes with many zeros and prefixes of one another. */
const bytes = fc.oneof(
  fc.array(fc.constantFrom(0, 1, 254, 255), { maxLength: 6 }).map((values) => Uint8Array.from(values)),
  fc.uint8Array({ maxLength: 40 }),
);

/** Makes a value that the column can hold, NULL where it may be. */
export function value(column: ColumnLayout): fc.Arbitrary<RawValue> {
  const some = someValue(column);
  return column.nullable ? fc.option(some, { nil: null }) : some;
}

function someValue(column: ColumnLayout): fc.Arbitrary<RawValue> {
  const { kind, widthBytes } = column;
  const signedBits = MAX[kind];
  if (signedBits) {
    const half = 2 ** (signedBits - 1);
    return fc.oneof(fc.integer({ min: -half, max: half - 1 }), fc.integer({ min: -2, max: 2 }));
  }
  const unsignedBits = UNSIGNED[kind];
  if (unsignedBits) return fc.integer({ min: 0, max: 2 ** unsignedBits - 1 });
  switch (kind) {
    case ColumnKind.INT64:
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case ColumnKind.UINT64:
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case ColumnKind.FLOAT:
      return fc.float({ noNaN: true });
    case ColumnKind.DOUBLE:
      return fc.double({ noNaN: true });
    case ColumnKind.FIXED:
      return fc.uint8Array({ minLength: widthBytes, maxLength: widthBytes });
    case ColumnKind.BLOB:
      return fc.oneof(
        bytes,
        fc.record({ blob: fc.integer({ min: 1, max: 2 ** 40 }), lengthBytes: fc.maxSafeNat() }),
      );
    default:
      return column.isText ? fc.string({ unit: 'grapheme', maxLength: 20 }) : bytes;
  }
}

/** Makes any column; `forKey`: one that may be part of a key. */
export function column(forKey: boolean): fc.Arbitrary<ColumnLayout> {
  const kinds = Object.values(ColumnKind).filter((kind): kind is ColumnKind => typeof kind === 'number');
  return fc
    .record({
      kind: fc.constantFrom(...kinds.filter((kind) => !forKey || kind !== ColumnKind.BLOB)),
      nullable: fc.boolean(),
      isText: fc.boolean(),
      width: fc.integer({ min: 1, max: 9 }),
    })
    .map(({ kind, nullable, isText, width }) => ({
      name: 'c',
      kind,
      nullable,
      widthBytes: kind === ColumnKind.FIXED ? width : 0,
      isText: isText && kind === ColumnKind.BYTES,
    }));
}

/** Makes columns and a value for each. */
export function columnsAndRow(options: {
  forKey: boolean;
  maxColumns: number;
}): fc.Arbitrary<{ columns: ColumnLayout[]; values: RawValue[] }> {
  return fc
    .array(column(options.forKey), { minLength: 1, maxLength: options.maxColumns })
    .chain((columns) => fc.tuple(...columns.map(value)).map((values) => ({ columns, values })));
}
