import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import protobuf from 'protobufjs/minimal.js';
import { expect, it } from 'vitest';
import { defineTable, t } from '../../guest/tables/index.js';
import type { NativeStoreModule } from '../../host/modules/tables/binding.js';
import { openTablesModule } from '../../host/modules/tables/module.js';
import { createLocalPair } from '../../src/channel/local.js';
import { loadNative } from '../../src/native.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { RpcServer } from '../../src/rpc/host/server.js';
import { Place, code, failure } from './place.js';

// What a connector can make a root hold, and wait for.

const { Method } = vamos.tables;
const KIB = 1024;

const create = (name: string, detailBytes: number): Uint8Array => {
  const columns = [{ name: 'id', kind: vamos.tables.ColumnKind.INT32 }];
  const indexes = [{ name: 'primary', unique: true, parts: [{ column: 0 }] }];
  const definition = { name, columns, indexes, detail: new Uint8Array(detailBytes) };
  return vamos.tables.CreateTable.encode({ definition }).finish();
};

it('definitions take no more than 64 MiB, and a dropped one gives its share back', async () => {
  await using place = await Place.make('unsplit');
  const stream = place.client.stream();
  const makeAll = async (): Promise<void> => {
    for (; made < 100; made++) await stream.call(Method.CREATE_TABLE, create(`t${made}`, 1024 * KIB));
  };
  let made = 0;
  expect(await code(makeAll())).toBe('BAD_REQUEST');
  expect(made).toBe(63);
  await stream.call(Method.DROP_TABLE, vamos.tables.TableName.encode({ name: 't7' }).finish());
  await stream.call(Method.CREATE_TABLE, create('more', 1024 * KIB));
});

it('a definition of a million columns is refused before it is decoded', async () => {
  await using place = await Place.make('unsplit');
  // These are empty columns: tag and length.
  const columns = new Uint8Array(2 * KIB * KIB);
  for (let offset = 0; offset < columns.length; offset += 2) columns[offset] = (2 << 3) | 2;
  const head = protobuf.Writer.create().uint32((1 << 3) | 2);
  const body = head.bytes(columns).finish();
  const error = await failure(place.client.stream().call(Method.CREATE_TABLE, body));
  expect(error.code).toBe('BAD_REQUEST');
  // If they were decoded, the message would have their number: "not 1048576".
  expect(error.message).toMatch(/at most 4096 columns/);
});

it('lists more tables than a reply has room for, each once', async () => {
  await using place = await Place.make('unsplit');
  // This is the smallest frame that a connector may ask for.
  const client = await place.connect({ replyWindowBytes: 128 * KIB });
  const names = Array.from({ length: 450 }, (_, number) => `${number}`.padStart(3, '0').padEnd(255, '.'));
  await Promise.all(names.map((name) => place.client.stream().call(Method.CREATE_TABLE, create(name, 0))));
  expect(await place.stream(client).list()).toEqual(names);
});

it('what a root keeps of a truncated table is small, however large its definition', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'vamos-greed-'));
  const server = new RpcServer([await openTablesModule({ path: folder })]);
  const client = await RpcClient.connect(() => {
    const [guestEnd, hostEnd] = createLocalPair();
    server.accept(hostEnd);
    return Promise.resolve(guestEnd);
  });
  const stream = client.stream();
  await stream.call(Method.CREATE_TABLE, create('large', 1000 * KIB));
  const name = vamos.tables.TableName.encode({ name: 'large' }).finish();
  for (let round = 0; round < 10; round++) await stream.call(Method.TRUNCATE_TABLE, name);
  await client.close();
  await server.stop();
  const addon = loadNative('vamos_store') as NativeStoreModule;
  const options = { path: folder, blockCacheBytes: 1 << 20, maxTransactionBytes: 1 << 20, threads: 1 };
  const store = addon.openStore(options, () => undefined);
  const kept = store.getRecords('dropped/');
  await store.close();
  rmSync(folder, { recursive: true });
  expect(kept).toHaveLength(10);
  for (const { value } of kept) expect(value.length).toBeLessThan(KIB);
});

it('a change of definitions that is given up fails immediately, though another is before it', async () => {
  await using place = await Place.make('unsplit', { definitionTimeoutMs: 600_000 });
  const rows = await place.tables.create(
    defineTable({ name: 'rows', columns: { id: t.int32() }, primaryKey: ['id'] }),
  );
  const transaction = place.tables.begin();
  await transaction.table(rows).writeRow({ id: 1 });
  const dropping = place.stream().drop('rows');
  const waiter = place.client.stream();
  const giveUp = new AbortController();
  const creating = code(waiter.call(Method.CREATE_TABLE, create('later', 0), { signal: giveUp.signal }));
  // A stream's next request waits until the one before has let go.
  const next = waiter.call(Method.LIST_TABLES, new Uint8Array());
  await place.stream().list();
  giveUp.abort();
  expect(await creating).toBe('CANCELLED');
  await next;
  expect(await place.tables.list()).toEqual(['rows']);
  await transaction.commit();
  await dropping;
  expect(await place.tables.list()).toEqual([]);
});

it('a lock timeout longer than any timer waits for the lock', async () => {
  await using place = await Place.make('unsplit');
  const rows = await place.tables.create(
    defineTable({ name: 'rows', columns: { id: t.int32() }, primaryKey: ['id'] }),
  );
  await rows.writeRow({ id: 1 });
  const [holder, waiter] = [place.client.stream(), place.client.stream()];
  const { table, version } = rows.opened.codec;
  const scan = (inTransaction: boolean): Uint8Array =>
    vamos.tables.OpenCursor.encode({
      table,
      version,
      scope: { inTransaction, lockTimeoutMs: 0xffff_ffff },
      lock: vamos.tables.Lock.EXCLUSIVE,
      windowBytes: 1000,
    }).finish();
  await holder.call(Method.BEGIN, new Uint8Array());
  await holder.call(Method.OPEN_CURSOR, scan(true));
  const waiting = code(waiter.call(Method.OPEN_CURSOR, scan(false)));
  await place.until(({ operationsParked }) => operationsParked === 1);
  // A timer that is too long for Node fires immediately.
  await delay(100);
  expect((await place.statistics()).operationsParked).toBe(1);
  await holder.call(Method.ROLLBACK, new Uint8Array());
  await expect(waiting).rejects.toThrow('it did not fail');
});
