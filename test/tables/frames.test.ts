import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DuplicateKeyError } from '../../guest/tables/index.js';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { MODES, Place, code, failure } from './place.js';

const lines = defineTable({
  name: 'lines',
  columns: { id: t.uint64(), text: t.text() },
  primaryKey: ['id'],
  autoIncrement: 'id',
});

describe.each(MODES)('frames that calls take, %s', (mode) => {
  let place: Place;
  let table: Table<typeof lines>;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(lines);
  });
  beforeEach(async () => {
    await place.tables.truncate('lines');
    table = await place.tables.open(lines);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  it('one for a row that commits by itself', async () => {
    expect(await place.frames(() => table.writeRow({ id: 1n, text: 'a' }))).toBe(1);
    expect(await place.frames(() => table.get(1n))).toBe(1);
  });

  it('none more for the begin of a transaction, none at all for an empty one', async () => {
    const frames = await place.frames(async () => {
      await using transaction = place.tables.begin();
      await transaction.table(table).writeRow({ id: 1n, text: 'a' });
      await transaction.commit();
    });
    expect(frames).toBe(2);
    expect(await place.frames(() => place.tables.begin().commit())).toBe(0);
  });

  it('one for a chain of 100 inserts and their commit', async () => {
    const text = 'x'.repeat(1024);
    const frames = await place.frames(() =>
      place.tables.chain((chain) => {
        for (let id = 1n; id <= 100n; id++) chain.writeRow(table, { id, text });
        chain.commit();
      }),
    );
    expect(frames).toBe(1);
    expect(await table.count()).toBe(100);
  });

  it('one for the writes of many streams in one turn', async () => {
    const streams = Array.from({ length: 16 }, () => place.stream());
    const theirs = await Promise.all(streams.map((stream) => stream.open(lines)));
    const { commits, syncs } = await place.statistics();
    const frames = await place.frames(() =>
      Promise.all(theirs.map((each, number) => each.writeRow({ id: BigInt(number + 1), text: 'a' }))),
    );
    expect(frames).toBe(1);
    const after = await place.statistics();
    expect(after.commits! - commits!).toBe(16);
    expect(after.syncs! - syncs!).toBe(1);
  });

  it('few for auto-increment values, which are reserved in growing ranges', async () => {
    const frames = await place.frames(async () => {
      for (let count = 0; count < 200; count++) await table.writeRow({ text: 'a' });
    });
    expect(frames).toBeLessThanOrEqual(204);
    expect((await table.rndScan().all()).map((row) => row.id)).toEqual(
      Array.from({ length: 200 }, (_, number) => BigInt(number + 1)),
    );
  });

  describe('a chain', () => {
    it('writes nothing when one of its writes fails', async () => {
      await table.writeRow({ id: 3n, text: 'there' });
      const chained = place.tables.chain((chain) => {
        for (let id = 1n; id <= 5n; id++) chain.writeRow(table, { id, text: 'a' });
        chain.commit();
      });
      const error = (await failure(chained)) as DuplicateKeyError;
      expect(error).toMatchObject({ code: 'DUPLICATE_KEY', index: 'primary', rowNumber: 2 });
      expect(await table.count()).toBe(1);
      await place.until(({ transactionsOpen }) => transactionsOpen === 0);
    });

    it('mixes writes of all kinds, in order', async () => {
      const old = await table.writeRow({ id: 1n, text: 'old' });
      const gone = await table.writeRow({ id: 2n, text: 'gone' });
      await place.tables.chain((chain) => {
        chain.deleteRow(table, gone);
        chain.writeRow(table, { id: 2n, text: 'again' });
        chain.updateRow(table, old, { text: 'new' });
        chain.writeRow(table, { text: 'numbered' });
        chain.commit({ durability: 'written' });
      });
      expect((await table.rndScan().all()).map((row) => row.text)).toEqual(['new', 'again', 'numbered']);
    });

    it('goes in several frames when it outgrows one', async () => {
      const text = 'x'.repeat(100_000);
      await place.tables.chain((chain) => {
        for (let id = 1n; id <= 100n; id++) chain.writeRow(table, { id, text });
        chain.commit();
      });
      expect(await table.count()).toBe(100);
    });

    it('ends with its commit', async () => {
      expect(await code(place.tables.chain((chain) => chain.writeRow(table, { text: 'a' })))).toBe(
        'BAD_REQUEST',
      );
      const behind = place.tables.chain((chain) => {
        chain.commit();
        chain.writeRow(table, { text: 'a' });
      });
      expect(await code(behind)).toBe('BAD_REQUEST');
      expect(await table.count()).toBe(0);
    });

    it('is part of its transaction, which it may commit', async () => {
      await using transaction = place.tables.begin();
      await transaction.table(table).writeRow({ id: 1n, text: 'a' });
      await transaction.chain((chain) => {
        chain.writeRow(table, { id: 2n, text: 'b' });
      });
      expect(await table.count()).toBe(0);
      await transaction.chain((chain) => {
        chain.writeRow(table, { id: 3n, text: 'c' });
        chain.commit();
      });
      expect(transaction.isOpen).toBe(false);
      expect(await table.count()).toBe(3);
    });
  });
});
