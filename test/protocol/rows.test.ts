import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VamosError } from '../../src/protocol/errors.js';
import { ColumnKind, RowFormat, type ColumnLayout } from '../../src/protocol/rows.js';
import { columnsAndRow } from './arbitraries.js';

const text: ColumnLayout = { name: 't', kind: ColumnKind.BYTES, nullable: true, widthBytes: 0, isText: true };
const blob: ColumnLayout = { name: 'b', kind: ColumnKind.BLOB, nullable: true, widthBytes: 0 };

describe('rows', () => {
  it('unpack to what was packed, whatever their columns', () => {
    fc.assert(
      fc.property(columnsAndRow({ forKey: false, maxColumns: 20 }), ({ columns, values }) => {
        const format = new RowFormat(columns);
        expect(format.unpack(format.pack(values))).toEqual(values);
      }),
    );
  });

  it('of a projection are the packed values of its columns', () => {
    const projected = columnsAndRow({ forKey: false, maxColumns: 12 }).chain(({ columns, values }) =>
      fc
        .shuffledSubarray([...columns.keys()], { minLength: 1 })
        .map((numbers) => ({ columns, values, numbers })),
    );
    fc.assert(
      fc.property(projected, ({ columns, values, numbers }) => {
        const format = new RowFormat(columns).project(numbers);
        const picked = numbers.map((number) => values[number]!);
        expect(format.pack(picked)).toEqual(
          new RowFormat(numbers.map((number) => columns[number]!)).pack(picked),
        );
        expect(format.unpack(format.pack(picked))).toEqual(picked);
      }),
    );
  });

  it('unpack from the middle of other bytes', () => {
    const format = new RowFormat([text, blob]);
    const row = format.pack(['añb', new Uint8Array([1, 2])]);
    const around = Buffer.concat([Buffer.from('xx'), row, Buffer.from('yyy')]);
    expect(format.unpack(around, 2, 2 + row.length)).toEqual(['añb', new Uint8Array([1, 2])]);
  });

  it('that are hostile give values or a VamosError, and are never read beyond their end', () => {
    const hostile = columnsAndRow({ forKey: false, maxColumns: 8 }).chain(({ columns, values }) =>
      fc.record({
        columns: fc.constant(columns),
        bytes: fc.oneof(
          fc.uint8Array({ maxLength: 80 }),
          // This is a sound row with one byte changed, or cut off.
          fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }), cut: fc.boolean() }).map(({ at, to, cut }) => {
            const row = Buffer.from(new RowFormat(columns).pack(values));
            if (row.length === 0) return row;
            if (cut) return row.subarray(0, at % row.length);
            row[at % row.length] = to;
            return row;
          }),
        ),
      }),
    );
    fc.assert(
      fc.property(hostile, ({ columns, bytes }) => {
        const format = new RowFormat(columns);
        for (const read of [() => format.unpack(bytes), () => format.references(bytes)]) {
          try {
            read();
          } catch (error) {
            expect(error).toBeInstanceOf(VamosError);
            expect((error as VamosError).code).toBe('BAD_REQUEST');
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('name the blobs that they refer to', () => {
    const format = new RowFormat([blob, text, blob, blob]);
    const reference = { blob: 7, lengthBytes: 100_000 };
    const row = format.pack([reference, 'x', new Uint8Array([1]), null]);
    expect(format.references(row)).toEqual([reference]);
  });

  it.each([
    ['a number that is too large', ColumnKind.INT8, 128],
    ['a fraction', ColumnKind.INT32, 1.5],
    ['a negative unsigned number', ColumnKind.UINT16, -1],
    ['a number for 64 bits', ColumnKind.INT64, 1],
    ['a bigint that is too large', ColumnKind.UINT64, 2n ** 64n],
    ['a string for a number', ColumnKind.DOUBLE, '1'],
    ['bytes of another width', ColumnKind.FIXED, new Uint8Array(3)],
    ['bytes that are too long', ColumnKind.BYTES, new Uint8Array(5)],
    ['NULL', ColumnKind.UINT8, null],
  ] as const)('refuse %s', (_what, kind, value) => {
    const column = { name: 'column', kind, nullable: false, widthBytes: kind >= ColumnKind.FIXED ? 4 : 0 };
    expect(() => new RowFormat([column]).pack([value])).toThrow(VamosError);
    expect(() => new RowFormat([column]).pack([value])).toThrow(/column/);
  });
});
