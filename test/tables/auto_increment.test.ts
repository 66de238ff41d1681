import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { MODES, Place } from './place.js';

const events = defineTable({
  name: 'events',
  columns: { id: t.uint64(), text: t.text().nullable() },
  primaryKey: ['id'],
  autoIncrement: 'id',
});

describe.each(MODES)('auto-increment, %s', (mode) => {
  let place: Place;
  let table: Table<typeof events>;
  /** The same table, opened by another connector. */
  let theirs: Table<typeof events>;

  beforeAll(async () => {
    place = await Place.make(mode);
  });
  beforeEach(async () => {
    table = await place.tables.create(events);
    theirs = await place.stream(await place.connect()).open(events);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  it.each([[10n], [20n], [40n], [5000n]])(
    'gives no number twice where a row of the call brings %d',
    async (own) => {
      await table.writeRow({});
      await theirs.writeRow({});
      await table.writeRows([{ id: own }, ...Array.from({ length: 14 }, () => ({}))]);
      await theirs.writeRows(Array.from({ length: 40 }, () => ({})));
      await table.writeRows([...Array.from({ length: 20 }, () => ({})), { id: own + 1000n }, {}]);
      await theirs.writeRows(Array.from({ length: 40 }, () => ({})));
      expect(await table.count()).toBe(1 + 1 + 15 + 40 + 22 + 40);
      await place.tables.drop('events');
    },
  );

  it('goes on after a number that a row brought', async () => {
    await table.writeRow({ id: 100_000n });
    expect((await table.writeRow({})).id).toBe(100_001n);
    expect((await theirs.writeRow({})).id).toBeGreaterThan(100_001n);
    await place.tables.drop('events');
  });

  it('does not give back what was rolled back', async () => {
    const transaction = place.tables.begin();
    const { id } = await transaction.table(table).writeRow({});
    await transaction.rollback();
    expect((await table.writeRow({})).id).toBeGreaterThan(id);
    await place.tables.drop('events');
  });

  it('of many simultaneous writes are all different', async () => {
    const writing = Array.from({ length: 200 }, (_, number) => (number % 2 ? table : theirs).writeRow({}));
    const ids = (await Promise.all(writing)).map((row) => row.id);
    expect(new Set(ids).size).toBe(200);
    await place.tables.drop('events');
  });
});
