import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../../guest/tables/index.js';
import { openTablesModule } from '../../../host/modules/tables/module.js';
import type { Channel } from '../../../src/channel/channel.js';
import { connectChannel } from '../../../src/channel/index.js';
import { WriteBatch } from '../../../src/protocol/batches.js';
import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { RpcClient } from '../../../src/rpc/connector/client.js';
import { MODES, Place } from '../place.js';
import { inTransaction, Requests } from '../requests.js';

const notes = defineTable({ name: 'notes', columns: { id: t.uint32() }, primaryKey: ['id'] });

describe.each(MODES)('numbers of commits, %s', (mode) => {
  let place: Place;
  let table: Table<typeof notes>;
  let one: Requests;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(notes);
    one = new Requests(place.client, table);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  it('tell of each stream the last commit that was done, a write of its own or a transaction', async () => {
    const two = new Requests(place.client, table);
    expect(await one.lastCommit(one.stream.id)).toBe(0);
    await one.insert({ id: 1 }, { commitNumber: 1 });
    expect(await two.lastCommit(one.stream.id)).toBe(1);
    expect(await two.lastCommit(two.stream.id)).toBe(0);
    await one.begin();
    await one.insert({ id: 2 }, inTransaction());
    expect(await one.lastCommit(one.stream.id)).toBe(1);
    await one.commit({ number: 2 });
    expect(await one.lastCommit(one.stream.id)).toBe(2);
  });

  it('are not those of what was rolled back or failed', async () => {
    await one.insert({ id: 10 }, { commitNumber: 10 });
    await expect(one.insert({ id: 10 }, { commitNumber: 11 })).rejects.toThrow();
    await one.begin();
    await one.insert({ id: 11 }, inTransaction());
    await one.rollback();
    expect(await one.lastCommit(one.stream.id)).toBe(10);
  });

  it('go with their stream', async () => {
    const two = new Requests(place.client, table);
    await two.insert({ id: 20 }, { commitNumber: 5 });
    await two.closeStream();
    while ((await one.lastCommit(two.stream.id)) !== 0) await new Promise(setImmediate);
  });

  it('are of one session only', async () => {
    const other = new Requests(await place.connect(), table);
    await one.insert({ id: 30 }, { commitNumber: 30 });
    expect(await other.lastCommit(one.stream.id)).toBe(0);
  });
});

describe('a session that is lost', () => {
  it('learns of its commits from the next host process', { timeout: 120_000 }, async () => {
    await using place = await Place.make('split');
    const table = await place.tables.create(notes);
    const writers = Array.from({ length: 4 }, () => new Requests(place.client, table));
    const done = new Map<Requests, number>();
    let isStopped = false;
    const writing = writers.map(async (writer, part) => {
      for (let number = 1; !isStopped; number++) {
        try {
          await writer.insert({ id: part * 1_000_000 + number }, { commitNumber: number });
          done.set(writer, number);
        } catch {
          return;
        }
      }
    });
    while (done.size < 4) await new Promise(setImmediate);
    await place.kill();
    isStopped = true;
    await Promise.all(writing);
    const found = new Set((await table.rndScan().all()).map(({ id }) => id));
    for (const [part, writer] of writers.entries()) {
      const last = await writer.lastCommit(writer.stream.id);
      expect(last).toBeGreaterThanOrEqual(done.get(writer)!);
      expect(found.has(part * 1_000_000 + last)).toBe(true);
      expect(found.has(part * 1_000_000 + last + 1)).toBe(false);
    }
  });

  it('keeps its numbers when its channel ends without a goodbye', async () => {
    await using place = await Place.make('split');
    const table = await place.tables.create(notes);
    const channels: Channel[] = [];
    const client = await RpcClient.connect(async () => {
      channels.push(await connectChannel(place.address));
      return channels.at(-1)!;
    });
    const one = new Requests(client, table);
    await one.insert({ id: 1 }, { commitNumber: 7 });
    channels[0]!.destroy();
    while (client.epoch === 1) await new Promise(setImmediate);
    expect(await one.lastCommit(one.stream.id)).toBe(7);
    await client.close();
  });

  it('has none any more after a goodbye', async () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'vamos-commits-'));
    const module = await openTablesModule({ path: directory });
    const session = { id: '0123456789abcdef0123456789abcdef', epoch: 1, program: '' };
    const nothing = (): void => undefined;
    const { signal } = new AbortController();
    const call = { stream: 3, session, signal, onAbort: nothing, setParked: nothing };
    const { Method, CreateTable, LastCommit, LastCommitted, TableInfo, Write } = vamos.tables;
    const lastCommit = async (): Promise<number> => {
      const body = LastCommit.encode({ stream: 3 }).finish();
      const answer = await module.openSession(session).handle(Method.LAST_COMMIT, body, call);
      return Number(LastCommitted.decode(answer).number);
    };
    try {
      const first = module.openSession(session);
      const definition = {
        name: 'notes',
        columns: [{ name: 'id', kind: vamos.tables.ColumnKind.UINT32 }],
        indexes: [{ name: 'primary', unique: true, parts: [{ column: 0 }] }],
      };
      const create = CreateTable.encode({ definition }).finish();
      const { table, version } = TableInfo.decode(await first.handle(Method.CREATE_TABLE, create, call));
      const batch = new WriteBatch();
      const key = Buffer.from([0, 0, 0, 1]);
      batch.add({
        inserted: { row: Buffer.from([0, 1, 0, 0, 0]), entries: [{ key, hasNull: false }] },
      });
      const write = { table, version, batch: batch.finish(), scope: { commitNumber: 9 } };
      await first.handle(Method.INSERT, Write.encode(write).finish(), call);
      await first.close(new VamosError('SESSION_LOST', 'gone'));
      expect(await lastCommit()).toBe(9);
      await module.openSession(session).close(undefined);
      while ((await lastCommit()) !== 0) await new Promise(setImmediate);
    } finally {
      await module.close();
      rmSync(directory, { recursive: true });
    }
  });
});
