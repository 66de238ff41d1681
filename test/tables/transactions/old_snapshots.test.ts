import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Isolation, type Table, type Transaction } from '../../../guest/tables/index.js';
import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { text } from '../changes/changed_items.js';
import { MODES, Place, code } from '../place.js';

const { Method } = vamos.tables;

const seats = defineTable({
  name: 'seats',
  columns: { id: t.uint32(), place: t.uint32(), guest: t.text() },
  primaryKey: ['id'],
  indexes: { byPlace: { columns: ['place'], unique: true } },
});
const other = defineTable({ name: 'other', columns: { id: t.uint32() }, primaryKey: ['id'] });

type Seats = Table<typeof seats>;

const ROW = { id: 1, place: 10, guest: 'ann' };

/** Changes all rows where they are, with a request that no call of the connector makes. */
const change = (transaction: Transaction, { opened }: Seats, isUpdate: boolean) => {
  const { table, version } = opened.codec;
  const assignments = isUpdate ? [{ column: 2, value: text('x') }] : [];
  const request = { table, version, scope: { inTransaction: true }, assignments };
  const method = isUpdate ? Method.UPDATE_WHERE : Method.DELETE_WHERE;
  return transaction.send(method, vamos.tables.ChangeWhere.encode(request).finish(), {});
};

/** Each kind of request that reads rows, or changes existing rows. */
const READS: Record<string, (table: Seats, transaction: Transaction) => Promise<unknown>> = {
  'a read of one key': (table) => table.get(1),
  'a read of a key that is not there': (table) => table.get(99),
  'a read of several keys': (table) => table.getMany([1, 2]),
  'a read by a unique index': (table) => table.indexRead('byPlace', 10),
  'a scan of the rows': (table) => table.rndScan().all(),
  'a scan of an index': (table) => table.indexScan('byPlace', {}).all(),
  'a filtered scan': (table) => table.rndScan({ where: { guest: 'ann' } }).all(),
  'a count': (table) => table.count(),
  'an aggregate': (table) => table.aggregate({ max: ['place'] }),
  'a read that locks a key': (table) => table.get(1, { lock: 'exclusive' }),
  'a scan that locks': (table) => table.rndScan({ lock: 'shared' }).all(),
  'an update where the rows are': (table, transaction) => change(transaction, table, true),
  'a delete where the rows are': (table, transaction) => change(transaction, table, false),
  'an update of a row read before': (table) => table.updateRow(ROW, { guest: 'x' }),
  'a delete of a row read before': (table) => table.deleteRow(ROW),
};

