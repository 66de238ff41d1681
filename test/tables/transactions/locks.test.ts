import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table, type Transaction } from '../../../guest/tables/index.js';
import { MODES, Place, code, failure } from '../place.js';

const jobs = defineTable({
  name: 'jobs',
  columns: { id: t.uint32(), state: t.text(), owner: t.text().nullable() },
  primaryKey: ['id'],
  indexes: { byState: { columns: ['state'] } },
});

describe.each(MODES)('locks, %s', (mode) => {
  let place: Place;
  let table: Table<typeof jobs>;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(jobs);
  });
  beforeEach(async () => {
    await place.tables.truncate('jobs');
    table = await place.tables.open(jobs);
    await table.writeRows(Array.from({ length: 80 }, (_, id) => ({ id, state: 'new' })));
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const lock = (transaction: Transaction, id: number, options = {}) =>
    transaction.table(table).get(id, { lock: 'exclusive', ...options });
  const parked = (count: number) => place.until((statistics) => statistics.operationsParked === count);

  it('a waiting request goes on when the lock is given back, and sees what was committed', async () => {
    const holder = place.tables.begin();
    const row = (await lock(holder, 1))!;
    await holder.table(table).updateRow(row, { owner: 'holder' });
    await using waiter = place.tables.begin();
    const waiting = lock(waiter, 1);
    await parked(1);
    await holder.commit();
    expect((await waiting)?.owner).toBe('holder');
  });

  it('two may read under shared locks, and none may write', async () => {
    await using one = place.tables.begin();
    await using two = place.tables.begin();
    await lock(one, 1, { lock: 'shared' });
    await lock(two, 1, { lock: 'shared' });
    await using three = place.tables.begin();
    expect(await code(lock(three, 1, { wait: 'no-wait' }))).toBe('LOCK_NOT_AVAILABLE');
  });

  it('a wait ends at its timeout, and the transaction goes on', async () => {
    await using holder = place.tables.begin();
    await lock(holder, 1);
    await using waiter = place.tables.begin({ lockTimeoutMs: 30 });
    await lock(waiter, 2);
    expect(await failure(lock(waiter, 1))).toMatchObject({ code: 'LOCK_TIMEOUT', isRetryable: true });
    expect((await lock(waiter, 3))?.id).toBe(3);
    await waiter.commit();
  });

  it('a wait ends when its caller aborts it, and the lock goes to the next', async () => {
    const holder = place.tables.begin();
    await lock(holder, 1);
    const controller = new AbortController();
    await using aborted = place.tables.begin();
    await using next = place.tables.begin();
    const first = lock(aborted, 1, { signal: controller.signal });
    await parked(1);
    const second = lock(next, 1);
    await parked(2);
    controller.abort();
    expect(await code(first)).toBe('CANCELLED');
    // The stream is free again, though the lock is not.
    await aborted.rollback();
    await holder.commit();
    expect((await second)?.id).toBe(1);
  });

  it('a wait that its caller just aborted is part of no deadlock', async () => {
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController();
      const one = place.tables.begin();
      await lock(one, 1);
      const two = place.tables.begin();
      await lock(two, 2);
      const aborted = code(lock(two, 1, { signal: controller.signal }));
      await parked(1);
      controller.abort();
      const waiting = lock(one, 2);
      expect(await aborted).toBe('CANCELLED');
      await two.rollback();
      expect((await waiting)?.id).toBe(2);
      await one.rollback();
    }
  });

  it('a wait ends when its deadline passes', async () => {
    await using holder = place.tables.begin();
    await lock(holder, 1);
    await using late = place.tables.begin();
    expect(await code(lock(late, 1, { timeoutMs: 30 }))).toBe('DEADLINE_EXCEEDED');
    await parked(0);
    expect((await lock(late, 2))?.id).toBe(2);
  });

  it('no-wait fails immediately, skip-locked leaves the row out', async () => {
    await using holder = place.tables.begin();
    await lock(holder, 0);
    await using other = place.tables.begin({ isolation: 'read-committed' });
    expect(await code(lock(other, 0, { wait: 'no-wait' }))).toBe('LOCK_NOT_AVAILABLE');
    expect(await lock(other, 0, { wait: 'skip-locked' })).toBeUndefined();
    const scan = other.table(table).rndScan({ lock: 'exclusive', wait: 'skip-locked', limit: 2 });
    expect((await scan.all()).map((row) => row.id)).toEqual([1, 2]);
    expect(await code(table.updateRow((await table.get(0))!, { owner: 'x' }, { wait: 'no-wait' }))).toBe(
      'LOCK_NOT_AVAILABLE',
    );
  });

  it('workers that skip locked rows take different jobs', async () => {
    const take = async (worker: number): Promise<number> => {
      await using transaction = place.tables.begin({ isolation: 'read-committed' });
      const there = transaction.table(table);
      const scan = there.indexScan('byState', {
        equal: { state: 'new' },
        lock: 'exclusive',
        wait: 'skip-locked',
        limit: 1,
      });
      const [job] = await scan.all();
      await there.updateRow(job!, { state: 'taken', owner: `worker ${worker}` });
      await transaction.commit({ durability: 'memory' });
      return job!.id;
    };
    const taken = await Promise.all(Array.from({ length: 20 }, (_, worker) => take(worker)));
    expect(new Set(taken).size).toBe(20);
  });

  it('a read with limit 1 locks one row', async () => {
    await using reader = place.tables.begin({ isolation: 'read-committed' });
    await reader.table(table).rndScan({ lock: 'exclusive', limit: 1 }).all();
    await using other = place.tables.begin();
    expect((await lock(other, 1, { wait: 'no-wait' }))?.id).toBe(1);
    expect(await code(lock(other, 0, { wait: 'no-wait' }))).toBe('LOCK_NOT_AVAILABLE');
  });

  it('finds a deadlock of three streams immediately: one is rolled back, the others go on', async () => {
    const transactions = [0, 1, 2].map(() => place.tables.begin({ lockTimeoutMs: 60_000 }));
    for (const [number, transaction] of transactions.entries()) await lock(transaction, number);
    const crossed = transactions.map(async (transaction, number) => {
      try {
        await lock(transaction, (number + 1) % 3);
        await transaction.commit();
        return 'committed';
      } catch (error) {
        expect(transaction.isOpen).toBe(false);
        return (error as { code: string }).code;
      }
    });
    expect((await Promise.all(crossed)).sort()).toEqual(['DEADLOCK', 'committed', 'committed']);
  });

  it('64 parked requests hold no thread and no other stream, and the commit gets past them', async () => {
    const holder = place.tables.begin();
    for (let id = 0; id < 64; id++) await lock(holder, id);
    const waiters = Array.from({ length: 64 }, () => place.tables.begin({ lockTimeoutMs: 60_000 }));
    const waiting = waiters.map((waiter, id) => lock(waiter, id));
    await parked(64);
    const { threads } = await place.statistics();
    expect(threads).toBeLessThan(64);
    // Reads, scans on threads, and writes of other streams go on.
    expect(await table.count()).toBe(80);
    expect(await table.rndScan({ windowBytes: 1_000_000 }).all()).toHaveLength(80);
    await table.writeRow({ id: 100, state: 'new' });
    await holder.commit();
    expect((await Promise.all(waiting)).map((row) => row?.id)).toEqual(
      Array.from({ length: 64 }, (_, id) => id),
    );
    await Promise.all(waiters.map((waiter) => waiter.rollback()));
    await place.until((statistics) => statistics.locksHeld === 0 && statistics.transactionsOpen === 0);
  });

  it('frames that wait for locks do not hold back the commit that ends the wait', async () => {
    // There are more frames than may be in flight, each with nothing but a lock wait.
    const holder = place.tables.begin();
    await lock(holder, 1);
    const waiters = Array.from({ length: 12 }, () => place.tables.begin({ lockTimeoutMs: 60_000 }));
    const waiting: Promise<unknown>[] = [];
    for (const [number, waiter] of waiters.entries()) {
      waiting.push(lock(waiter, 1).then(() => waiter.rollback()));
      await parked(number + 1);
    }
    await holder.commit();
    await Promise.all(waiting);
  });
});
