import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../../guest/tables/index.js';
import { writeKeyBatch } from '../../../src/protocol/batches.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { MODES, Place } from '../place.js';
import { inTransaction, Requests } from '../requests.js';

const { Durability, Wait } = vamos.tables;

const seats = defineTable({
  name: 'seats',
  columns: { id: t.uint32(), holder: t.text().nullable() },
  primaryKey: ['id'],
  indexes: { byHolder: { columns: ['holder'], unique: true } },
});

const outcomeOf = (write: Promise<unknown>): Promise<string> =>
  write.then(
    () => 'OK',
    (error: unknown) => (error as { code: string }).code,
  );

/** What one turn of the event loop issues goes as one frame, whose autocommit writes the host commits together. */
describe.each(MODES)('autocommit writes that come together, %s', (mode) => {
  let place: Place;
  let table: Table<typeof seats>;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(seats);
  });
  beforeEach(async () => {
    await place.tables.truncate('seats');
    table = await place.tables.open(seats);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const connector = (): Requests => new Requests(place.client, table);
  const seat = (id: number, holder: string | null = null) => ({ id, holder });
  const all = async () => table.rndScan().all();

  it('are each done', async () => {
    await Promise.all(Array.from({ length: 30 }, (_, id) => connector().insert(seat(id, `holder ${id}`))));
    expect(await all()).toEqual(Array.from({ length: 30 }, (_, id) => seat(id, `holder ${id}`)));
  });

  it('fail one by one: the others are done', async () => {
    await connector().insert(seat(1, 'ann'));
    const writes = [
      connector().insert(seat(2, 'bob')),
      connector().insert(seat(1, 'cay')),
      connector().insert(seat(3, 'ann')),
      connector().update(seat(9, 'nobody'), seat(9, 'somebody')),
      connector().insert(seat(4, 'dan')),
    ];
    expect(await Promise.all(writes.map((write) => outcomeOf(write)))).toEqual([
      'OK',
      'DUPLICATE_KEY',
      'DUPLICATE_KEY',
      'NOT_FOUND',
      'OK',
    ]);
    expect(await all()).toEqual([seat(1, 'ann'), seat(2, 'bob'), seat(4, 'dan')]);
  });

  it('are done one after the other where they are about the same row', async () => {
    await connector().insert(seat(1, 'ann'));
    const writes = [
      connector().update(seat(1, 'ann'), seat(1, 'bob')),
      connector().update(seat(1, 'ann'), seat(1, 'cay')),
      connector().update(seat(1, 'bob'), seat(1, 'dan')),
      connector().insert(seat(2, 'bob')),
    ];
    expect(await Promise.all(writes.map((write) => outcomeOf(write)))).toEqual([
      'OK',
      'ROW_CHANGED',
      'OK',
      'OK',
    ]);
    expect(await all()).toEqual([seat(1, 'dan'), seat(2, 'bob')]);
  });

  it('find each other: of those that want one key, one gets it', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, id) => outcomeOf(connector().insert(seat(id, 'everybody')))),
    );
    expect(outcomes.filter((outcome) => outcome === 'OK')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'DUPLICATE_KEY')).toHaveLength(9);
    expect(await all()).toHaveLength(1);
  });

  it('leave one behind that has to wait for a lock, which is done when it is free', async () => {
    await connector().insert(seat(1));
    const holder = connector();
    await holder.begin();
    await holder.get(1, inTransaction(), 'EXCLUSIVE');
    let isDone = false;
    const waiting = connector()
      .delete(seat(1))
      .then(() => {
        isDone = true;
      });
    await Promise.all([connector().insert(seat(2)), connector().insert(seat(3))]);
    expect(isDone).toBe(false);
    await holder.rollback();
    await waiting;
    expect(await all()).toEqual([seat(2), seat(3)]);
  });

  it('never make one that does not wait meet the locks of the others', async () => {
    await connector().insert(seat(1, 'ann'));
    const scope = { wait: Wait.NO_WAIT };
    expect(await outcomeOf(connector().insert(seat(1, 'bob'), scope))).toBe('DUPLICATE_KEY');
    expect(await outcomeOf(connector().insert(seat(2, 'ann'), scope))).toBe('DUPLICATE_KEY');
  });

  it('number the commit of each stream, but of those that failed', async () => {
    const writers = Array.from({ length: 5 }, () => connector());
    const outcomes = await Promise.all(
      writers.map((writer, index) =>
        outcomeOf(writer.insert(seat(index === 3 ? 0 : index), { commitNumber: index + 1 })),
      ),
    );
    expect(outcomes).toEqual(['OK', 'OK', 'OK', 'DUPLICATE_KEY', 'OK']);
    const numbers = await Promise.all(writers.map((writer) => writer.lastCommit(writer.stream.id)));
    expect(numbers).toEqual([1, 2, 3, 0, 5]);
  });

  it('outlive a restart, whatever durability each asked for', async () => {
    await Promise.all([
      connector().insert(seat(1), { durability: Durability.SYNCED }),
      connector().insert(seat(2), { durability: Durability.WRITTEN }),
      connector().insert(seat(3), { durability: Durability.MEMORY }),
    ]);
    await place.restart();
    table = await place.tables.open(seats);
    expect(await all()).toEqual([seat(1), seat(2), seat(3)]);
    expect(await table.count()).toBe(3);
  });

  it('are answered without the commit where they change nothing that the others wrote', async () => {
    await Promise.all([1, 2, 3].map((id) => connector().insert(seat(id))));
    const keysOf = (id: number) => writeKeyBatch([table.opened.codec.key(0, id)]);
    const before = await place.statistics();
    const changes = [
      connector().deleteWhere({ keys: keysOf(9) }),
      connector().deleteWhere({ keys: keysOf(1) }),
      connector().deleteWhere({ keys: keysOf(1) }),
      connector().deleteWhere({ keys: keysOf(8) }),
      connector().deleteWhere({ keys: keysOf(3) }),
    ];
    expect((await Promise.all(changes)).map(({ changed }) => changed)).toEqual([0, 1, 0, 0, 1]);
    expect(await all()).toEqual([seat(2)]);
    expect((await place.statistics()).commits! - before.commits!).toBe(2);
    const alone = await place.statistics();
    expect(await connector().deleteWhere({ keys: keysOf(9) })).toEqual({ found: 0, changed: 0 });
    const after = await place.statistics();
    expect([after.commits, after.syncs, after.transactionsOpen]).toEqual([alone.commits, alone.syncs, 0]);
  });

  it('leave nothing locked behind, whether they were done or failed', async () => {
    await Promise.all([
      connector().insert(seat(1, 'ann')),
      outcomeOf(connector().insert(seat(1, 'bob'))),
      connector().insert(seat(2, 'cay')),
    ]);
    expect((await place.statistics()).locksHeld).toBe(0);
    expect((await place.statistics()).transactionsOpen).toBe(0);
  });
});

const notes = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), text: t.text() },
  primaryKey: ['id'],
});

describe.each(MODES)('autocommit writes that come together in a root of small transactions, %s', (mode) => {
  it('are never too large because of the others, nor because their commits are numbered', async () => {
    await using place = await Place.make(mode, { maxTransactionBytes: 64 * 1024 });
    const table = await place.tables.create(notes);
    const rows = Array.from({ length: 250 }, (_, id) => ({ id, text: `${id}`.padStart(400) }));
    const outcomes = await Promise.all(
      rows.map((row) => outcomeOf(new Requests(place.client, table).insert(row, { commitNumber: 1 }))),
    );
    expect(new Set(outcomes)).toEqual(new Set(['OK']));
    expect(await table.rndScan().all()).toEqual(rows);
  });
});
