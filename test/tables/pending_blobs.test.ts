import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BlobHandle } from '../../guest/tables/blob.js';
import { openTablesModule } from '../../host/modules/tables/module.js';
import type { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { RpcClient } from '../../src/rpc/connector/client.js';
import { item, items, type Items } from './changes/changed_items.js';
import { MODES, Place, code, failure } from './place.js';
import { inTransaction, Requests } from './requests.js';

const MOST = 4;
const BYTES = 70_000;

describe.each(MODES)('blobs that no committed row owns, %s', (mode) => {
  let place: Place;
  let table: Items;
  let client: RpcClient;
  let requests: Requests;

  beforeAll(async () => {
    place = await Place.make(mode, { maxPendingBlobs: MOST });
    await place.tables.create(items);
  });
  beforeEach(async () => {
    await place.tables.truncate('items');
    table = await place.tables.open(items);
    client = await place.connect();
    requests = new Requests(client, table);
    return () => client.close();
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  /** Waits until its chunks are removed, a moment after it was discarded. */
  const gone = (own: Requests, blob: BlobHandle) =>
    expect.poll(() => code(own.readBlob(blob))).toBe('BLOB_MISSING');
  const pending = (count: number) => place.until(({ blobsPending }) => blobsPending === count);
  const value = (seed: number) => Buffer.alloc(BYTES, seed);
  const write = (seed: number) => requests.writeBlob(value(seed));
  const row = (id: number, data: BlobHandle) => ({ ...item(id), data });
  const insert = async (id: number, statement: number): Promise<BlobHandle> => {
    const blob = await write(id);
    await requests.insert(row(id, blob), inTransaction(statement));
    return blob;
  };

  it('may be many where rows of an open transaction refer to them', async () => {
    await requests.begin();
    for (let id = 0; id < 3 * MOST; id++) await insert(id, 1);
    await pending(3 * MOST);
    await requests.commit();
    await pending(0);
    for (let id = 0; id < 3 * MOST; id++) {
      expect(Buffer.from(await (await table.get(id))!.data!.bytes()).equals(value(id))).toBe(true);
    }
  });

  it('are refused past the limit; one that is discarded makes room', async () => {
    const blobs: BlobHandle[] = [];
    for (let seed = 0; seed < MOST; seed++) blobs.push(await write(seed));
    const refused = await failure(write(MOST));
    expect([refused.code, refused.message]).toEqual(['BAD_REQUEST', expect.stringContaining('discard')]);
    await requests.discardBlob(blobs[1]!);
    await gone(requests, blobs[1]!);
    await write(MOST);
    await requests.insert(row(1, blobs[0]!));
    expect(Buffer.from(await (await table.get(1))!.data!.bytes()).equals(value(0))).toBe(true);
  });

  it('go with the transaction, the statement and the savepoint that are rolled back', async () => {
    await requests.begin();
    const first = await insert(1, 1);
    await requests.savepoint('SET', 'a');
    const second = await insert(2, 2);
    const third = await insert(3, 3);
    await requests.savepoint('ROLLBACK_STATEMENT', 3);
    await pending(2);
    await gone(requests, third);
    await requests.savepoint('ROLLBACK_TO', 'a');
    await pending(1);
    await gone(requests, second);
    expect(Buffer.from(await requests.readBlob(first)).equals(value(1))).toBe(true);
    await requests.rollback();
    await pending(0);
    expect(await table.count()).toBe(0);
  });

  it('stay for another row where theirs was refused', async () => {
    await table.writeRow(item(1));
    const blob = await write(1);
    expect(await code(requests.insert(row(1, blob)))).toBe('DUPLICATE_KEY');
    await requests.insert(row(2, blob));
    expect(Buffer.from(await (await table.get(2))!.data!.bytes()).equals(value(1))).toBe(true);
  });

  it('are not discarded where a row refers to them', async () => {
    await requests.begin();
    const blob = await insert(1, 1);
    await requests.discardBlob(blob);
    await requests.commit();
    await requests.discardBlob(blob);
    expect(Buffer.from(await (await table.get(1))!.data!.bytes()).equals(value(1))).toBe(true);
    await requests.discardBlob({ raw: { blob: 987_654_321, lengthBytes: 1 } } as BlobHandle);
  });

  it('stay loose where there is no room in the transaction for their row, which is undone', async () => {
    await using small = await Place.make(mode, { maxTransactionBytes: 20_000 });
    const created = await small.tables.create(items);
    // The room that is left for the last row differs, by less than what owning a blob takes.
    for (let margin = 0; margin < 240; margin += 8) {
      const session = await small.connect();
      const own = new Requests(session, created);
      await own.begin();
      await own.insert({ ...item(0), note: 'n'.repeat(18_000 + margin) }, inTransaction());
      let count = 1;
      for (let refused: string | undefined; !refused; count++) {
        const data = await own.writeBlob(value(count));
        refused = await own.insert(row(count, data), inTransaction()).then(
          () => undefined,
          (error: VamosError) => error.code,
        );
        if (!refused) continue;
        expect(refused).toBe('TRANSACTION_TOO_LARGE');
        await own.discardBlob(data);
        await gone(own, data);
      }
      await own.commit();
      await session.close();
      const rows = await created.rndScan().all();
      expect(rows.length).toBe(count - 1);
      for (const { id, data } of rows.slice(1)) {
        expect(Buffer.from(await data!.bytes()).equals(value(id))).toBe(true);
      }
      await created.deleteRows(rows);
    }
  });

  it('are discarded where nobody learns their number', async () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'vamos-blobs-'));
    const module = await openTablesModule({ path: directory });
    const session = module.openSession({ id: '0123456789abcdef0123456789abcdef', epoch: 1, program: '' });
    const nothing = (): void => undefined;
    // The abort comes when the bytes are written, and before the answer.
    const call = { stream: 3, session: undefined as never, signal: AbortSignal.abort(), onAbort: nothing };
    const body = vamos.tables.WriteBlob.encode({ data: value(1) }).finish();
    try {
      await session.handle(vamos.tables.Method.WRITE_BLOB, body, { ...call, setParked: nothing });
      expect(module.statistics().blobsPending).toBe(0);
    } finally {
      await session.close(undefined);
      await module.close();
      rmSync(directory, { recursive: true });
    }
  });

  it('go with their session', async () => {
    await write(1);
    await requests.begin();
    await insert(2, 1);
    await pending(2);
    await client.close();
    await pending(0);
  });
});
