import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { RpcStream } from '../../src/rpc/contract.js';
import { MODES, Place, code } from './place.js';

const { Method } = vamos.tables;
const DANGEROUS: readonly number[] = [
  Method.DROP_TABLE,
  Method.TRUNCATE_TABLE,
  Method.RENAME_TABLE,
  Method.DELETE_WHERE,
];
const methods = Object.values(Method)
  .map(Number)
  .filter((method) => method > 0 && !DANGEROUS.includes(method));

const things = defineTable({
  name: 'things',
  columns: { id: t.uint32(), text: t.text(), data: t.blob().nullable() },
  primaryKey: ['id'],
  indexes: { byText: { columns: ['text'], unique: true } },
});

describe.each(MODES)('a hostile connector, %s', (mode) => {
  let place: Place;
  let table: Table<typeof things>;
  let stream: RpcStream;
  let head: { table: number; version: number };

  beforeAll(async () => {
    place = await Place.make(mode, { lockTimeoutMs: 50, definitionTimeoutMs: 50, maxTransactions: 2 });
    table = await place.tables.create(things);
    await table.writeRows([1, 2, 3].map((id) => ({ id, text: `${id}` })));
    stream = place.client.stream();
    head = { table: table.opened.codec.table, version: table.opened.codec.version };
  });
  afterAll(async () => {
    expect(await table.count()).toBe(3);
    expect((await table.indexScan('byText').all()).map((row) => row.id)).toEqual([1, 2, 3]);
    await place[Symbol.asyncDispose]();
  });

  it('gets a VamosError for garbage of any method, never INTERNAL', async () => {
    const body = fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ maxLength: 2000 }));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...methods, 0x1ff, 0x142), body, async (method, bytes) => {
        try {
          await stream.call(method, bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(VamosError);
          expect((error as VamosError).code).not.toBe('INTERNAL');
        }
      }),
      { numRuns: 400 },
    );
    await stream.call(Method.CLOSE_STREAM, new Uint8Array());
  });

  it('gets BAD_REQUEST for batches that are cut off, too long, or random', async () => {
    const insert = (batch: Uint8Array) =>
      stream.call(Method.INSERT, vamos.tables.Write.encode({ ...head, batch }).finish());
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (batch) => {
        for (const method of [Method.INSERT, Method.UPDATE, Method.DELETE]) {
          const body = vamos.tables.Write.encode({ ...head, batch }).finish();
          expect(await code(stream.call(method, body))).toMatch(
            /BAD_REQUEST|NOT_FOUND|ROW_CHANGED|BLOB_MISSING/,
          );
        }
      }),
      { numRuns: 200 },
    );
    expect(await code(insert(new Uint8Array([255, 255, 255, 255])))).toBe('BAD_REQUEST');
  });

  it('gets BAD_REQUEST or a better code for numbers that are out of range', async () => {
    const { Get, OpenCursor, Fetch, Begin, Commit, Savepoint, Reserve, Estimate, Write } = vamos.tables;
    const keys = new Uint8Array([255, 255, 255, 255]);
    const scope = { inTransaction: true };
    const cases: [number, Uint8Array, RegExp][] = [
      [Method.GET, Get.encode({ ...head, keys }).finish(), /BAD_REQUEST/],
      [Method.GET, Get.encode({ ...head, index: 7 }).finish(), /INDEX_MISSING/],
      [Method.GET, Get.encode({ ...head, columns: [9] }).finish(), /BAD_REQUEST/],
      [Method.GET, Get.encode({ ...head, columns: [1, 1] }).finish(), /BAD_REQUEST/],
      [Method.GET, Get.encode({ ...head, lock: 3 as never }).finish(), /BAD_REQUEST/],
      [Method.GET, Get.encode({ ...head, scope: { wait: 9 as never } }).finish(), /BAD_REQUEST/],
      [Method.GET, Get.encode({ ...head, scope: { wait: 2 } }).finish(), /BAD_REQUEST/],
      [Method.GET, Get.encode({ ...head, scope }).finish(), /NO_TRANSACTION/],
      [Method.GET, Get.encode({ ...head, table: 999 }).finish(), /TABLE_MISSING/],
      [Method.GET, Get.encode({ ...head, version: 999 }).finish(), /TABLE_CHANGED/],
      [Method.INSERT, Write.encode({ ...head, scope: { durability: 5 as never } }).finish(), /BAD_REQUEST/],
      [Method.OPEN_CURSOR, OpenCursor.encode({ ...head, index: 2 }).finish(), /INDEX_MISSING/],
      [Method.OPEN_CURSOR, OpenCursor.encode({ ...head, columns: [3] }).finish(), /BAD_REQUEST/],
      [Method.OPEN_CURSOR, OpenCursor.encode({ ...head, semiConsistent: true }).finish(), /BAD_REQUEST/],
      [
        Method.OPEN_CURSOR,
        OpenCursor.encode({ ...head, bounds: { hasLower: true, lower: new Uint8Array(100_000) } }).finish(),
        /BAD_REQUEST/,
      ],
      [Method.FETCH, Fetch.encode({ cursor: 1 }).finish(), /CURSOR_MISSING/],
      [Method.BEGIN, Begin.encode({ isolation: 4 as never }).finish(), /BAD_REQUEST/],
      [Method.COMMIT, Commit.encode({}).finish(), /NO_TRANSACTION/],
      [Method.COMMIT, Commit.encode({ durability: 3 as never }).finish(), /BAD_REQUEST/],
      [Method.ROLLBACK, new Uint8Array(), /NO_TRANSACTION/],
      [Method.SAVEPOINT, Savepoint.encode({ name: 'a' }).finish(), /NO_TRANSACTION/],
      [Method.RESERVE_AUTO_INCREMENT, Reserve.encode({ ...head, count: 1 }).finish(), /BAD_REQUEST/],
      [Method.ESTIMATE, Estimate.encode({ ...head, index: 5 }).finish(), /INDEX_MISSING/],
    ];
    for (const [method, body, expected] of cases) {
      expect(await code(stream.call(method, body)), `method ${method}`).toMatch(expected);
    }
  });

  it("can't use a cursor or transaction of another stream", async () => {
    const other = place.client.stream();
    const open = vamos.tables.OpenCursor.encode({ ...head, windowBytes: 1 }).finish();
    const { cursor } = vamos.tables.Rows.decode(await stream.call(Method.OPEN_CURSOR, open));
    expect(cursor).toBeGreaterThan(0);
    const fetch = vamos.tables.Fetch.encode({ cursor, windowBytes: 1 }).finish();
    expect(await code(other.call(Method.FETCH, fetch))).toBe('CURSOR_MISSING');
    await other.call(Method.CLOSE_CURSOR, vamos.tables.CloseCursor.encode({ cursor }).finish());
    await stream.call(Method.FETCH, fetch);
    await stream.call(Method.CLOSE_CURSOR, vamos.tables.CloseCursor.encode({ cursor }).finish());
    expect(await code(stream.call(Method.FETCH, fetch))).toBe('CURSOR_MISSING');
  });

  it('gets only so many transactions, and one a stream', async () => {
    const streams = [0, 1, 2].map(() => place.client.stream());
    const begin = (each: RpcStream) => each.call(Method.BEGIN, new Uint8Array());
    await begin(streams[0]!);
    expect(await code(begin(streams[0]!))).toBe('BAD_REQUEST');
    await begin(streams[1]!);
    expect(await code(begin(streams[2]!))).toBe('BAD_REQUEST');
    for (const each of streams) await each.call(Method.CLOSE_STREAM, new Uint8Array());
    await begin(streams[2]!);
    await streams[2]!.call(Method.ROLLBACK, new Uint8Array());
  });

  it('leaves nothing open when its session ends', async () => {
    const client = await place.connect();
    const theirs = client.stream();
    await theirs.call(Method.BEGIN, new Uint8Array());
    const open = vamos.tables.OpenCursor.encode({ ...head, windowBytes: 1 }).finish();
    await theirs.call(Method.OPEN_CURSOR, open);
    await client.stream().call(Method.OPEN_CURSOR, open);
    await client.close();
    await place.until(({ cursorsOpen, transactionsOpen }) => cursorsOpen === 0 && transactionsOpen === 0);
    const name = vamos.tables.RenameTable.encode({ from: 'things', to: 'things2' }).finish();
    await stream.call(Method.RENAME_TABLE, name);
  });
});
