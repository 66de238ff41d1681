import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../../guest/tables/index.js';
import { MODES, Place, code, failure } from '../place.js';

const items = defineTable({ name: 'items', columns: { id: t.uint32(), text: t.text() }, primaryKey: ['id'] });

describe.each(MODES)('ends of transactions, %s', (mode) => {
  let place: Place;
  let table: Table<typeof items>;

  beforeAll(async () => {
    place = await Place.make(mode, { maxTransactions: 4 });
    await place.tables.create(items);
  });
  beforeEach(async () => {
    await place.tables.truncate('items');
    table = await place.tables.open(items);
    await table.writeRows([1, 2].map((id) => ({ id, text: 'first' })));
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const ids = async (): Promise<number[]> => (await table.rndScan().all()).map((row) => row.id);

  it('a commit that was aborted before it ran commits nothing later, and gives the locks back', async () => {
    const aborted = place.tables.begin();
    await aborted.table(table).writeRow({ id: 10, text: 'aborted' });
    expect(await code(aborted.commit({ signal: AbortSignal.abort() }))).toBe('CANCELLED');
    // It takes the stream that the aborted one had.
    await place.tables.transaction((next) => next.table(table).writeRow({ id: 11, text: 'next' }));
    expect(await ids()).toEqual([1, 2, 11]);
    await table.writeRow({ id: 10, text: 'free' }, { wait: 'no-wait' });
  });

  it('a rollback that was aborted rolls back all the same', async () => {
    const left = place.tables.begin();
    await left.table(table).writeRow({ id: 10, text: 'left' });
    expect(await code(left.rollback({ signal: AbortSignal.abort() }))).toBe('CANCELLED');
    await place.tables.transaction((next) => next.table(table).writeRow({ id: 11, text: 'next' }));
    expect(await ids()).toEqual([1, 2, 11]);
  });

  it('a chain that was to commit and was aborted is over, with its transaction', async () => {
    const transaction = place.tables.begin();
    await transaction.table(table).writeRow({ id: 10, text: 'before' });
    const chain = transaction.chain(
      (each) => {
        each.writeRow(table, { id: 11, text: 'chained' });
        each.commit();
      },
      { signal: AbortSignal.abort() },
    );
    expect(await code(chain)).toBe('CANCELLED');
    expect(transaction.isOpen).toBe(false);
    await transaction.rollback();
    expect(await ids()).toEqual([1, 2]);
    await table.writeRow({ id: 10, text: 'free' }, { wait: 'no-wait' });
  });

  it('runs its function again where that caught the deadlock which rolled it back', async () => {
    const first = place.tables.begin();
    await first.table(table).get(1, { lock: 'exclusive' });
    let runs = 0;
    let other: Promise<unknown> = Promise.resolve();
    await place.tables.transaction(async (transaction) => {
      runs++;
      await transaction.table(table).writeRow({ id: 10, text: 'first step' });
      await transaction.table(table).get(2, { lock: 'exclusive' });
      if (runs === 1) {
        other = first.table(table).get(2, { lock: 'exclusive' });
        await place.until((statistics) => statistics.operationsParked === 1);
      }
      // The program says that the step may fail; but this failure undid all of it.
      await transaction
        .table(table)
        .get(1, { lock: 'exclusive' })
        .catch(() => first.rollback());
    });
    await other;
    expect(runs).toBe(2);
    expect(await ids()).toEqual([1, 2, 10]);
  });

  it('a transaction beyond the limit says so, whatever it asks first', async () => {
    const open = Array.from({ length: 4 }, () => place.tables.begin());
    for (const [number, each] of open.entries()) await each.table(table).get(number + 1);
    const beyond = await failure(place.tables.transaction((one) => one.table(table).get(1)));
    expect(beyond.message).toMatch(/at most 4 transactions/);
    for (const each of open) await each.rollback();
    await place.tables.transaction((one) => one.table(table).writeRow({ id: 10, text: 'room' }));
    expect(await ids()).toEqual([1, 2, 10]);
  });
});
