import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BlobHandle, defineTable, t, type Table } from '../../guest/tables/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { MODES, Place, code } from './place.js';

const MIB = 1024 * 1024;
const pictures = defineTable({
  name: 'pictures',
  columns: {
    id: t.uint32(),
    name: t.text(),
    data: t.blob().nullable(),
    thumbnail: t.blob(100_000).nullable(),
  },
  primaryKey: ['id'],
});

/** Returns bytes that are different everywhere and the same in every run. */
function bytes(length: number, seed = 1): Uint8Array {
  const result = new Uint8Array(length);
  let state = seed;
  for (let offset = 0; offset < length; offset++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    result[offset] = state >>> 24;
  }
  return result;
}

async function* pieces(total: number, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < total; offset += pieceBytes) {
    yield await Promise.resolve(bytes(Math.min(pieceBytes, total - offset), offset + 1));
  }
}

async function sha(source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of source) hash.update(piece);
  return hash.digest('hex');
}

describe.each(MODES)('blobs, %s', (mode) => {
  let place: Place;
  let table: Table<typeof pictures>;

  beforeAll(async () => {
    place = await Place.make(mode);
    await place.tables.create(pictures);
  });
  beforeEach(async () => {
    await place.tables.truncate('pictures');
    table = await place.tables.open(pictures);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  it.each([0, 1, 64 * 1024, 64 * 1024 + 1, MIB, 3 * MIB + 17])('gives back %i bytes', async (length) => {
    const data = bytes(length);
    const written = await table.writeRow({ id: 1, name: 'a', data });
    const read = (await table.get(1))!;
    for (const { data: blob } of [written, read]) {
      expect(blob).toBeInstanceOf(BlobHandle);
      expect(blob!.length).toBe(length);
      expect(Buffer.from(await blob!.bytes()).equals(data)).toBe(true);
    }
    expect(read.thumbnail).toBeNull();
  });

  it('takes streams, iterables, Blobs and files', async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), 'vamos-blob-'));
    const data = bytes(MIB + 5);
    const file = path.join(directory, 'data');
    await writeFile(file, data);
    const sources = [
      createReadStream(file),
      new Blob([data]),
      new Blob([data]).stream() as ReadableStream<Uint8Array>,
      [data.subarray(0, 10), data.subarray(10)],
    ];
    for (const [id, source] of sources.entries()) await table.writeRow({ id, name: 'a', data: source });
    for await (const row of table.rndScan()) {
      expect(Buffer.from(await row.data!.bytes()).equals(data)).toBe(true);
    }
    await rm(directory, { recursive: true });
  });

  it('reads a range', async () => {
    const data = bytes(3 * MIB);
    await table.writeRow({ id: 1, name: 'a', data });
    const blob = (await table.get(1))!.data!;
    const range = await blob.read(MIB - 3, MIB + 6);
    expect(Buffer.from(range).equals(data.subarray(MIB - 3, 2 * MIB + 3))).toBe(true);
    expect((await blob.read(3 * MIB - 1, 100)).length).toBe(1);
    expect((await blob.read(4 * MIB, 100)).length).toBe(0);
    expect(await code(blob.read(-1, 1))).toBe('BAD_REQUEST');
  });

  it('streams many windows with bounded memory', async () => {
    const total = Number(process.env.VAMOS_BLOB_MIB ?? 24) * MIB;
    await table.writeRow({ id: 1, name: 'large', data: pieces(total, 300_007) });
    const blob = (await table.get(1))!.data!;
    expect(blob.length).toBe(total);
    let largest = 0;
    const counted = async function* () {
      for await (const piece of blob.stream()) {
        largest = Math.max(largest, piece.length);
        yield piece;
      }
    };
    expect(await sha(counted())).toBe(await sha(pieces(total, 300_007)));
    expect(largest).toBeLessThanOrEqual(MIB);
  }, 600_000);

  it('keeps a blob when another column changes, and removes it with its row or by another', async () => {
    const row = await table.writeRow({ id: 1, name: 'a', data: bytes(200_000) });
    const renamed = await table.updateRow((await table.get(1))!, { name: 'b' });
    expect((await renamed.data!.bytes()).length).toBe(200_000);
    const replaced = await table.updateRow(renamed, { data: bytes(300_000, 7) });
    expect(Buffer.from(await replaced.data!.bytes()).equals(bytes(300_000, 7))).toBe(true);
    await expect.poll(() => code(row.data!.bytes().then(() => new Uint8Array()))).toBe('BLOB_MISSING');
    await table.deleteRow(replaced);
    await expect.poll(() => code(replaced.data!.bytes().then(() => new Uint8Array()))).toBe('BLOB_MISSING');
  });

  it('has no blob where the row was rolled back, and the old one still', async () => {
    const data = bytes(200_000);
    await table.writeRow({ id: 1, name: 'a', data });
    {
      await using transaction = place.tables.begin();
      const there = transaction.table(table);
      const changed = await there.updateRow((await there.get(1))!, { data: bytes(150_000, 3) });
      await there.writeRow({ id: 2, name: 'new', data: bytes(150_000, 4) });
      expect((await changed.data!.bytes()).length).toBe(150_000);
    }
    expect(await table.count()).toBe(1);
    expect(Buffer.from(await (await table.get(1))!.data!.bytes()).equals(data)).toBe(true);
  });

  it('is read whole where the snapshot is of the middle of its writing', async () => {
    const data = bytes(3 * MIB);
    await using transaction = place.tables.begin();
    const there = transaction.table(table);
    async function* source() {
      yield data.subarray(0, 2 * MIB);
      expect(await there.get(1)).toBeUndefined();
      yield data.subarray(2 * MIB);
    }
    await table.writeRow({ id: 1, name: 'a', data: source() });
    const row = await there.get(1, { lock: 'exclusive' });
    expect(Buffer.from(await row!.data!.bytes()).equals(data)).toBe(true);
  });

  it('gives a blob one owner', async () => {
    const row = await table.writeRow({ id: 1, name: 'a', data: bytes(200_000) });
    expect(await code(table.writeRow({ id: 2, name: 'thief', data: row.data! }))).toBe('BLOB_MISSING');
    // Its bytes can be read.
    await table.writeRow({ id: 2, name: 'copy', data: row.data!.stream() });
    await table.deleteRow(row);
    expect((await (await table.get(2))!.data!.bytes()).length).toBe(200_000);
  });

  it('gives a blob one owner, even where two rows want it simultaneously; a row that fails gives it back', async () => {
    const body = vamos.tables.WriteBlob.encode({ blob: 0, data: bytes(70_000) }).finish();
    const reply = await place.client.stream().call(vamos.tables.Method.WRITE_BLOB, body);
    const reference = { blob: Number(vamos.tables.BlobWritten.decode(reply).blob), lengthBytes: 70_000 };
    const row = (id: number) => ({ id, name: 'a', data: new BlobHandle(reference, undefined as never) });
    const insert = async (id: number) => (await place.stream().open(pictures)).writeRow(row(id));
    const holder = place.tables.begin();
    await holder.table(table).writeRow({ id: 1, name: 'holder' });
    const waiting = code(insert(1));
    await place.until(({ operationsParked }) => operationsParked === 1);
    expect(await code(insert(2))).toBe('BLOB_MISSING');
    await holder.commit();
    expect(await waiting).toBe('DUPLICATE_KEY');
    await insert(2);
    expect(await code(insert(3))).toBe('BLOB_MISSING');
    expect(Buffer.from(await (await table.get(2))!.data!.bytes()).equals(bytes(70_000))).toBe(true);
    expect(await table.count()).toBe(2);
  });

  it('keeps the limit of its column', async () => {
    expect(await code(table.writeRow({ id: 1, name: 'a', thumbnail: bytes(100_001) }))).toBe('BAD_REQUEST');
    await table.writeRow({ id: 1, name: 'a', thumbnail: bytes(100_000) });
  });

  it('refuses a reference that a row makes up', async () => {
    const { Method } = vamos.tables;
    const stream = place.client.stream();
    const read = (blob: number) =>
      stream.call(Method.READ_BLOB, vamos.tables.ReadBlob.encode({ blob, lengthBytes: 10 }).finish());
    expect(await code(read(987_654_321))).toBe('BLOB_MISSING');
    const append = vamos.tables.WriteBlob.encode({ blob: 987_654_321, data: bytes(3) }).finish();
    expect(await code(stream.call(Method.WRITE_BLOB, append))).toBe('BLOB_MISSING');
  });

  it('survives a restart, and leaves nothing of what no row owns', async () => {
    const data = bytes(700_000);
    await table.writeRow({ id: 1, name: 'a', data });
    const body = vamos.tables.WriteBlob.encode({ blob: 0, data: bytes(1000) }).finish();
    const reply = await place.client.stream().call(vamos.tables.Method.WRITE_BLOB, body);
    const { blob: orphan } = vamos.tables.BlobWritten.decode(reply);
    await place.restart();
    const again = await place.tables.open(pictures);
    expect(Buffer.from(await (await again.get(1))!.data!.bytes()).equals(data)).toBe(true);
    const read = vamos.tables.ReadBlob.encode({ blob: orphan, lengthBytes: 10 }).finish();
    expect(await code(place.client.stream().call(vamos.tables.Method.READ_BLOB, read))).toBe('BLOB_MISSING');
  });

  it('goes with its table', async () => {
    const row = await table.writeRow({ id: 1, name: 'a', data: bytes(200_000) });
    await place.tables.truncate('pictures');
    await expect.poll(() => code(row.data!.bytes().then(() => new Uint8Array()))).toBe('BLOB_MISSING');
  });
});
