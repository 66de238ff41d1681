import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BlobHandle } from '../../../guest/tables/index.js';
import { writeKeyBatch } from '../../../src/protocol/batches.js';
import { asBuffer } from '../../../src/protocol/rows.js';
import { ValueType } from '../../../src/protocol/program.js';
import {
  atLeast,
  BY_RANK,
  BY_TAG,
  Column,
  equals,
  expectItems,
  ids,
  integer,
  item,
  items,
  keys,
  load,
  plus,
  program,
  range,
  text,
  type Item,
  type Items,
} from './changed_items.js';
import { MODES, Place, code, failure } from '../place.js';
import { Requests } from '../requests.js';

describe.each(MODES)('rows that the host changes by itself, %s', (mode) => {
  let place: Place;
  let table: Items;
  let one: Requests;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(items);
  });
  beforeEach(async () => {
    await place.tables.truncate('items');
    table = await place.tables.open(items);
    one = new Requests(place.client, table);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  it('go from all indexes when they are deleted', async () => {
    const rows = await load(table, 3000);
    const filter = atLeast(Column.RANK, 2);
    expect(await one.deleteWhere({ filter })).toEqual({ found: 1800, changed: 1800 });
    await expectItems(
      table,
      rows.filter(({ rank }) => rank! < 2),
    );
    expect(await one.deleteWhere({ filter })).toEqual({ found: 0, changed: 0 });
    // Their unique keys are free.
    await table.writeRow({ ...item(3), id: 9000 });
    expect(await one.deleteWhere()).toEqual({ found: 1201, changed: 1201 });
    await expectItems(table, []);
  });

  it('have other entries when a column of an index is updated, and the same where none is', async () => {
    const rows = await load(table, 3000);
    const assignments = [
      { column: Column.RANK, value: program().column(Column.RANK).operation('NEGATE').finish() },
      { column: Column.NOTE, value: program().column(Column.TAG).finish() },
    ];
    expect(await one.updateWhere({ filter: atLeast(Column.RANK, 3), assignments })).toEqual({
      found: 1200,
      changed: 1200,
    });
    await expectItems(
      table,
      rows.map((row) => (row.rank! < 3 ? row : { ...row, rank: -row.rank!, note: row.tag! })),
    );
  });

  it('are counted as changed only where they are not as they were', async () => {
    await load(table, 10);
    const assignments = [{ column: Column.RANK, value: integer(3) }];
    expect(await one.updateWhere({ assignments })).toEqual({ found: 10, changed: 8 });
    expect(await one.updateWhere({ assignments })).toEqual({ found: 10, changed: 0 });
  });

  it('are those of keys, of the primary key or of a unique index', async () => {
    const rows = await load(table, 200);
    const wanted = Array.from({ length: 150 }, (_, number) => 199 - number);
    const assignments = [{ column: Column.RANK, value: plus(Column.RANK, 100) }];
    expect(
      await one.updateWhere({
        keys: keys(table, 7777, ...wanted),
        filter: atLeast(Column.RANK, 1),
        assignments,
      }),
    ).toEqual({ found: 120, changed: 120 });
    const tagKeys = writeKeyBatch(
      ['tag 0', 'none', 'tag 7'].map((tag) => table.opened.codec.key(BY_TAG, tag)),
    );
    expect(await one.deleteWhere({ index: BY_TAG, keys: tagKeys })).toEqual({ found: 2, changed: 2 });
    await expectItems(
      table,
      rows
        .filter(({ id }) => id !== 0 && id !== 7)
        .map((row) => (row.id >= 50 && row.rank! >= 1 ? { ...row, rank: row.rank! + 100 } : row)),
    );
  });

  it('are those of ranges, one after another, up to a limit, from either end', async () => {
    await load(table, 100);
    const ranges = [range(table, 0, 50, 60), range(table, 0, 10, 20)];
    const assignments = [{ column: Column.NOTE, value: text('met') }];
    const met = async () =>
      (await table.rndScan().all()).filter(({ note }) => note === 'met').map(({ id }) => id);
    const filter = equals(Column.RANK, 2);
    expect(await one.updateWhere({ ranges, assignments, filter, limitRows: 3 })).toEqual({
      found: 3,
      changed: 3,
    });
    expect(await met()).toEqual([12, 52, 57]);
    expect((await one.deleteWhere({ ranges, reverse: true, limitRows: 11 })).found).toBe(11);
    expect(await ids(table)).toEqual(
      Array.from({ length: 100 }, (_, id) => id).filter((id) => !(id >= 50 && id < 60) && id !== 19),
    );
    expect((await one.deleteWhere({ keys: keys(table, 1, 2, 3, 4), limitRows: 2 })).found).toBe(2);
    expect((await ids(table)).slice(0, 3)).toEqual([0, 3, 4]);
  });

  it('are found by a secondary index, descending or not, in its order', async () => {
    await load(table, 1000);
    const ranges = [range(table, BY_RANK, 3, 1)];
    expect((await one.deleteWhere({ index: BY_RANK, ranges, limitRows: 250 })).found).toBe(250);
    const left = await table.rndScan().all();
    expect(left.filter(({ rank }) => rank === 3)).toEqual([]);
    expect(left.filter(({ rank }) => rank === 2).map(({ id }) => id)[0]).toBe(252);
    const assignments = [{ column: Column.SCORE, value: program().double(-1).finish() }];
    expect((await one.updateWhere({ index: BY_RANK, ranges, assignments })).changed).toBe(150);
  });

  it('are the same as when the connector changes them', async () => {
    const column = fc.record({
      id: fc.nat({ max: 40 }),
      tag: fc.option(fc.constantFrom('a', 'b', 'a\u0000', 'é', ''), { nil: null }),
      rank: fc.option(fc.integer({ min: -128, max: 127 }), { nil: null }),
      score: fc.double({ noNaN: true, noDefaultInfinity: true }),
      note: fc.string({ maxLength: 5 }),
    });
    const differ = (rows: Item[], key: (row: Item) => unknown) => new Set(rows.map(key)).size === rows.length;
    const rowsOf = fc
      .array(column, { maxLength: 12 })
      .filter((rows) => differ(rows, ({ id }) => id))
      .map((rows) =>
        rows.map((row, number) => ({ ...row, tag: row.tag === null ? null : `${row.tag}${number}` })),
      );
    await fc.assert(
      fc.asyncProperty(
        rowsOf,
        fc.integer({ min: -128, max: 127 }),
        fc.boolean(),
        async (rows, bound, deletes) => {
          await one.deleteWhere();
          await table.writeRows(rows);
          const filter = atLeast(Column.RANK, bound);
          const passes = ({ rank }: Item): boolean => rank !== null && rank >= bound;
          const sorted = [...rows].sort((a, b) => a.id - b.id);
          if (deletes) {
            await one.deleteWhere({ filter });
            await expectItems(
              table,
              sorted.filter((row) => !passes(row)),
            );
            return;
          }
          await one.updateWhere({
            filter,
            assignments: [
              { column: Column.TAG, value: program().null(ValueType.BYTES).finish() },
              {
                column: Column.RANK,
                value: program().integer(-1n).column(Column.RANK).operation('SUBTRACT').finish(),
              },
            ],
          });
          await expectItems(
            table,
            sorted.map((row) => (passes(row) ? { ...row, tag: null, rank: -1 - row.rank! } : row)),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('stay as they were, all of them, where one would have a key that is there', async () => {
    const rows = await load(table, 500);
    const assignments = [{ column: Column.TAG, value: text('tag 400') }];
    const ranges = [range(table, 0, 399, 420)];
    const error = await failure(one.updateWhere({ ranges, assignments }));
    expect(error.code).toBe('DUPLICATE_KEY');
    expect(error.message).toMatch(/byTag/);
    expect(asBuffer(error.detail).readUInt32LE(0)).toBe(BY_TAG);
    await expectItems(table, rows);
    // Two of the changed rows would have the same key.
    const fresh = [{ column: Column.TAG, value: text('new') }];
    expect(await code(one.updateWhere({ ranges, assignments: fresh }))).toBe('DUPLICATE_KEY');
    await expectItems(table, rows);
    expect(await one.updateWhere({ keys: keys(table, 3), assignments: fresh })).toEqual({
      found: 1,
      changed: 1,
    });
  });

  it('stay as they were, all of them, where a value does not fit its column', async () => {
    const rows = await load(table, 300);
    const assignments = [
      { column: Column.SCORE, value: program().double(1).finish() },
      { column: Column.RANK, value: program().column(0).finish() },
    ];
    const error = await failure(one.updateWhere({ assignments }));
    expect(error.code).toBe('VALUE_OUT_OF_RANGE');
    expect(asBuffer(error.detail).readUInt32LE(0)).toBe(Column.RANK);
    expect(asBuffer(error.detail).readBigUInt64LE(4)).toBe(129n);
    const none = [{ column: Column.NOTE, value: program().null(ValueType.BYTES).finish() }];
    expect(await code(one.updateWhere({ assignments: none }))).toBe('VALUE_OUT_OF_RANGE');
    await expectItems(table, rows);
  });

  it('take their blobs with them, unless they stay', async () => {
    const data = new Uint8Array(300_000).fill(7);
    await table.writeRows([0, 1, 2].map((id) => ({ ...item(id), data })));
    const blobs = (await table.rndScan().all()).map((row) => row.data as BlobHandle);
    const assignments = [{ column: Column.DATA, value: text('short') }];
    await one.updateWhere({ keys: keys(table, 0), assignments });
    await one.deleteWhere({ keys: keys(table, 1) });
    const note = [{ column: Column.NOTE, value: text('same blob') }];
    await one.updateWhere({ keys: keys(table, 2), assignments: note });
    expect(Buffer.from(await (await table.get(0))!.data!.bytes()).toString()).toBe('short');
    expect((await (await table.get(2))!.data!.bytes()).length).toBe(data.length);
    for (const blob of blobs.slice(0, 2)) {
      while ((await code(one.readBlob(blob)).catch(() => '')) !== 'BLOB_MISSING')
        await new Promise(setImmediate);
    }
    await one.readBlob(blobs[2]!);
  });
});
