import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Isolation, type Table, type Transaction } from '../../../guest/tables/index.js';
import { MODES, Place, code } from '../place.js';

const accounts = defineTable({
  name: 'accounts',
  columns: { id: t.uint32(), owner: t.text(), amount: t.int32() },
  primaryKey: ['id'],
  indexes: { byOwner: { columns: ['owner'] } },
});

describe.each(MODES)('transactions, %s', (mode) => {
  let place: Place;
  let table: Table<typeof accounts>;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(accounts);
  });
  beforeEach(async () => {
    await place.tables.truncate('accounts');
    table = await place.tables.open(accounts);
    await table.writeRows([1, 2, 3].map((id) => ({ id, owner: 'ada', amount: 100 })));
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const begin = (isolation: Isolation = 'repeatable-read'): Transaction => place.tables.begin({ isolation });
  const set = async (transaction: Transaction, id: number, amount: number): Promise<void> => {
    const accountsThere = transaction.table(table);
    await accountsThere.updateRow((await accountsThere.get(id, { lock: 'exclusive' }))!, { amount });
  };
  const amount = async (transaction: Transaction, id: number): Promise<number | undefined> =>
    (await transaction.table(table).get(id))?.amount;

  it('shows others its writes when it commits, and not before', async () => {
    await using writer = begin();
    await set(writer, 1, 50);
    expect((await table.get(1))?.amount).toBe(100);
    expect(await amount(writer, 1)).toBe(50);
    await writer.commit();
    expect((await table.get(1))?.amount).toBe(50);
  });

  it('undoes all of it on rollback, and where it is left without a commit', async () => {
    {
      await using left = begin();
      await set(left, 1, 50);
      await left.table(table).writeRow({ id: 9, owner: 'bo', amount: 1 });
    }
    const rolledBack = begin();
    await set(rolledBack, 2, 50);
    await rolledBack.rollback();
    expect((await table.rndScan().all()).map((row) => row.amount)).toEqual([100, 100, 100]);
    expect((await table.statistics()).rows).toBe(3);
  });

  it('takes no request after its end', async () => {
    const ended = begin();
    await set(ended, 1, 1);
    await ended.commit();
    expect(ended.isOpen).toBe(false);
    expect(await code(ended.table(table).get(1))).toBe('NO_TRANSACTION');
    expect(await code(ended.commit())).toBe('NO_TRANSACTION');
    await ended.rollback();
  });

  it('refuses writes where it is read-only', async () => {
    await using reader = place.tables.begin({ readOnly: true });
    const there = reader.table(table);
    expect(await code(there.writeRow({ id: 9, owner: 'bo', amount: 1 }))).toBe('READ_ONLY');
    expect(await there.count()).toBe(3);
  });

  it('goes on after a statement that failed, which left nothing behind', async () => {
    await using transaction = begin();
    const there = transaction.table(table);
    await there.writeRow({ id: 9, owner: 'bo', amount: 1 });
    const rows = [10, 11, 1].map((id) => ({ id, owner: 'cy', amount: 1 }));
    expect(await code(there.writeRows(rows))).toBe('DUPLICATE_KEY');
    await transaction.commit();
    expect((await table.rndScan().all()).map((row) => row.id)).toEqual([1, 2, 3, 9]);
  });

  describe('isolation', () => {
    it.each(['read-committed', 'repeatable-read', 'serializable'] as const)(
      '%s reads no uncommitted row',
      async (isolation) => {
        await using writer = begin();
        await writer.table(table).writeRow({ id: 9, owner: 'bo', amount: 1 });
        await using reader = begin(isolation === 'serializable' ? 'repeatable-read' : isolation);
        expect(await amount(reader, 9)).toBeUndefined();
        await using waiter = place.tables.begin({ isolation, lockTimeoutMs: 50 });
        const read = amount(waiter, 9);
        if (isolation === 'serializable') expect(await code(read)).toBe('LOCK_TIMEOUT');
        else expect(await read).toBeUndefined();
      },
    );

    it('read-committed sees what was committed meanwhile', async () => {
      await using reader = begin('read-committed');
      expect(await amount(reader, 1)).toBe(100);
      await table.updateRow((await table.get(1))!, { amount: 50 });
      await table.writeRow({ id: 9, owner: 'bo', amount: 1 });
      expect(await amount(reader, 1)).toBe(50);
      expect(await reader.table(table).count()).toBe(4);
    });

    it('repeatable-read finds a row that it changed itself under its new key only', async () => {
      await using reader = begin();
      const there = reader.table(table);
      expect(await there.count()).toBe(3);
      await table.updateRow((await table.get(1))!, { owner: 'bo' });
      await there.updateRow((await there.get(1, { lock: 'exclusive' }))!, { owner: 'cy' });
      const of = async (owner: string) =>
        (await there.indexScan('byOwner', { equal: { owner } }).all()).map((row) => row.id);
      expect([await of('ada'), await of('bo'), await of('cy')]).toEqual([[2, 3], [], [1]]);
    });

    it('repeatable-read keeps its snapshot, for rows and for ranges', async () => {
      await using reader = begin();
      expect(await amount(reader, 1)).toBe(100);
      await table.updateRow((await table.get(1))!, { amount: 50 });
      await table.writeRow({ id: 9, owner: 'ada', amount: 1 });
      expect(await amount(reader, 1)).toBe(100);
      expect(await reader.table(table).count()).toBe(3);
      expect(
        await reader
          .table(table)
          .indexScan('byOwner', { equal: { owner: 'ada' } })
          .all(),
      ).toHaveLength(3);
      // A locking read sees the latest.
      expect((await reader.table(table).get(1, { lock: 'shared' }))?.amount).toBe(50);
    });

    it('takes the snapshot at its begin where that is asked for', async () => {
      await using early = place.tables.begin({ consistentSnapshot: true });
      await early.savepoint('begins');
      await using late = begin();
      await late.savepoint('begins');
      await table.updateRow((await table.get(1))!, { amount: 50 });
      expect(await amount(early, 1)).toBe(100);
      expect(await amount(late, 1)).toBe(50);
    });

    it('a locking range read of repeatable-read keeps phantoms out, of read-committed does not', async () => {
      const phantom = { id: 2_000, owner: 'ada', amount: 1 };
      {
        await using reader = begin();
        const range = { lower: { id: 2 }, lock: 'exclusive' } as const;
        expect(await reader.table(table).rndScan(range).all()).toHaveLength(2);
        expect(await code(table.writeRow(phantom, { lockTimeoutMs: 50 }))).toBe('LOCK_TIMEOUT');
      }
      await using reader = begin('read-committed');
      expect(
        await reader
          .table(table)
          .rndScan({ lower: { id: 2 }, lock: 'exclusive' })
          .all(),
      ).toHaveLength(2);
      await table.writeRow(phantom);
    });

    it('serializable lets a row that it read not change', async () => {
      await using reader = begin('serializable');
      expect(await amount(reader, 1)).toBe(100);
      const row = (await table.get(1))!;
      expect(await code(table.updateRow(row, { amount: 1 }, { lockTimeoutMs: 50 }))).toBe('LOCK_TIMEOUT');
      await reader.commit();
      await table.updateRow(row, { amount: 1 });
    });
  });

  describe('savepoints', () => {
    it('undo what came after them and keep what came before', async () => {
      await using transaction = begin();
      await set(transaction, 1, 1);
      await transaction.savepoint('one');
      await set(transaction, 2, 2);
      await transaction.savepoint('two');
      await transaction.table(table).deleteRow((await transaction.table(table).get(3))!);
      await transaction.rollbackTo('one');
      expect(await code(transaction.rollbackTo('two'))).toBe('SAVEPOINT_MISSING');
      await set(transaction, 3, 3);
      await transaction.rollbackTo('one');
      await transaction.release('one');
      expect(await code(transaction.release('one'))).toBe('SAVEPOINT_MISSING');
      await transaction.commit();
      expect((await table.rndScan().all()).map((row) => row.amount)).toEqual([1, 100, 100]);
      expect((await table.statistics()).rows).toBe(3);
    });

    it('of the same name replace one another', async () => {
      await using transaction = begin();
      await transaction.savepoint('one');
      await set(transaction, 1, 1);
      await transaction.savepoint('one');
      await set(transaction, 2, 2);
      await transaction.rollbackTo('one');
      await transaction.commit();
      expect((await table.rndScan().all()).map((row) => row.amount)).toEqual([1, 100, 100]);
    });

    it('keep the locks taken after them, but for those of rows that came and went', async () => {
      await using transaction = begin();
      await set(transaction, 1, 1);
      await transaction.savepoint('one');
      await set(transaction, 2, 2);
      await transaction.table(table).writeRow({ id: 9, owner: 'ada', amount: 9 });
      await transaction.rollbackTo('one');
      for (const id of [1, 2]) {
        const row = (await table.get(id))!;
        expect(await code(table.updateRow(row, { amount: 7 }, { wait: 'no-wait' }))).toBe(
          'LOCK_NOT_AVAILABLE',
        );
      }
      await table.writeRow({ id: 9, owner: 'ada', amount: 7 }, { wait: 'no-wait' });
    });
  });

  it('commits what its function did, and rolls back what threw', async () => {
    const result = await place.tables.transaction(async (transaction) => {
      await set(transaction, 1, 5);
      return 'done';
    });
    expect(result).toBe('done');
    await expect(
      place.tables.transaction(async (transaction) => {
        await set(transaction, 2, 5);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect((await table.rndScan().all()).map((row) => row.amount)).toEqual([5, 100, 100]);
  });

  it('tries again what a deadlock undid, until all is done', async () => {
    const transfer = (from: number, to: number): Promise<void> =>
      place.tables.transaction(
        async (transaction) => {
          const there = transaction.table(table);
          const source = (await there.get(from, { lock: 'exclusive' }))!;
          await there.updateRow(source, { amount: source.amount - 1 });
          const target = (await there.get(to, { lock: 'exclusive' }))!;
          await there.updateRow(target, { amount: target.amount + 1 });
        },
        { retries: 50, durability: 'memory' },
      );
    const all = Array.from({ length: 30 }, (_, number) => transfer(1 + (number % 3), 1 + ((number + 1) % 3)));
    await Promise.all(all);
    expect((await table.rndScan().all()).map((row) => row.amount)).toEqual([100, 100, 100]);
  });

  it('dies with its session: retryable, and its cursor too', async () => {
    const other = await place.connect();
    const tables = place.stream(other);
    const theirs = await tables.open(accounts);
    const transaction = tables.begin();
    await set(transaction, 1, 1);
    await other.close();
    // Its locks are gone with it.
    await table.updateRow((await table.get(1))!, { amount: 8 });
    expect(theirs.name).toBe('accounts');
    expect((await table.get(1))?.amount).toBe(8);
  });
});
