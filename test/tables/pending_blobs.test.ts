import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BlobHandle } from '../../guest/tables/blob.js';
import type { RpcClient } from '../../src/rpc/client.js';
import { item, items, type Items } from './changed_items.js';
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
    expect(await code(requests.readBlob(blobs[1]!))).toBe('BLOB_MISSING');
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
    expect(await code(requests.readBlob(third))).toBe('BLOB_MISSING');
    await requests.savepoint('ROLLBACK_TO', 'a');
    await pending(1);
    expect(await code(requests.readBlob(second))).toBe('BLOB_MISSING');
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

  it('go with their session', async () => {
    await write(1);
    await requests.begin();
    await insert(2, 1);
    await pending(2);
    await client.close();
    await pending(0);
  });
});
