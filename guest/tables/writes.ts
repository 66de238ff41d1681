import { WriteBatch, type WriteParts } from '../../src/protocol/batches.js';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { asBuffer, type RawValue } from '../../src/protocol/rows.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import { crc32c } from '../../src/channel/crc32c.js';
import type { AutoIncrement } from './auto_increment.js';
import { BlobHandle, INLINE_BYTES, storeBlob, type BlobSource } from './blob.js';
import type { AnyRow, TableCodec } from './codec.js';
import { isSynced, scopeOf, type CommitMark, type Link, type WriteOptions } from './stream.js';

const { Method } = vamos.tables;

/** The most that a request carries, so that it has room in a frame of 1 MiB. */
export const MAX_REQUEST_BYTES = 1024 * 1024 - 16 * 1024;

/** An opened table, which all parts that use it share. */
export interface OpenedTable {
  readonly name: string;
  readonly codec: TableCodec;
  readonly autoIncrement: AutoIncrement | undefined;
}

/** A new row, an old one to delete, or both: an update. */
export interface RowWrite {
  old?: AnyRow;
  new?: AnyRow;
}

export type WriteKind = 'insert' | 'update' | 'delete';

const METHODS: Record<WriteKind, number> = {
  insert: Method.INSERT,
  update: Method.UPDATE,
  delete: Method.DELETE,
};

/** A row has the key of another one; nothing of the request was written. */
export class DuplicateKeyError extends VamosError {
  /** `primary`, or the name from the definition. */
  readonly index: string;
  /** The number of the row in the call, from 0. */
  readonly rowNumber: number;

  constructor(table: string, index: string, rowNumber: number, detail: Uint8Array) {
    super(
      'DUPLICATE_KEY',
      `table ${table} has a row with this key of index ${index} (row ${rowNumber} of the call)`,
      {
        detail,
      },
    );
    this.index = index;
    this.rowNumber = rowNumber;
  }
}

/**
 * Returns rows as they will stand in the table: with auto-increment values given, and large blobs streamed to
 * the host.
 */
export async function completeRows(
  table: OpenedTable,
  rows: readonly AnyRow[],
  link: Link,
  options: CallOptions,
): Promise<AnyRow[]> {
  const numbered = table.autoIncrement ? await table.autoIncrement.fill(rows, link, options) : [...rows];
  return table.codec.blobColumns.length === 0 ? numbered : storeBlobs(table, numbered, link, options);
}

/**
 * Returns rows whose blobs are handles; the others are streamed to the host one after another.
 * @param before the rows that these change: what is the same stays as it is
 */
export async function storeBlobs(
  table: OpenedTable,
  rows: readonly AnyRow[],
  link: Link,
  options: CallOptions,
  before?: readonly AnyRow[],
): Promise<AnyRow[]> {
  const send: Link['send'] = (method, body, each) => link.sendApart(method, body, each);
  const stored: AnyRow[] = [];
  for (const [number, row] of rows.entries()) {
    const copy = { ...row };
    for (const column of table.codec.blobColumns) {
      const { name, type } = table.codec.columns[column]!;
      const given = row[name];
      if (given === undefined || given === null || given instanceof BlobHandle) continue;
      if (before && given === before[number]![name]) continue;
      const value = type.encode ? type.encode(given as never) : given;
      copy[name] =
        value instanceof Uint8Array && value.length <= INLINE_BYTES
          ? new BlobHandle(value, link)
          : await storeBlob(value as BlobSource, link, send, options);
    }
    stored.push(copy);
  }
  return stored;
}

/** One request of a write. */
export interface WriteRequest {
  method: number;
  body: Uint8Array;
  /** The number of its first row in the call. */
  firstRow: number;
}