describe.each(MODES)('snapshots that are older than the contents of a table, %s', (mode) => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(seats);
    const another = await place.tables.create(other);
    await another.writeRow({ id: 1 });
  });
  beforeEach(async () => {
    await fill(await emptied());
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const fill = (table: Seats) => table.writeRows([ROW, { id: 2, place: 20, guest: 'eve' }]);
  const emptied = async (): Promise<Seats> => {
    await place.tables.truncate('seats');
    return place.tables.open(seats);
  };
  /** Begins a transaction whose snapshot is taken, by reading another table. */
  const begin = async (isolation: Isolation = 'repeatable-read'): Promise<Transaction> => {
    const transaction = place.tables.begin({ isolation });
    await transaction.table(await place.tables.open(other)).get(1);
    return transaction;
  };

  it('no request reads the table, or changes its rows, after it was emptied and filled', async () => {
    await using transaction = await begin();
    const table = await emptied();
    await fill(table);
    for (const [name, read] of Object.entries(READS))
      expect(`${name}: ${await code(read(transaction.table(table), transaction))}`).toBe(
        `${name}: SNAPSHOT_TOO_OLD`,
      );
    expect(await table.get(1)).toEqual(ROW);
  });

  it('the failed request leaves the transaction open, and rows may be added', async () => {
    await using transaction = await begin();
    const table = await emptied();
    expect(await code(transaction.table(table).get(1))).toBe('SNAPSHOT_TOO_OLD');
    await transaction.table(table).writeRow({ id: 7, place: 70, guest: 'bob' });
    await transaction.commit();
    expect(await table.getMany([1, 7])).toEqual([undefined, { id: 7, place: 70, guest: 'bob' }]);
  });

  it('a table that was dropped and created again is not read', async () => {
    await using transaction = await begin();
    await place.tables.drop('seats');
    const table = await place.tables.create(seats);
    expect(await code(transaction.table(table).rndScan().all())).toBe('SNAPSHOT_TOO_OLD');
  });

  it('a table that was filled to take the place of another is not read, one that was only renamed is', async () => {
    const copy = defineTable({ ...seats, name: 'copy' });
    const table = await place.tables.create(copy);
    await table.writeRow(ROW);
    // It sees the first row, and not the second one.
    await using transaction = await begin();
    await table.writeRow({ ...ROW, id: 2, place: 20 });
    const rename = (from: string, to: string, rebuilt: boolean) =>
      place.client
        .stream()
        .call(Method.RENAME_TABLE, vamos.tables.RenameTable.encode({ from, to, rebuilt }).finish());
    await rename('copy', 'copy2', false);
    expect(await transaction.table(table).rndScan().all()).toEqual([ROW]);
    await rename('copy2', 'copy', true);
    expect(await code(transaction.table(table).rndScan().all())).toBe('SNAPSHOT_TOO_OLD');
    await transaction.rollback();
    await place.tables.drop('copy');
  });

  it('a snapshot that is taken later reads it, and so does each statement of READ COMMITTED', async () => {
    await using early = place.tables.begin();
    await early.table(await place.tables.open(other)).writeRow({ id: 2 });
    await using committed = await begin('read-committed');
    const table = await emptied();
    await fill(table);
    expect(await early.table(table).get(1)).toEqual(ROW);
    expect(await committed.table(table).get(1)).toEqual(ROW);
  });

  it('a snapshot asked for at the start counts, also where reads take locks', async () => {
    for (const isolation of ['repeatable-read', 'serializable'] as const) {
      await using transaction = place.tables.begin({ isolation, consistentSnapshot: true });
      await transaction.savepoint('begins it');
      const table = await emptied();
      await fill(table);
      expect(await code(transaction.table(table).get(1))).toBe('SNAPSHOT_TOO_OLD');
    }
    await using locking = await begin('serializable');
    const table = await emptied();
    await fill(table);
    expect(await locking.table(table).get(1)).toEqual(ROW);
  });

  it('a temporary table is read by its creator, whatever the age of the snapshot', async () => {
    await using transaction = await begin();
    const definition = { ...(await definitionOf('seats')), name: 'temporary' };
    const body = vamos.tables.CreateTable.encode({ definition, temporary: true }).finish();
    await place.client.stream().call(Method.CREATE_TABLE, body);
    const table = transaction.table(await place.tables.open({ ...seats, name: 'temporary' }));
    await table.writeRow(ROW);
    expect(await table.rndScan().all()).toEqual([ROW]);
    await transaction.rollback();
    await place.tables.drop('temporary');
  });

  it('transaction() runs again and then has the rows', async () => {
    let runs = 0;
    const row = await place.tables.transaction(async (transaction) => {
      await transaction.table(await place.tables.open(other)).get(1);
      if (runs++ === 0) await fill(await emptied());
      return transaction.table(await place.tables.open(seats)).get(1);
    });
    expect([row, runs]).toEqual([ROW, 2]);
    expect(new VamosError('SNAPSHOT_TOO_OLD', '').isRetryable).toBe(true);
  });

  const definitionOf = async (name: string) => {
    const body = vamos.tables.TableName.encode({ name }).finish();
    return vamos.tables.TableInfo.decode(await place.client.stream().call(Method.OPEN_TABLE, body))
      .definition!;
  };
});
