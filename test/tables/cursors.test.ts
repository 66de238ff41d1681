import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { MODES, Place, code } from './place.js';

const items = defineTable({
  name: 'items',
  columns: { id: t.uint32(), kind: t.text(), rank: t.int16().nullable(), text: t.text() },
  primaryKey: ['id'],
  indexes: { byKind: { columns: ['kind', { column: 'rank', descending: true }] } },
});

const rows = Array.from({ length: 60 }, (_, id) => ({
  id,
  kind: ['a', 'a\u0000', 'b'][id % 3]!,
  rank: id % 7 === 0 ? null : (id % 5) - 2,
  text: `row ${id}`,
}));

describe.each(MODES)('cursors, %s', (mode) => {
  let place: Place;
  let table: Table<typeof items>;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(items);
    await table.writeRows(rows);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  /** Compares rows in the index's order. NULL sorts first, so in a descending part last. */
  function inOrder(a: (typeof rows)[number], b: (typeof rows)[number]): number {
    if (a.kind !== b.kind) return a.kind < b.kind ? -1 : 1;
    if (a.rank !== b.rank) return (b.rank ?? -100) - (a.rank ?? -100);
    return a.id - b.id;
  }

  it('scans the table in the order of its primary key, and backwards', async () => {
    expect(await table.rndScan().all()).toEqual(rows);
    expect(await table.rndScan({ reverse: true }).all()).toEqual([...rows].reverse());
  });

  it('scans an index of several parts, descending ones and NULLs too, both ways', async () => {
    const sorted = [...rows].sort(inOrder);
    expect(await table.indexScan('byKind').all()).toEqual(sorted);
    expect(await table.indexScan('byKind', { reverse: true }).all()).toEqual(sorted.reverse());
  });

  it('stays within its bounds, which are in or out as asked', async () => {
    const ids = async (options: Parameters<typeof table.rndScan>[0]) =>
      (await table.rndScan({ ...options, columns: ['id'] }).all()).map((row) => row.id);
    expect(await ids({ lower: { id: 5 }, upper: { id: 8 } })).toEqual([5, 6, 7, 8]);
    expect(
      await ids({ lower: { id: 5 }, lowerExclusive: true, upper: { id: 8 }, upperExclusive: true }),
    ).toEqual([6, 7]);
    expect(await ids({ lower: { id: 57 }, reverse: true })).toEqual([59, 58, 57]);
    expect(await ids({ lower: { id: 9 }, upper: { id: 3 } })).toEqual([]);
  });

  it('takes bounds of the first columns of an index', async () => {
    const scan = async (options: Parameters<typeof table.indexScan<'byKind'>>[1]) =>
      (await table.indexScan('byKind', options).all()).map((row) => row.id);
    const sorted = [...rows].sort(inOrder);
    const where = (isIn: (row: (typeof rows)[number]) => boolean) => sorted.filter(isIn).map((row) => row.id);
    expect(await scan({ equal: { kind: 'a' } })).toEqual(where((row) => row.kind === 'a'));
    expect(await scan({ equal: { kind: 'b', rank: null } })).toEqual(
      where((row) => row.kind === 'b' && row.rank === null),
    );
    expect(await scan({ lower: { kind: 'a' }, lowerExclusive: true })).toEqual(
      where((row) => row.kind !== 'a'),
    );
    expect(await scan({ upper: { kind: 'b' }, upperExclusive: true })).toEqual(
      where((row) => row.kind !== 'b'),
    );
    // Descending: greater ranks come first.
    expect(await scan({ lower: { kind: 'a', rank: 1 }, upper: { kind: 'a', rank: -1 } })).toEqual(
      where((row) => row.kind === 'a' && row.rank !== null && row.rank <= 1 && row.rank >= -1),
    );
  });

  it('refuses bounds that are not of the first columns', () => {
    expect(() => table.indexScan('byKind', { lower: { rank: 1 } })).toThrow(/first columns/);
  });

  it('reads the columns that are asked for, in any order', async () => {
    const [row] = await table.indexScan('byKind', { columns: ['text', 'id'], limit: 1 }).all();
    expect(Object.keys(row!)).toEqual(['text', 'id']);
    expect(row!.text).toBe(`row ${row!.id}`);
  });

  it('stops at its limit', async () => {
    expect((await table.rndScan({ limit: 7 }).all()).map((row) => row.id)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(await table.rndScan({ limit: 7, windowBytes: 1 }).all()).toHaveLength(7);
    expect(await table.count({ limit: 7 })).toBe(7);
  });

  it('gives a scan of many windows in growing ones, each asked for once', async () => {
    const wide = await place.tables.create(
      defineTable({ name: 'wide', columns: { id: t.uint32(), text: t.text() }, primaryKey: ['id'] }),
    );
    const text = 'x'.repeat(1000);
    const all = Array.from({ length: 4000 }, (_, id) => ({ id, text }));
    for (let start = 0; start < all.length; start += 500) await wide.writeRows(all.slice(start, start + 500));
    const ids: number[] = [];
    const frames = await place.frames(async () => {
      for await (const row of wide.rndScan()) ids.push(row.id);
    });
    expect(ids).toEqual(all.map((row) => row.id));
    // Windows have 16, 64, 256 KiB, then 1 MiB each: 4 MB take 7.
    expect(frames).toBeLessThanOrEqual(8);
    expect((await wide.rndScan({ reverse: true }).all()).map((row) => row.id)).toEqual(ids.reverse());
  });

  it('closes a cursor that is left early, with a frame that goes anyway', async () => {
    const wide = await place.tables.open('wide');
    const frames = await place.frames(async () => {
      for await (const row of wide.rndScan()) if (row.id === 3) break;
      await wide.count();
    });
    expect(frames).toBeLessThanOrEqual(3);
    await place.until((statistics) => statistics.cursorsOpen === 0);
  });

  it('sees the rows as they were when it opened', async () => {
    const wide = await place.tables.open('wide');
    const cursor = wide.rndScan();
    await cursor.next();
    const last = (await wide.get({ id: 3999 }))!;
    await wide.deleteRow(last);
    expect((await cursor.all()).at(-1)?.id).toBe(3999);
    expect(await wide.get({ id: 3999 })).toBeUndefined();
  });

  it('allows a session only so many cursors', async () => {
    await using small = await Place.make(mode, { maxCursors: 2 });
    const few = await small.tables.create(items);
    await few.writeRows(rows);
    const open = () => few.rndScan({ windowBytes: 1 });
    const cursors = [open(), open(), open()];
    await cursors[0]!.next();
    await cursors[1]!.next();
    expect(await code(cursors[2]!.next())).toBe('BAD_REQUEST');
    await cursors[0]!.return();
    expect(await open().all()).toHaveLength(60);
  });
});