/** Yields the requests of a write, each made when it is asked for and no larger than maxBytes. */
export function* writeRequests(
  table: OpenedTable,
  kind: WriteKind,
  writes: readonly RowWrite[],
  scope: vamos.tables.IScope,
  maxBytes = MAX_REQUEST_BYTES,
): Generator<WriteRequest> {
  let batch = new WriteBatch();
  let firstRow = 0;
  const request = (end: number): WriteRequest => {
    const rows = writes.slice(firstRow, end).flatMap((write) => (write.new ? [write.new] : []));
    const body = vamos.tables.Write.encode({
      table: table.codec.table,
      version: table.codec.version,
      scope,
      batch: batch.finish(),
      autoIncrementSeen: table.autoIncrement?.seen(rows) ?? 0,
    }).finish();
    return { method: METHODS[kind], body, firstRow };
  };
  for (const [number, write] of writes.entries()) {
    const parts = partsOf(table.codec, write);
    const bytes = partsBytes(parts);
    if (bytes > MAX_REQUEST_BYTES) {
      throw new VamosError(
        'BAD_REQUEST',
        `row ${number} takes ${bytes} bytes with its keys, and ${MAX_REQUEST_BYTES} is the most: large values belong in blobs`,
      );
    }
    if (batch.rows > 0 && batch.lengthBytes + bytes > maxBytes) {
      yield request(number);
      batch = new WriteBatch();
      firstRow = number;
    }
    batch.add(parts);
  }
  if (batch.rows > 0) yield request(writes.length);
}

function partsOf(codec: TableCodec, write: RowWrite): WriteParts {
  const parts: WriteParts = {};
  let before: { row: AnyRow; raw: RawValue[] } | undefined;
  if (write.old) {
    const { packed, raw } = codec.packedAsRead(write.old);
    parts.deleted = { fingerprint: crc32c(packed), entries: codec.entries(raw) };
    before = { row: write.old, raw };
  }
  if (write.new) {
    const raw = codec.rawValues(write.new, before);
    parts.inserted = { row: codec.whole.format.pack(raw), entries: codec.entries(raw) };
  }
  return parts;
}

function partsBytes({ deleted, inserted }: WriteParts): number {
  const entries = [...(deleted?.entries ?? []), ...(inserted?.entries ?? [])];
  const rowBytes = (deleted ? 4 : 0) + (inserted ? 4 + inserted.row.length : 0);
  return entries.reduce((sum, { key }) => sum + 9 + key.length, rowBytes);
}

/** Sends a write: alone if one request holds it, else as requests that take effect together. */
export async function sendWrite(
  table: OpenedTable,
  kind: WriteKind,
  writes: readonly RowWrite[],
  link: Link,
  options: WriteOptions,
): Promise<void> {
  const commit = link.nextCommit();
  const marks = { commitNumber: commit.number, commitToken: commit.token };
  const requests = writeRequests(table, kind, writes, { ...scopeOf(link, options), ...marks });
  const first = requests.next();
  if (first.done) return;
  if (requests.next().done) {
    await sendRequest(table, first.value, link, { ...options, commit });
    if (isSynced(options.durability)) link.noteStored(commit);
    return;
  }
  await link.atomically(options, async (each) => {
    for (const request of writeRequests(table, kind, writes, scopeOf(each, options))) {
      await sendRequest(table, request, each, options);
    }
  });
}

async function sendRequest(
  table: OpenedTable,
  request: WriteRequest,
  link: Link,
  options: WriteOptions & { commit?: CommitMark },
): Promise<void> {
  const { epoch } = link;
  try {
    await link.send(request.method, request.body, options);
  } catch (thrown) {
    const error = VamosError.from(thrown);
    // Values that were reserved in an earlier session may be in rows that this guest wrote before its memory
    // was rolled back.
    if (error.code === 'DUPLICATE_KEY' && table.autoIncrement && link.epoch !== epoch) {
      throw new VamosError('SESSION_LOST', "the session that the rows' numbers were reserved in has ended", {
        cause: error,
      });
    }
    throw explainWrite(table, error, request.firstRow);
  }
}

/** Adds the index's name and the number of the row in the call to a write's failure. */
export function explainWrite(table: OpenedTable, error: VamosError, firstRow: number): VamosError {
  if (error.code !== 'DUPLICATE_KEY' || error.detail.length < 8) return error;
  const detail = asBuffer(error.detail);
  const index = table.codec.indexes[detail.readUInt32LE(0)];
  if (!index) return error;
  return new DuplicateKeyError(table.name, index.name, firstRow + detail.readUInt32LE(4), error.detail);
}
