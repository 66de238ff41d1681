import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { MODES, Place, code } from './place.js';
import { inTransaction, Requests } from './requests.js';

const { Isolation, Lock } = vamos.tables;
const rows = defineTable({ name: 'rows', columns: { id: t.uint32(), text: t.text() }, primaryKey: ['id'] });

describe.each(MODES)('statements of a transaction, %s', (mode) => {
  let place: Place;
  let table: Table<typeof rows>;
  let one: Requests;
  let two: Requests;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(rows);
  });
  beforeEach(async () => {
    await place.tables.truncate('rows');
    table = await place.tables.open(rows);
    await table.writeRows([1, 2, 3].map(row));
    one = new Requests(place.client, table);
    two = new Requests(place.client, table);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const row = (id: number) => ({ id, text: `${id}` });
  const ids = async () => (await table.rndScan().all()).map(({ id }) => id);
  const noWait = { wait: vamos.tables.Wait.NO_WAIT };

  it('one is undone by itself, whatever requests it took, and the counts with it', async () => {
    await one.begin();
    await one.insert(row(10), inTransaction(1));
    await one.insert(row(11), inTransaction(2));
    await one.insert(row(12), inTransaction(2));
    await one.delete((await one.get(1, inTransaction(2), 'EXCLUSIVE'))!, inTransaction(2));
    await one.savepoint('ROLLBACK_STATEMENT', 2);
    await one.savepoint('ROLLBACK_STATEMENT', 2); // nothing of it is left
    await one.savepoint('ROLLBACK_STATEMENT', 1); // it has been over for long
    await one.insert(row(13), inTransaction(3));
    await one.savepoint('ROLLBACK_STATEMENT', 4); // it wrote nothing
    await one.commit();
    expect(await ids()).toEqual([1, 2, 3, 10, 13]);
    expect((await table.statistics()).rows).toBe(5);
  });

  it('savepoints of the user stay where a statement is undone, and undo statements', async () => {
    await one.begin();
    await one.insert(row(10), inTransaction(1));
    await one.savepoint('SET', 'a');
    await one.insert(row(11), inTransaction(2));
    await one.insert(row(12), inTransaction(3));
    await one.savepoint('ROLLBACK_STATEMENT', 3);
    await one.insert(row(13), inTransaction(4));
    await one.savepoint('SET', 'b');
    await one.insert(row(14), inTransaction(5));
    await one.savepoint('ROLLBACK_STATEMENT', 5);
    await one.savepoint('RELEASE', 'b');
    expect(await one.get(13, inTransaction(6))).toBeDefined();
    await one.savepoint('ROLLBACK_TO', 'a');
    await one.insert(row(15), inTransaction(6));
    await one.savepoint('ROLLBACK_STATEMENT', 6);
    await one.insert(row(16), inTransaction(6));
    await one.commit();
    expect(await ids()).toEqual([1, 2, 3, 10, 16]);
  });

  it('one in whose middle a savepoint was set is undone whole', async () => {
    await one.begin();
    await one.insert(row(10), inTransaction(1));
    await one.savepoint('SET', 'within');
    await one.insert(row(11), inTransaction(1));
    await one.savepoint('ROLLBACK_STATEMENT', 1);
    expect(await code(one.savepoint('RELEASE', 'within'))).toBe('SAVEPOINT_MISSING');
    await one.commit();
    expect(await ids()).toEqual([1, 2, 3]);
  });

  it('a request that fails is undone, and what its statement did before stays', async () => {
    await one.begin();
    await one.insert(row(10), inTransaction(1));
    expect(await code(one.insert(row(1), inTransaction(1)))).toBe('DUPLICATE_KEY');
    await one.commit();
    expect(await ids()).toEqual([1, 2, 3, 10]);
  });

  it('one that is undone keeps the locks of rows that were there, not of those that it inserted', async () => {
    await one.begin();
    await one.insert(row(10), inTransaction(1));
    await one.delete((await one.get(1, inTransaction(1), 'EXCLUSIVE'))!, inTransaction(1));
    await one.savepoint('ROLLBACK_STATEMENT', 1);
    await two.begin();
    expect(await code(two.get(1, inTransaction(0, noWait), 'SHARED'))).toBe('LOCK_NOT_AVAILABLE');
    await two.insert(row(10), inTransaction(0, noWait));
    await one.rollback();
    await two.rollback();
  });

  it('needs a number to be undone, and a transaction', async () => {
    expect(await code(one.savepoint('ROLLBACK_STATEMENT', 1))).toBe('NO_TRANSACTION');
    await one.begin();
    expect(await code(one.savepoint('ROLLBACK_STATEMENT', 0))).toBe('BAD_REQUEST');
    await one.rollback();
  });

  it('reads of one statement see one moment under read-committed, the next one a later', async () => {
    await one.begin({ isolation: Isolation.READ_COMMITTED });
    const read = async (statement: number, id: number) => (await one.get(id, inTransaction(statement)))?.text;
    expect(await read(1, 1)).toBe('1');
    await table.updateRow((await table.get(1))!, { text: 'new' });
    await table.updateRow((await table.get(2))!, { text: 'new' });
    expect([await read(1, 1), await read(1, 2)]).toEqual(['1', '2']);
    expect([await read(2, 1), await read(2, 2)]).toEqual(['new', 'new']);
    await table.updateRow((await table.get(1))!, { text: 'newer' });
    expect(await read(0, 1)).toBe('newer'); // a statement by itself
    await one.rollback();
  });

  describe('give back locks of rows that they did not want', () => {
    const isFree = async (id: number): Promise<boolean> => {
      await two.begin();
      const outcome = await two.get(id, inTransaction(0, noWait), 'EXCLUSIVE').then(
        () => true,
        () => false,
      );
      await two.rollback();
      return outcome;
    };

    it('of this statement, and never of rows that were written', async () => {
      await one.begin({ isolation: Isolation.READ_COMMITTED });
      await one.get(1, inTransaction(1), 'EXCLUSIVE');
      const [, second, third] = await Promise.all(
        [1, 2, 3].map((id) => one.get(id, inTransaction(2), 'EXCLUSIVE')),
      );
      await one.update(second!, { ...second, text: 'changed' }, inTransaction(2));
      expect(third).toBeDefined();
      await one.unlock([1, 2, 3, 99], inTransaction(2));
      expect([await isFree(1), await isFree(2), await isFree(3)]).toEqual([false, false, true]);
      await one.get(3, inTransaction(3), 'EXCLUSIVE');
      await one.unlock([3], inTransaction(2)); // too late
      expect(await isFree(3)).toBe(false);
      await one.rollback();
    });

    it('wakes who waits for them', async () => {
      await one.begin({ isolation: Isolation.READ_COMMITTED });
      await one.get(1, inTransaction(1), 'EXCLUSIVE');
      await two.begin();
      const waiting = two.get(1, inTransaction(), 'EXCLUSIVE');
      await place.until(({ operationsParked }) => operationsParked === 1);
      await one.unlock([1], inTransaction(1));
      expect((await waiting)?.text).toBe('1');
      await two.rollback();
      await one.rollback();
    });

    it('and none under repeatable-read', async () => {
      await one.begin();
      await one.get(1, inTransaction(1), 'EXCLUSIVE');
      await one.unlock([1], inTransaction(1));
      expect(await isFree(1)).toBe(false);
      await one.rollback();
    });
  });

  it('an insert whose key is there locks that row as it asks: shared, or exclusive to change it', async () => {
    await one.begin();
    await two.begin();
    expect(await code(one.insert(row(1), inTransaction()))).toBe('DUPLICATE_KEY');
    expect(await code(two.insert(row(1), inTransaction(0, noWait)))).toBe('DUPLICATE_KEY');
    expect(await code(two.get(1, inTransaction(0, noWait), 'EXCLUSIVE'))).toBe('LOCK_NOT_AVAILABLE');
    const exclusive = { duplicateLock: Lock.EXCLUSIVE };
    expect(await code(one.insert(row(2), inTransaction(), exclusive))).toBe('DUPLICATE_KEY');
    expect(await code(two.insert(row(2), inTransaction(0, noWait)))).toBe('LOCK_NOT_AVAILABLE');
    await one.rollback();
    await two.rollback();
  });
});
