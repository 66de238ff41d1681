import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  WriteBatch,
  readKeyBatch,
  readWindow,
  readWriteBatch,
  writeKeyBatch,
  writeWindow,
  type WriteParts,
} from '../../src/protocol/batches.js';
import { VamosError } from '../../src/protocol/errors.js';

const INDEXES = 3;
const bytes = fc.uint8Array({ maxLength: 300 });
const entries = fc.array(fc.record({ key: bytes, hasNull: fc.boolean() }), {
  minLength: INDEXES,
  maxLength: INDEXES,
});
const deleted = fc.record({ fingerprint: fc.nat({ max: 0xffff_ffff }), entries });
const inserted = fc.record({ row: bytes, entries });
const KINDS: [string, { deleted: boolean; inserted: boolean }, fc.Arbitrary<WriteParts>][] = [
  ['insert', { deleted: false, inserted: true }, fc.record({ inserted })],
  ['update', { deleted: true, inserted: true }, fc.record({ deleted, inserted })],
  ['delete', { deleted: true, inserted: false }, fc.record({ deleted })],
];

function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, each: unknown) =>
      each instanceof Uint8Array ? Buffer.from(each).toString('hex') : each,
    ).replace(/\{"type":"Buffer","data":\[([\d,]*)\]\}/g, (_all, numbers: string) =>
      JSON.stringify(Buffer.from(numbers ? numbers.split(',').map(Number) : []).toString('hex')),
    ),
  );
}

function expectVamosError(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(VamosError);
    expect((error as VamosError).code).toBe('BAD_REQUEST');
  }
}

describe('batches', () => {
  it.each(KINDS)('of %s read as they were written', (_kind, has, parts) => {
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 20 }), (rows) => {
        const batch = new WriteBatch();
        for (const row of rows) batch.add(row);
        expect(batch.rows).toBe(rows.length);
        expect(plain([...readWriteBatch(batch.finish(), INDEXES, has)])).toEqual(plain(rows));
      }),
    );
  });

  it('of keys read as they were written', () => {
    fc.assert(
      fc.property(fc.array(bytes), (keys) => {
        expect(plain([...readKeyBatch(writeKeyBatch(keys))])).toEqual(plain(keys));
      }),
    );
  });

  it('windows read as they were written, with missing rows and with keys', () => {
    const row = fc.option(bytes, { nil: undefined });
    fc.assert(
      fc.property(fc.array(row), fc.boolean(), (rows, withKeys) => {
        const written = rows.map((each, number) =>
          withKeys && each ? { row: each, primaryKey: Buffer.from([number & 255]) } : { row: each },
        );
        const window = writeWindow(written);
        const read = [...readWindow(window, withKeys)];
        expect(plain(read.map(({ end: _end, ...rest }) => rest))).toEqual(plain(written));
        if (read.length > 0) expect(read.at(-1)!.end).toBe(window.length);
      }),
    );
  });

  it('that are hostile read as something or give a VamosError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (hostile) => {
        for (const [, has] of KINDS) expectVamosError(() => [...readWriteBatch(hostile, INDEXES, has)]);
        expectVamosError(() => [...readKeyBatch(hostile)]);
        expectVamosError(() => [...readWindow(hostile, true)]);
        expectVamosError(() => [...readWindow(hostile, false)]);
      }),
      { numRuns: 1000 },
    );
  });
});
