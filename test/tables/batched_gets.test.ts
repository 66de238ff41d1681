import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { writeKeyBatch } from '../../src/protocol/batches.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { MODES, Place, code } from './place.js';
import { inTransaction, Requests } from './requests.js';

const { Method } = vamos.tables;

const things = defineTable({
  name: 'things',
  columns: { id: t.uint32(), text: t.text() },
  primaryKey: ['id'],
});

/** What one turn of the event loop issues goes as one frame, and the store is asked for its GETs in one call. */
describe.each(MODES)('the GETs of a frame, %s', (mode) => {
  let place: Place;
  let table: Table<typeof things>;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(things);
    await table.writeRows(Array.from({ length: 40 }, (_, id) => ({ id, text: `text ${id}` })));
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const connector = (): Requests => new Requests(place.client, table);
  const bodyOf = (fields: vamos.tables.IGet): Uint8Array =>
    vamos.tables.Get.encode({
      ...connector().head,
      keys: writeKeyBatch([table.opened.codec.key(0, 1)]),
      ...fields,
    }).finish();

  it('give each stream its own rows, and none where there is none', async () => {
    const rows = await Promise.all(Array.from({ length: 50 }, (_, id) => connector().get(id)));
    expect(rows).toEqual(
      Array.from({ length: 50 }, (_, id) => (id < 40 ? { id, text: `text ${id}` } : undefined)),
    );
  });

  it('fail one by one where something is wrong with them', async () => {
    const bodies = [
      bodyOf({}),
      bodyOf({ version: 77 }),
      bodyOf({ table: 4_000_000 }),
      bodyOf({ index: 5 }),
      bodyOf({ columns: [9] }),
      bodyOf({ scope: inTransaction() }),
      bodyOf({ keys: Buffer.from([255, 255, 255, 255, 1]) }),
      bodyOf({}).subarray(0, 5),
      Buffer.from([0x08, 0xff]),
    ];
    const codes = await Promise.all(
      bodies.map((body) => code(place.client.stream().call(Method.GET, body)).catch(() => 'OK')),
    );
    expect(codes).toEqual([
      'OK',
      'TABLE_CHANGED',
      'TABLE_MISSING',
      'INDEX_MISSING',
      'BAD_REQUEST',
      'NO_TRANSACTION',
      'BAD_REQUEST',
      'BAD_REQUEST',
      'BAD_REQUEST',
    ]);
  });

  it('see what their own stream wrote before them in the frame', async () => {
    const stream = connector();
    const row = { id: 500, text: 'new' };
    const [, found] = await Promise.all([stream.insert(row), stream.get(500)]);
    expect(found).toEqual(row);
  });

  it('see what their transaction sees', async () => {
    const stream = connector();
    await stream.begin({ consistentSnapshot: true });
    await table.updateRow({ id: 7, text: 'text 7' }, { text: 'changed' });
    const [inside, outside] = await Promise.all([stream.get(7, inTransaction(1)), connector().get(7)]);
    expect([inside?.['text'], outside?.['text']]).toEqual(['text 7', 'changed']);
    await stream.rollback();
  });
});
