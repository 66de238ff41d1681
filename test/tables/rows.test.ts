import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DuplicateKeyError, defineTable, t, type Table } from '../../guest/tables/index.js';
import { MODES, Place, code, failure } from './place.js';

const orders = defineTable({
  name: 'orders',
  columns: {
    id: t.uint64(),
    customer: t.text(),
    number: t.int32(),
    total: t.double().nullable(),
    isPaid: t.boolean(),
    placedAt: t.dateTime(),
    detail: t.json<{ tags: string[] }>().nullable(),
    hash: t.fixed(4).nullable(),
    note: t.text().nullable(),
  },
  primaryKey: ['id'],
  indexes: {
    byCustomer: { columns: ['customer', { column: 'number', descending: true }] },
    byNumber: { columns: ['number'], unique: true },
    byNote: { columns: ['note'], unique: true },
  },
  autoIncrement: 'id',
});
const order = {
  customer: 'Ada',
  number: 1,
  isPaid: false,
  placedAt: new Date('2024-02-29T12:00:00.123Z'),
};

describe.each(MODES)('rows, %s', (mode) => {
  let place: Place;
  let table: Table<typeof orders>;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(orders);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  async function empty(): Promise<void> {
    await place.tables.truncate('orders');
    table = await place.tables.open(orders);
  }

  it('gives back what was written, in every type', async () => {
    await empty();
    const written = await table.writeRow({
      ...order,
      total: -12.5,
      detail: { tags: ['a', 'ö', '\u0000'] },
      hash: new Uint8Array([0, 255, 0, 1]),
      note: 'naïve ✓',
    });
    expect(written.id).toBe(1n);
    expect(await table.get(1n)).toEqual(written);
    expect(written).toEqual({
      id: 1n,
      ...order,
      total: -12.5,
      detail: { tags: ['a', 'ö', '\u0000'] },
      hash: new Uint8Array([0, 255, 0, 1]),
      note: 'naïve ✓',
    });
  });

  it('stores NULL where a column may be NULL, and refuses it elsewhere', async () => {
    await empty();
    const written = await table.writeRow(order);
    expect(written).toMatchObject({ total: null, detail: null, hash: null, note: null });
    expect(await table.get(written.id)).toEqual(written);
    const bad = table.writeRow({ ...order, number: 2, customer: null as unknown as string });
    expect(await code(bad)).toBe('BAD_REQUEST');
  });

  it('refuses a value that its column cannot hold, and names the column', async () => {
    await empty();
    const bad = await failure(table.writeRow({ ...order, number: 2 ** 31 }));
    expect(bad.code).toBe('BAD_REQUEST');
    expect(bad.message).toContain('number');
    const unknown = await failure(table.writeRow({ ...order, nope: 1 } as never));
    expect(unknown.message).toContain('nope');
    expect(await table.count()).toBe(0);
  });

  it('refuses a row that is too large for a request, and a key that is too long', async () => {
    await empty();
    const { message } = await failure(table.writeRow({ ...order, customer: 'x'.repeat(2_000_000) }));
    expect(message).toContain('blob');
    expect(await code(table.writeRow({ ...order, note: 'x'.repeat(100_000) }))).toBe('BAD_REQUEST');
    expect(await table.count()).toBe(0);
  });

  it('writes many rows in one request, and all or none of them', async () => {
    await empty();
    const rows = Array.from({ length: 100 }, (_, number) => ({ ...order, id: BigInt(number + 1), number }));
    expect(await place.frames(() => table.writeRows(rows))).toBe(1);
    const more = [...rows.map((row) => ({ ...row, id: row.id + 1000n, number: row.number + 1000 }))];
    more[7]!.number = 42;
    const duplicate = (await failure(table.writeRows(more))) as DuplicateKeyError;
    expect(duplicate).toBeInstanceOf(DuplicateKeyError);
    expect(duplicate).toMatchObject({ code: 'DUPLICATE_KEY', index: 'byNumber', rowNumber: 7 });
    expect(await table.count()).toBe(100);
  });

  it('divides rows that one request cannot hold, and still writes all or none', async () => {
    const note = 'x'.repeat(50_000);
    const wide = await place.tables.create(
      defineTable({ name: 'wide', columns: { id: t.uint32(), note: t.text() }, primaryKey: ['id'] }),
    );
    const all = Array.from({ length: 50 }, (_, id) => ({ id, note: `${id}${note}` }));
    await wide.writeRows(all);
    expect(await wide.count()).toBe(50);
    const again = all.map((row) => ({ ...row, id: row.id === 40 ? 40 : row.id + 100 }));
    expect(await failure(wide.writeRows(again))).toMatchObject({ index: 'primary', rowNumber: 40 });
    expect(await wide.count()).toBe(50);
    expect((await wide.rndScan().all()).map((row) => row.note)).toEqual(all.map((row) => row.note));
    expect((await wide.getMany(all.map((row) => row.id))).map((row) => row?.note)).toEqual(
      all.map((row) => row.note),
    );
    await place.tables.drop('wide');
  });

  it('updates the columns that are named and keeps the index entries in step', async () => {
    await empty();
    const old = await table.writeRow({ ...order, note: 'a' });
    const updated = await table.updateRow(old, { number: 9, note: null });
    expect(updated).toEqual({ ...old, number: 9, note: null });
    expect(await table.indexRead('byNumber', 1)).toBeUndefined();
    expect(await table.indexRead('byNumber', 9)).toEqual(updated);
    expect(await table.indexRead('byNote', 'a')).toBeUndefined();
  });

  it('changes a primary key', async () => {
    await empty();
    const old = await table.writeRow(order);
    const moved = await table.updateRow(old, { id: 77n });
    expect(await table.get(old.id)).toBeUndefined();
    expect(await table.get(77n)).toEqual(moved);
    expect(await table.indexRead('byNumber', 1)).toEqual(moved);
  });

  it('refuses to update or delete a row that is not what was read', async () => {
    await empty();
    const old = await table.writeRow(order);
    await table.updateRow(old, { total: 1 });
    expect(await code(table.updateRow(old, { total: 2 }))).toBe('ROW_CHANGED');
    expect(await code(table.deleteRow(old))).toBe('ROW_CHANGED');
    const now = (await table.get(old.id))!;
    await table.deleteRow(now);
    expect(await code(table.deleteRow(now))).toBe('NOT_FOUND');
    expect(await code(table.updateRow(now, { total: 2 }))).toBe('NOT_FOUND');
  });

  it('refuses an old row that was not read whole', async () => {
    await empty();
    await table.writeRow(order);
    const part = (await table.get(1n, { columns: ['id', 'customer'] }))!;
    expect(part).toEqual({ id: 1n, customer: 'Ada' });
    expect(await code(table.updateRow(part as never, { customer: 'Bo' }))).toBe('BAD_REQUEST');
  });

  it('reads many keys in their order, missing ones too, from any unique index', async () => {
    await empty();
    await table.writeRows([1, 2, 3].map((number) => ({ ...order, number })));
    const rows = await table.getMany([3n, 99n, 1n, 3n]);
    expect(rows.map((row) => row?.id)).toEqual([3n, undefined, 1n, 3n]);
    const byNumber = await table.indexReadMany('byNumber', [2, 5], { columns: ['id'] });
    expect(byNumber).toEqual([{ id: 2n }, undefined]);
    const notUnique = table.indexRead('byCustomer' as 'byNumber', { customer: 'Ada', number: 1 } as never);
    expect((await failure(notUnique)).message).toMatch(/byCustomer .* not unique/);
    expect(await code(table.indexRead('nope' as 'byNumber', 1))).toBe('INDEX_MISSING');
  });

  it('lets NULL stand many times in a unique index', async () => {
    await empty();
    await table.writeRows([1, 2, 3].map((number) => ({ ...order, number })));
    await table.writeRow({ ...order, number: 4, note: 'one' });
    expect(await failure(table.writeRow({ ...order, number: 5, note: 'one' }))).toMatchObject({
      index: 'byNote',
    });
    expect(await table.count({ index: 'byNote', equal: { note: null } })).toBe(3);
  });

  it('counts rows', async () => {
    await empty();
    await table.writeRows(Array.from({ length: 30 }, (_, number) => ({ ...order, number })));
    const [first] = await table.rndScan({ limit: 1 }).all();
    await table.deleteRow(first!);
    expect(await table.count()).toBe(29);
    expect(
      await table.count({
        index: 'byNumber',
        lower: { number: 10 },
        upperExclusive: true,
        upper: { number: 20 },
      }),
    ).toBe(10);
    expect((await table.statistics()).rows).toBe(29);
  });

  it('counts a small range with and without the rows at its bounds', async () => {
    await empty();
    await table.writeRows(Array.from({ length: 30 }, (_, number) => ({ ...order, number })));
    const within = async (lowerExclusive: boolean, upperExclusive: boolean) =>
      (
        await table.estimate('byNumber', {
          ...{ lower: { number: 10 }, lowerExclusive },
          ...{ upper: { number: 20 }, upperExclusive },
        })
      ).rows;
    expect(await within(false, false)).toBe(11);
    expect(await within(true, false)).toBe(10);
    expect(await within(false, true)).toBe(10);
    expect(await within(true, true)).toBe(9);
    expect((await table.estimate('byNumber')).rows).toBe(30);
  });

  it('takes deadlines and abort signals', async () => {
    const controller = new AbortController();
    const reading = table.get(1n, { signal: controller.signal });
    controller.abort();
    expect(await code(reading)).toBe('CANCELLED');
    expect(await code(table.get(1n, { signal: AbortSignal.abort() }))).toBe('CANCELLED');
    await expect(table.get(1n, { timeoutMs: 60_000 })).resolves.not.toThrow();
  });
});
