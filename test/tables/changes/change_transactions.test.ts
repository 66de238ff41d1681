import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { vamos } from '../../../src/protocol/generated/messages.js';
import {
  atLeast,
  BY_RANK,
  Column,
  equals,
  expectItems,
  ids,
  integer,
  item,
  items,
  keys,
  load,
  plus,
  program,
  range,
  text,
  type Items,
} from './changed_items.js';
import { MODES, Place, code } from '../place.js';
import { inTransaction, Requests } from '../requests.js';

const { Isolation, Wait } = vamos.tables;

describe.each(MODES)('transactions of rows that the host changes, %s', (mode) => {
  let place: Place;
  let table: Items;
  let one: Requests;
  let two: Requests;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(items);
  });
  beforeEach(async () => {
    await place.tables.truncate('items');
    table = await place.tables.open(items);
    one = new Requests(place.client, table);
    two = new Requests(place.client, table);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const parked = (count: number) => place.until((statistics) => statistics.operationsParked === count);
  const note = (value: string) => [{ column: Column.NOTE, value: text(value) }];
  const noWait = (statement = 0) => inTransaction(statement, { wait: Wait.NO_WAIT });

  it('show them to others when they commit, and to none when they roll back', async () => {
    const rows = await load(table, 50);
    await one.begin();
    expect(await one.deleteWhere({ filter: equals(Column.RANK, 1) }, inTransaction(1))).toEqual({
      found: 10,
      changed: 10,
    });
    expect((await one.updateWhere({ assignments: note('x') }, inTransaction(2))).found).toBe(40);
    await expectItems(table, rows);
    await one.rollback();
    await expectItems(table, rows);
    await one.begin();
    await one.deleteWhere({ filter: equals(Column.RANK, 1) }, inTransaction(1));
    await one.commit();
    await expectItems(
      table,
      rows.filter(({ rank }) => rank !== 1),
    );
  });

  it('undo a statement, and only it', async () => {
    const rows = await load(table, 30);
    await one.begin();
    await one.updateWhere({ keys: keys(table, 1), assignments: note('first') }, inTransaction(1));
    await one.updateWhere({ keys: keys(table, 2), assignments: note('second') }, inTransaction(2));
    await one.deleteWhere({ ranges: [range(table, 0, 10, 20)] }, inTransaction(2));
    await one.savepoint('ROLLBACK_STATEMENT', 2);
    await one.commit();
    await expectItems(
      table,
      rows.map((row) => (row.id === 1 ? { ...row, note: 'first' } : row)),
    );
  });

  it('go on after a change that failed, without anything of it', async () => {
    const rows = await load(table, 30);
    await one.begin();
    await one.updateWhere({ keys: keys(table, 1), assignments: note('kept') }, inTransaction(1));
    const assignments = [{ column: Column.TAG, value: text('tag 20') }];
    const ranges = [range(table, 0, 2, 5)];
    expect(await code(one.updateWhere({ ranges, assignments }, inTransaction(1)))).toBe('DUPLICATE_KEY');
    await one.updateWhere({ keys: keys(table, 29), assignments: note('kept') }, inTransaction(1));
    await one.commit();
    await expectItems(
      table,
      rows.map((row) => (row.id === 1 || row.id === 29 ? { ...row, note: 'kept' } : row)),
    );
  });

  it('wait for a locked row, and go on there with what was committed', async () => {
    const rows = await load(table, 2000);
    await two.begin();
    await two.updateWhere({ keys: keys(table, 1500), assignments: note('theirs') }, inTransaction(1));
    const assignments = [{ column: Column.TAG, value: program().column(Column.NOTE).finish() }];
    const waiting = one.updateWhere({ assignments });
    await parked(1);
    await two.commit();
    expect(await waiting).toEqual({ found: 2000, changed: 2000 });
    await expectItems(
      table,
      rows.map((row) => {
        const after = row.id === 1500 ? 'theirs' : row.note;
        return { ...row, note: after, tag: after };
      }),
    );
  });

  it('wait for who may give a unique key back', async () => {
    await load(table, 5);
    await two.begin();
    await two.deleteWhere({ keys: keys(table, 4) }, inTransaction(1));
    const assignments = [{ column: Column.TAG, value: text('tag 4') }];
    const waiting = one.updateWhere({ keys: keys(table, 1), assignments });
    await parked(1);
    await two.commit();
    expect(await waiting).toEqual({ found: 1, changed: 1 });
    expect((await table.get(1))?.tag).toBe('tag 4');
  });

  it('do not wait where they ask not to', async () => {
    const rows = await load(table, 20);
    await two.begin();
    await two.get(10, inTransaction(), 'EXCLUSIVE');
    expect(await code(one.deleteWhere({}, { wait: Wait.NO_WAIT }))).toBe('LOCK_NOT_AVAILABLE');
    await two.rollback();
    await expectItems(table, rows);
  });

  it('end where they would wait for one another, and one of them goes on', async () => {
    await load(table, 10);
    await one.begin();
    await two.begin();
    await one.updateWhere({ keys: keys(table, 1), assignments: note('one') }, inTransaction());
    await two.updateWhere({ keys: keys(table, 8), assignments: note('two') }, inTransaction());
    const waiting = one.deleteWhere({ ranges: [range(table, 0, 5, 10)] }, inTransaction());
    await parked(1);
    const all = [{ column: Column.SCORE, value: program().double(0.5).finish() }];
    expect(await code(two.updateWhere({ assignments: all }, inTransaction()))).toBe('DEADLOCK');
    expect((await waiting).changed).toBe(5);
    expect(await code(two.commit())).toBe('NO_TRANSACTION');
    await one.commit();
    expect(await ids(table)).toEqual([0, 1, 2, 3, 4]);
  });

  it('keep the locks of rows that do not pass, but not under read-committed', async () => {
    await load(table, 20);
    const isFree = async (id: number): Promise<boolean> => {
      await two.begin();
      const failed = await two.get(id, noWait(), 'EXCLUSIVE').then(
        () => false,
        () => true,
      );
      await two.rollback();
      return !failed;
    };
    for (const isolation of [Isolation.REPEATABLE_READ, Isolation.READ_COMMITTED]) {
      const isCommitted = isolation === Isolation.READ_COMMITTED;
      await one.begin({ isolation });
      const ranges = [range(table, 0, 0, 10)];
      const filter = equals(Column.RANK, 3);
      await one.updateWhere({ ranges, filter, assignments: note('x') }, inTransaction(1));
      await one.updateWhere({ keys: keys(table, 15, 18), filter, assignments: note('x') }, inTransaction(1));
      expect([await isFree(3), await isFree(18)]).toEqual([false, false]);
      expect([await isFree(4), await isFree(15)]).toEqual([isCommitted, isCommitted]);
      await one.rollback();
    }
  });

  it('keep others out of what a change by range has read', async () => {
    await load(table, 10);
    await one.begin();
    await one.deleteWhere({ ranges: [range(table, 0, 5, 20)] }, inTransaction(1));
    expect(await code(two.insert({ ...item(12) }, { wait: Wait.NO_WAIT }))).toBe('LOCK_NOT_AVAILABLE');
    await one.rollback();
  });

  it('see their own rows, whatever they changed before', async () => {
    await load(table, 10);
    await one.begin();
    await one.insert({ ...item(100) }, inTransaction(1));
    await one.updateWhere(
      { assignments: [{ column: Column.RANK, value: plus(Column.RANK, 50) }] },
      inTransaction(2),
    );
    const ranges = [range(table, BY_RANK, 53, 50)];
    expect(await one.deleteWhere({ index: BY_RANK, ranges }, inTransaction(3))).toEqual({
      found: 6,
      changed: 6,
    });
    await one.commit();
    expect(await ids(table)).toEqual([0, 4, 5, 9, 100]);
  });

  it('have rows and entries that were committed after their snapshot, once those are their own', async () => {
    await load(table, 4);
    await one.begin();
    expect(await one.get(0, inTransaction(1))).toBeDefined();
    await table.writeRow({ ...item(50), rank: 2 });
    await table.updateRow((await table.get(1))!, { tag: 'new', rank: 2 });
    const ranges = [range(table, BY_RANK, 2, 1)];
    const theirs = { index: BY_RANK, ranges, assignments: note('mine') };
    expect((await one.updateWhere(theirs, inTransaction(2))).found).toBe(3);
    // The same index finds them in the transaction's own view, with the rows' present values.
    expect((await one.deleteWhere({ ...theirs, assignments: [] }, inTransaction(3))).found).toBe(3);
    await one.rollback();
  });

  it('that change too much in one transaction change nothing', async () => {
    await using small = await Place.make(mode, { maxTransactionBytes: 256 * 1024 });
    const many = await small.tables.create(items);
    for (let from = 0; from < 4000; from += 200)
      await many.writeRows(Array.from({ length: 200 }, (_, id) => item(from + id)));
    const requests = new Requests(small.client, many);
    expect(await code(requests.deleteWhere())).toBe('TRANSACTION_TOO_LARGE');
    expect(await many.count()).toBe(4000);
    expect((await many.statistics()).rows).toBe(4000);
    expect((await requests.deleteWhere({ limitRows: 100 })).changed).toBe(100);
  });

  it('number their commits', async () => {
    await load(table, 3);
    await one.updateWhere({ assignments: note('x') }, { commitNumber: 1 });
    expect(await one.lastCommit(one.stream.id)).toBe(1);
    await one.deleteWhere({ keys: keys(table, 1) }, { commitNumber: 2 });
    expect(await one.lastCommit(one.stream.id)).toBe(2);
  });

  it('that only read are refused', async () => {
    await load(table, 1);
    await one.begin({ readOnly: true });
    expect(await code(one.deleteWhere({}, inTransaction()))).toBe('READ_ONLY');
    await one.rollback();
  });

  it('are given up with their call', async () => {
    const rows = await load(table, 3000);
    await two.begin();
    await two.get(2900, inTransaction(), 'EXCLUSIVE');
    const filter = atLeast(Column.RANK, 0);
    const waiting = code(one.updateWhere({ filter, assignments: note('never') }, { lockTimeoutMs: 20 }));
    expect(await waiting).toBe('LOCK_TIMEOUT');
    await two.rollback();
    await expectItems(table, rows);
    expect((await one.updateWhere({ assignments: [{ column: Column.RANK, value: integer(1) }] })).found).toBe(
      3000,
    );
  });
});

describe('a host process that is killed in the middle of changes', () => {
  it('has done each of them whole or not, and knows which', { timeout: 120_000 }, async () => {
    await using place = await Place.make('split');
    const table = await place.tables.create(items);
    await load(table, 100);
    const writer = new Requests(place.client, table);
    let done = 0;
    let isStopped = false;
    const writing = (async () => {
      while (!isStopped) {
        const assignments = [
          {
            column: Column.SCORE,
            value: program()
              .double(done + 1)
              .finish(),
          },
        ];
        try {
          await writer.updateWhere({ assignments }, { commitNumber: done + 1 });
          done++;
        } catch {
          return;
        }
      }
    })();
    while (done < 20) await new Promise(setImmediate);
    await place.kill();
    isStopped = true;
    await writing;
    const last = await writer.lastCommit(writer.stream.id);
    expect([done, done + 1]).toContain(last);
    const scores = new Set((await table.rndScan().all()).map(({ score }) => score));
    expect([...scores]).toEqual([last]);
  });
});
