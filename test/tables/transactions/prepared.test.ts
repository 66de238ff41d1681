import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../../guest/tables/index.js';
import { MODES, Place, code } from '../place.js';
import { inTransaction, Requests } from '../requests.js';

const items = defineTable({
  name: 'items',
  columns: { id: t.uint32(), text: t.text(), data: t.blob() },
  primaryKey: ['id'],
  indexes: { byText: { columns: ['text'], unique: true } },
});
const LARGE = Buffer.alloc(300_000, 'x');

describe.each(MODES)('prepared transactions, %s', (mode) => {
  let place: Place;
  let table: Table<typeof items>;
  let one: Requests;
  const lock = inTransaction(0, { wait: 1 });

  const open = async (): Promise<void> => {
    table = await place.tables.open(items);
    one = new Requests(place.client, table);
  };
  /** Inserts 10, changes 1, removes 2. */
  const write = async (requests: Requests): Promise<void> => {
    await requests.begin();
    await requests.insert(item(10), inTransaction());
    const [first, second] = await Promise.all(
      [1, 2].map((id) => requests.get(id, inTransaction(), 'EXCLUSIVE')),
    );
    await requests.update(first!, { ...first, text: 'new' }, inTransaction());
    await requests.delete(second!, inTransaction());
  };
  const item = (id: number) => ({ id, text: `t${id}`, data: Buffer.alloc(0) });
  const texts = async () => (await table.rndScan().all()).map(({ id, text }) => `${id} ${text}`);
  const before = ['1 t1', '2 t2', '3 t3'];
  const after = ['1 new', '3 t3', '10 t10'];
  const rows = async () => (await table.statistics()).rows;

  beforeEach(async () => {
    place = await Place.make(mode, { definitionTimeoutMs: 300 });
    await place.tables.create(items);
    await open();
    await table.writeRows([1, 2, 3].map(item));
  });
  afterEach(async () => {
    await place[Symbol.asyncDispose]();
  });

  it.each([
    ['COMMIT', after],
    ['ROLLBACK', before],
  ] as const)('%s by any session ends one whose own session is over', async (how, expected) => {
    const client = await place.connect();
    const other = new Requests(client, table);
    await write(other);
    await other.prepare('x1');
    await client.close();
    expect(await texts()).toEqual(before);
    expect(await one.listPrepared()).toEqual(['x1']);
    await one.endPrepared(how, 'x1');
    expect(await texts()).toEqual(expected);
    expect(await rows()).toBe(3);
    expect(await one.listPrepared()).toEqual([]);
    expect(await code(one.endPrepared(how, 'x1'))).toBe('PREPARED_MISSING');
    await place.until(({ locksHeld, transactionsOpen }) => locksHeld === 0 && transactionsOpen === 0);
  });

  it('the stream has no transaction any more, and the locks stay', async () => {
    await write(one);
    await one.prepare('x1');
    expect(await code(one.commit())).toBe('NO_TRANSACTION');
    await one.begin();
    for (const id of [1, 2, 10]) {
      expect(await code(one.get(id, lock, 'SHARED'))).toBe('LOCK_NOT_AVAILABLE');
    }
    expect(await code(one.insert({ ...item(20), text: 't10' }, lock))).toBe('LOCK_NOT_AVAILABLE');
    await one.get(3, lock, 'EXCLUSIVE');
    await one.rollback();
    await one.endPrepared('ROLLBACK', 'x1');
    await table.writeRow({ ...item(20), text: 't10' }, { wait: 'no-wait' });
  });

  it.each([
    ['COMMIT', after, 3],
    ['ROLLBACK', before, 3],
  ] as const)('outlives the store with its locks, and then %s ends it', async (how, expected, count) => {
    await write(one);
    await one.prepare('x1');
    await place.restart();
    await open();
    expect(await one.listPrepared()).toEqual(['x1']);
    await one.begin();
    for (const id of [1, 2, 10]) {
      expect(await code(one.get(id, lock, 'SHARED'))).toBe('LOCK_NOT_AVAILABLE');
    }
    expect(await code(one.insert({ ...item(20), text: 't10' }, lock))).toBe('LOCK_NOT_AVAILABLE');
    expect(await code(one.insert({ ...item(20), text: 't2' }, lock))).toBe('LOCK_NOT_AVAILABLE');
    await one.rollback();
    expect(await texts()).toEqual(before);
    await one.endPrepared(how, 'x1');
    expect(await texts()).toEqual(expected);
    expect(await rows()).toBe(count);
    await place.restart();
    await open();
    expect(await one.listPrepared()).toEqual([]);
    expect(await texts()).toEqual(expected);
    expect(await rows()).toBe(count);
  });

  it('its table is not dropped before it ends', async () => {
    await write(one);
    await one.prepare('x1');
    expect(await code(place.stream().drop('items'))).toBe('LOCK_TIMEOUT');
    expect(await place.tables.list()).toEqual(['items']);
    await one.endPrepared('COMMIT', 'x1');
    await place.tables.drop('items');
  });

  it.each(['COMMIT', 'ROLLBACK'] as const)(
    'its blobs outlive session and store; %s settles whose they are',
    async (how) => {
      const client = await place.connect();
      const other = new Requests(client, table);
      const [old, fresh] = [await other.writeBlob(LARGE), await other.writeBlob(LARGE)];
      await other.insert({ ...item(50), data: old });
      await other.begin();
      await other.delete((await other.get(50, inTransaction(), 'EXCLUSIVE'))!, inTransaction());
      await other.insert({ ...item(60), data: fresh }, inTransaction());
      await other.prepare('blobs');
      await client.close();
      await place.restart();
      await open();
      expect((await one.readBlob(fresh)).length).toBe(LARGE.length);
      expect((await one.readBlob(old)).length).toBe(LARGE.length);
      await one.endPrepared(how, 'blobs');
      const [kept, gone] = how === 'COMMIT' ? [fresh, old] : [old, fresh];
      const isGone = async () => (await one.readBlob(gone).catch(() => undefined)) === undefined;
      while (!(await isGone())) await delay(2);
      await place.restart();
      await open();
      expect((await one.readBlob(kept)).length).toBe(LARGE.length);
    },
  );

  it('an xid that is taken, missing, empty or too long is refused, and the transaction goes on', async () => {
    await write(one);
    await one.prepare('x1');
    const two = new Requests(place.client, table);
    await two.begin();
    await two.insert(item(30), inTransaction());
    await expect(two.prepare('x1')).rejects.toMatchObject({
      code: 'PREPARED_EXISTS',
      message: expect.stringContaining('end that one first') as unknown,
    });
    expect(await code(two.prepare(''))).toBe('BAD_REQUEST');
    expect(await code(two.prepare('x'.repeat(161)))).toBe('BAD_REQUEST');
    await two.prepare('x'.repeat(160));
    expect(await code(two.prepare('x2'))).toBe('NO_TRANSACTION');
    expect(await code(one.endPrepared('COMMIT', 'x2'))).toBe('PREPARED_MISSING');
    await one.endPrepared('COMMIT', 'x'.repeat(160));
    expect(await texts()).toEqual([...before, '30 t30']);
  });

  it('many that end simultaneously share few syncs', async () => {
    const all = Array.from({ length: 32 }, () => new Requests(place.client, table));
    await Promise.all(
      all.map(async (each, number) => {
        await each.begin();
        await each.insert(item(100 + number), inTransaction());
      }),
    );
    const { syncs: first } = await place.statistics();
    await Promise.all(all.map((each, number) => each.prepare(`many ${number}`)));
    await Promise.all(all.map((each, number) => each.endPrepared('COMMIT', `many ${number}`)));
    expect((await place.statistics()).syncs! - first!).toBeLessThan(32);
    expect(await rows()).toBe(35);
  });
});

