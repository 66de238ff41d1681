import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VamosError } from '../../src/protocol/errors.js';
import { KeyFormat } from '../../src/protocol/keys.js';
import { ColumnKind, type ColumnLayout, type RawValue } from '../../src/protocol/rows.js';
import { columnsAndRow, value } from './arbitraries.js';

/** An index of up to 4 parts, ascending and descending, and two keys that often share their first parts. */
const twoKeys = columnsAndRow({ forKey: true, maxColumns: 4 }).chain(({ columns, values }) =>
  fc
    .tuple(
      fc.tuple(...columns.map(value)),
      fc.nat({ max: columns.length }),
      fc.array(fc.boolean(), { minLength: 4 }),
    )
    .map(([other, shared, descending]) => ({
      format: new KeyFormat(columns.map((column, number) => ({ column, descending: descending[number]! }))),
      one: values,
      other: other.map((each, number) => (number < shared ? values[number]! : each)),
      shared,
    })),
);

/** Compares as an index orders values: NULL first, -0 as 0, strings by their UTF-8. */
function compareValues(a: RawValue, b: RawValue): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (typeof a === 'number' || typeof a === 'bigint') {
    const other = b as number | bigint;
    return a < other ? -1 : a > other ? 1 : 0;
  }
  return Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
}

function compareKeys(format: KeyFormat, one: RawValue[], other: RawValue[]): number {
  for (const [number, { descending }] of format.parts.entries()) {
    const order = compareValues(one[number]!, other[number]!);
    if (order !== 0) return descending ? -order : order;
  }
  return 0;
}

const column = (kind: ColumnKind, more: Partial<ColumnLayout> = {}): ColumnLayout => ({
  name: 'c',
  kind,
  nullable: false,
  widthBytes: 0,
  ...more,
});

describe('keys', () => {
  it('order as their values do: ascending and descending, NULLs, many parts, bytes with zeros', () => {
    fc.assert(
      fc.property(twoKeys, ({ format, one, other }) => {
        const order = Buffer.compare(format.encode(one), format.encode(other));
        expect(Math.sign(order)).toBe(compareKeys(format, one, other));
      }),
      { numRuns: 2000 },
    );
  });

  it('decode to what was encoded, -0 as 0', () => {
    fc.assert(
      fc.property(twoKeys, ({ format, one }) => {
        const plain = one.map((each) => (each === 0 ? 0 : each));
        expect(format.decode(format.encode(one))).toEqual(plain);
      }),
    );
  });

  it('begin with the prefix of their first parts, and no key is a prefix of another', () => {
    fc.assert(
      fc.property(twoKeys, ({ format, one, other, shared }) => {
        const prefix = format.encode(one.slice(0, shared));
        for (const key of [one, other]) {
          expect(format.encode(key).subarray(0, prefix.length)).toEqual(prefix);
        }
        const [a, b] = [format.encode(one), format.encode(other)];
        if (!a.equals(b)) expect(b.subarray(0, a.length).equals(a)).toBe(false);
      }),
    );
  });

  it('that are hostile decode to values or give a VamosError', () => {
    fc.assert(
      fc.property(twoKeys, fc.uint8Array({ maxLength: 60 }), ({ format }, bytes) => {
        try {
          format.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(VamosError);
          expect((error as VamosError).code).toBe('BAD_REQUEST');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('order infinities and NaN at the ends', () => {
    const format = new KeyFormat([{ column: column(ColumnKind.DOUBLE), descending: false }]);
    const keys = [-Infinity, -1e308, -0.5, 0, 5e-324, 1, Infinity, NaN].map((each) => format.encode([each]));
    expect([...keys].sort((a, b) => Buffer.compare(a, b))).toEqual(keys);
    expect(format.encode([-0])).toEqual(format.encode([0]));
  });

  it('take no blob, no value too many and no value of another type', () => {
    const blob = new KeyFormat([{ column: column(ColumnKind.BLOB), descending: false }]);
    expect(() => blob.encode([new Uint8Array()])).toThrow(VamosError);
    const number = new KeyFormat([{ column: column(ColumnKind.INT8), descending: false }]);
    expect(() => number.encode([1, 2])).toThrow(VamosError);
    expect(() => number.encode(['1'])).toThrow(VamosError);
    expect(() => number.encode([null])).toThrow(VamosError);
  });
});
