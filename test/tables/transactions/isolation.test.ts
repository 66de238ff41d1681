import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Isolation, type Table, type Transaction } from '../../../guest/tables/index.js';
import { MODES, Place, code, failure } from '../place.js';

const people = defineTable({
  name: 'people',
  columns: { id: t.uint32(), mail: t.text().nullable(), age: t.int32(), text: t.text() },
  primaryKey: ['id'],
  indexes: { byMail: { columns: ['mail'], unique: true }, byAge: { columns: ['age'] } },
});

describe.each(MODES)('what transactions see and wait for, %s', (mode) => {
  let place: Place;
  let table: Table<typeof people>;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(people);
  });
  beforeEach(async () => {
    await place.tables.truncate('people');
    table = await place.tables.open(people);
    await table.writeRows([10, 20, 30].map((id) => person(id)));
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const person = (id: number) => ({ id, mail: `m${id}`, age: id, text: '' });
  const begin = (isolation: Isolation = 'repeatable-read', lockTimeoutMs = 60_000): Transaction =>
    place.tables.begin({ isolation, lockTimeoutMs });
  const parked = (count: number) => place.until((statistics) => statistics.operationsParked === count);
  const ids = async (on = table): Promise<number[]> => (await on.rndScan().all()).map((row) => row.id);

  it('a unique key that another is writing is waited for: free after a rollback, taken after a commit', async () => {
    for (const ending of ['rollback', 'commit'] as const) {
      const first = begin();
      await first.table(table).writeRow({ ...person(40), mail: 'new' });
      const second = place
        .stream()
        .transaction((each) => each.table(table).writeRow({ ...person(41), mail: 'new' }));
      const outcome = second.then(
        () => 'written',
        (error: { code: string; index: string }) => `${error.code} ${error.index}`,
      );
      await parked(1);
      await first[ending]();
      expect(await outcome).toBe(ending === 'rollback' ? 'written' : 'DUPLICATE_KEY byMail');
      await table.deleteRows(await table.indexScan('byMail', { equal: { mail: 'new' } }).all());
    }
  });

  it('a unique key whose delete another has not committed is waited for', async () => {
    const first = begin();
    await first.table(table).deleteRow((await first.table(table).get(10))!);
    const writing = place
      .stream()
      .transaction((each) => each.table(table).writeRow({ ...person(50), mail: 'm10' }));
    await parked(1);
    await first.commit();
    await writing;
    expect(await ids()).toEqual([20, 30, 50]);
  });

  it('a row can be deleted and written again under its keys in one transaction, and unique values can trade places', async () => {
    await using one = begin();
    const there = one.table(table);
    await there.deleteRow((await there.get(10))!);
    await there.writeRow({ ...person(10), text: 'again' });
    const [ten, twenty] = await there.getMany([10, 20]);
    const kept = await there.updateRow(ten!, { mail: null });
    await there.updateRow(twenty!, { mail: 'm10' });
    await there.updateRow(kept, { mail: 'm20' });
    await one.commit();
    expect((await table.indexRead('byMail', 'm20'))?.text).toBe('again');
    expect((await table.indexRead('byMail', 'm10'))?.id).toBe(20);
  });

  it('a statement that a lock timeout stopped is undone, and the transaction keeps what it wrote before', async () => {
    await using holder = begin();
    await holder.table(table).get(30, { lock: 'exclusive' });
    const waiter = begin('repeatable-read', 200);
    const there = waiter.table(table);
    await there.writeRow(person(1));
    const rows = await there.getMany([10, 20, 30]);
    const updates = rows.map((old) => ({ old: old!, changes: { age: 99 } }));
    expect(await code(there.updateRows(updates))).toBe('LOCK_TIMEOUT');
    expect(waiter.isOpen).toBe(true);
    expect((await there.getMany([10, 20])).map((row) => row!.age)).toEqual([10, 20]);
    await there.writeRow(person(2));
    await waiter.commit();
    expect(await ids()).toEqual([1, 2, 10, 20, 30]);
    expect(await table.count({ index: 'byAge', equal: { age: 99 } })).toBe(0);
  });

  it("a deadlock's victim takes nothing more, and holds and leaves nothing", async () => {
    const survivor = begin();
    const victim = begin();
    await survivor.table(table).get(10, { lock: 'exclusive' });
    await victim.table(table).writeRow(person(1));
    await victim.table(table).get(20, { lock: 'exclusive' });
    const waiting = survivor.table(table).get(20, { lock: 'exclusive' });
    await parked(1);
    const error = await failure(victim.table(table).get(10, { lock: 'exclusive' }));
    expect(error.code).toBe('DEADLOCK');
    expect(victim.isOpen).toBe(false);
    expect(await code(victim.table(table).get(30))).toBe('DEADLOCK');
    expect(await code(victim.commit())).toBe('DEADLOCK');
    await victim.rollback();
    expect((await waiting)?.id).toBe(20);
    await survivor.commit();
    expect(await ids()).toEqual([10, 20, 30]);
    await place.until((statistics) => statistics.locksHeld === 0 && statistics.transactionsOpen === 0);
  });

  it('a scan of a transaction that writes ahead of it ends, each row once', async () => {
    await table.writeRows(
      Array.from({ length: 500 }, (_, n) => ({ ...person(1000 + n), age: 1, text: 'x'.repeat(100) })),
    );
    await using one = begin();
    const there = one.table(table);
    let changed = 0;
    for await (const row of there.indexScan('byAge', { equal: { age: 1 }, lock: 'exclusive' })) {
      await there.updateRow(row, { text: `${row.text}y` });
      changed++;
    }
    expect(changed).toBe(500);
    // Rows move ahead in the very index that is scanned.
    let moved = 0;
    for await (const row of there.indexScan('byAge', { lower: { age: 1 }, upper: { age: 1 } })) {
      await there.updateRow(row, { age: 2 });
      if (++moved > 1000) break;
    }
    expect(moved).toBe(500);
    expect(await there.count({ index: 'byAge', equal: { age: 2 } })).toBe(500);
  });

  it('a scan of read-committed keeps the view that its statement began with, and the next has a new one', async () => {
    await table.writeRows(
      Array.from({ length: 400 }, (_, n) => ({ ...person(1000 + n), text: 'x'.repeat(200) })),
    );
    await using reader = begin('read-committed');
    const cursor = reader.table(table).rndScan({ windowBytes: 1024 });
    const first = await cursor.next();
    expect(first.value?.id).toBe(10);
    await table.writeRow(person(5000));
    await table.deleteRow((await table.get(1399))!);
    const rest = await cursor.all();
    expect(rest.at(-1)?.id).toBe(1399);
    expect(rest).toHaveLength(402);
    expect((await ids(reader.table(table))).at(-1)).toBe(5000);
  });

  it('a locking read of repeatable-read sees the latest row, a plain one after it the snapshot still', async () => {
    await using reader = begin();
    const there = reader.table(table);
    expect((await there.get(10))?.age).toBe(10);
    await table.updateRow((await table.get(10))!, { age: 11 });
    expect((await there.get(10, { lock: 'shared' }))?.age).toBe(11);
    expect((await there.get(10))?.age).toBe(10);
    const stale = (await there.get(10))!;
    expect(await code(there.updateRow(stale, { age: 12 }))).toBe('ROW_CHANGED');
    const fresh = (await there.get(10, { lock: 'exclusive' }))!;
    await there.updateRow(fresh, { age: fresh.age + 1 });
    expect((await there.get(10))?.age).toBe(12);
  });

  it('a locking read of a key that is not there keeps others from writing it, under repeatable-read', async () => {
    const reader = begin();
    expect(await reader.table(table).get(15, { lock: 'exclusive' })).toBeUndefined();
    expect(await code(table.writeRow(person(15), { wait: 'no-wait' }))).toBe('LOCK_NOT_AVAILABLE');
    await reader.table(table).writeRow(person(15));
    await reader.commit();
    expect(await ids()).toEqual([10, 15, 20, 30]);
  });

  it('a locking range read of a secondary index keeps phantoms out of that range only', async () => {
    await using reader = begin();
    const range = { lower: { age: 15 }, upper: { age: 25 }, lock: 'exclusive' } as const;
    expect(await reader.table(table).indexScan('byAge', range).all()).toHaveLength(1);
    expect(await code(table.writeRow({ ...person(60), age: 18 }, { wait: 'no-wait' }))).toBe(
      'LOCK_NOT_AVAILABLE',
    );
    expect(await code(table.writeRow({ ...person(60), age: 25 }, { wait: 'no-wait' }))).toBe(
      'LOCK_NOT_AVAILABLE',
    );
    await table.writeRow({ ...person(61), age: 60 }, { wait: 'no-wait' });
    expect(await reader.table(table).indexScan('byAge', range).all()).toHaveLength(1);
  });

  it('serializable: of two that read a range and write into it, one is undone', async () => {
    const one = begin('serializable');
    const other = begin('serializable');
    const sum = async (each: Transaction) =>
      (await each.table(table).rndScan().all()).reduce((total, row) => total + row.age, 0);
    expect([await sum(one), await sum(other)]).toEqual([60, 60]);
    const first = one
      .table(table)
      .writeRow({ ...person(71), age: 60 })
      .then(
        () => 'ok',
        (e: { code: string }) => e.code,
      );
    await parked(1);
    const second = other
      .table(table)
      .writeRow({ ...person(72), age: 60 })
      .then(
        () => 'ok',
        (e: { code: string }) => e.code,
      );
    expect((await Promise.all([first, second])).sort()).toEqual(['DEADLOCK', 'ok']);
    await one.rollback();
    await other.rollback();
  });

  it('a write that needs several requests is one statement: a duplicate in its last row undoes all of it', async () => {
    const many = Array.from({ length: 30 }, (_, n) => ({ ...person(100 + n), text: 'x'.repeat(100_000) }));
    const rows = [...many, { ...person(500), mail: 'm30' }];
    const transaction = begin();
    await transaction.table(table).writeRow(person(1));
    await expect(transaction.table(table).writeRows(rows)).rejects.toMatchObject({
      index: 'byMail',
      rowNumber: 30,
    });
    expect(await ids(transaction.table(table))).toEqual([1, 10, 20, 30]);
    await transaction.commit();
    await expect(table.writeRows(rows)).rejects.toMatchObject({ index: 'byMail', rowNumber: 30 });
    expect(await ids()).toEqual([1, 10, 20, 30]);
  });

  it('rollback to a savepoint undoes unique keys and counts too, and a release keeps them', async () => {
    await using one = begin();
    const there = one.table(table);
    await one.savepoint('outer');
    await there.writeRow({ ...person(1), mail: 'a' });
    await one.savepoint('inner');
    await there.writeRow({ ...person(2), mail: 'b' });
    await one.release('inner');
    expect(await code(one.rollbackTo('inner'))).toBe('SAVEPOINT_MISSING');
    await one.rollbackTo('outer');
    await there.writeRow({ ...person(3), mail: 'b' });
    await one.commit();
    expect(await ids()).toEqual([3, 10, 20, 30]);
    expect((await table.statistics()).rows).toBe(4);
    expect(await table.count({ index: 'byMail' })).toBe(4);
  });

  it('NULLs in a unique index are found by a scan, and by no read of a key', async () => {
    await table.writeRows([1, 2].map((id) => ({ ...person(id), mail: null })));
    const found = await table.indexScan('byMail', { equal: { mail: null } }).all();
    expect(found.map((row) => row.id)).toEqual([1, 2]);
    const [row] = found;
    await table.updateRow(row!, { mail: 'm1' });
    expect(await code(table.updateRow(found[1]!, { mail: 'm1' }))).toBe('DUPLICATE_KEY');
    expect(await table.indexRead('byMail', null)).toBeUndefined();
  });
});