describe.each(MODES)('a drop that waits for a prepared transaction, %s', (mode) => {
  it.each([
    ['COMMIT', false],
    ['ROLLBACK', false],
    ['COMMIT', true],
    ['ROLLBACK', true],
  ] as const)('is done when %s ends that one (after a restart: %s)', async (how, isRestarted) => {
    // The timeout is longer than the test may take: a drop that nothing wakes does not end.
    await using place = await Place.make(mode, { definitionTimeoutMs: 600_000 });
    await place.tables.create(items);
    const table = await place.tables.open(items);
    const one = new Requests(place.client, table);
    await one.begin();
    await one.insert({ id: 1, text: 'a', data: Buffer.alloc(0) }, inTransaction());
    await one.prepare('x1');
    if (isRestarted) await place.restart();
    const two = new Requests(place.client, await place.tables.open(items));
    let isDropped = false;
    const dropping = place
      .stream()
      .drop('items')
      .then(() => (isDropped = true));
    // This request was sent behind the drop, and was answered.
    expect(await two.listPrepared()).toEqual(['x1']);
    expect(isDropped).toBe(false);
    await two.endPrepared(how, 'x1');
    await dropping;
    expect(await place.tables.list()).toEqual([]);
  });
});

describe('a prepared transaction whose host is killed', () => {
  it('is there when the host comes back, with its locks and its blobs', { timeout: 120_000 }, async () => {
    await using place = await Place.make('split');
    const table = await place.tables.create(items);
    await table.writeRow({ id: 1, text: 'a', data: Buffer.alloc(0) });
    const one = new Requests(place.client, table);
    await one.begin();
    const row = await one.get(1, inTransaction(), 'EXCLUSIVE');
    await one.update(row!, { ...row, text: 'b' }, inTransaction());
    await one.insert({ id: 2, text: 'a', data: await one.writeBlob(LARGE) }, inTransaction());
    await one.prepare('killed');
    await place.kill();
    const two = new Requests(await place.connect(), table);
    expect(await two.listPrepared()).toEqual(['killed']);
    await two.begin();
    expect(await code(two.get(1, inTransaction(0, { wait: 1 }), 'SHARED'))).toBe('LOCK_NOT_AVAILABLE');
    await two.rollback();
    await two.endPrepared('COMMIT', 'killed');
    expect((await table.rndScan().all()).map(({ id, text }) => `${id} ${text}`)).toEqual(['1 b', '2 a']);
    expect(Buffer.compare(await (await table.get(2))!.data.bytes(), LARGE)).toBe(0);
  });
});
