import { readWriteBatch, writeKeyBatch } from '../../../../src/protocol/batches.js';
import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import { uint64 } from '../../../../src/protocol/uint64.js';
import type { Call } from '../../../../src/rpc/contract.js';
import { WriteKind } from '../binding.js';
import type { HostTable } from '../host_table.js';
import { goOn, type NowOrLater } from '../now_or_later.js';
import { native } from '../operations.js';
import { readRows } from '../row_reader.js';
import { decode } from '../decode.js';
import { checkLock, checkScope, refuse, type Scope, skipsLocked } from '../requests.js';
import type { Handler, TablesSession } from '../session.js';
import type { PendingBlob } from '../pending_blobs.js';
import type { HostTransaction } from '../transaction.js';

const { Method, Lock } = vamos.tables;

/** The kinds of writes: the store's number, and how many rows each adds. */
const INSERT = { number: WriteKind.INSERT as WriteKind, addedRows: 1, deletes: false, inserts: true };
const UPDATE = { number: WriteKind.UPDATE as WriteKind, addedRows: 0, deletes: true, inserts: true };
const DELETE = { number: WriteKind.DELETE as WriteKind, addedRows: -1, deletes: true, inserts: false };
type Kind = typeof INSERT;

/** The largest batch that shares a commit with others. A longer one would hold them up, and take a thread. */
const MAX_SHARED_BYTES = 16 * 1024;

const ONE_WRITTEN = vamos.tables.Written.encode({ rows: 1 }).finish();

/** One write request, with what the module finds out about it. */
interface WriteCall {
  session: TablesSession;
  call: Call;
  table: HostTable;
  scope: Scope;
  kind: Kind;
  batch: Uint8Array;
  duplicateLock: number;
}

function write(kind: Kind): Handler {
  return (session, body, call) => {
    const request = decode(vamos.tables.Write, body);
    const table = session.host.catalogue.byNumber(request.table, request.version);
    const scope = checkScope(request.scope);
    const { batch, duplicateLock } = request;
    checkLock(duplicateLock);
    const seen = uint64(request.autoIncrementSeen, body, 5);
    const ending = table.hasBlobs || batch.length > MAX_SHARED_BYTES ? 'commit' : 'shared';
    const done = session.within(scope, call, table, ending, (transaction) => {
      if (transaction.isReadOnly) throw new VamosError('READ_ONLY', 'the transaction was begun as read-only');
      if (seen > 0n) table.autoIncrement.see(seen);
      if (scope.inTransaction) transaction.beginWrite(scope.statement);
      const writeCall = { session, call, table, scope, kind, batch, duplicateLock };
      return table.hasBlobs ? runWithBlobs(writeCall, transaction) : run(writeCall, transaction);
    });
    return goOn(
      () => done,
      (rows) => (rows === 1 ? ONE_WRITTEN : vamos.tables.Written.encode({ rows }).finish()),
    );
  };
}

function run(request: WriteCall, transaction: HostTransaction): NowOrLater<number> {
  const { session, call, table, scope, kind, batch, duplicateLock } = request;
  const { host } = session;
  const lock = duplicateLock || Lock.SHARED;
  return goOn(
    () =>
      host.finish(
        () => host.store.write(transaction.number, table.storeTable, kind.number, batch, scope.wait, lock),
        call,
        scope,
      ),
    (outcome) => {
      const rows = outcome.count ?? 0;
      host.counters.rowsWritten += rows;
      transaction.addRows(table, kind.addedRows * rows, rows);
      return rows;
    },
    (error) => {
      throw named(error, table);
    },
  );
}

async function runWithBlobs(request: WriteCall, transaction: HostTransaction): Promise<number> {
  const blobs = await findBlobs(request, transaction);
  try {
    return await transaction.allOrNothing(async () => {
      const rows = await run(request, transaction);
      changeOwners(request, transaction, blobs);
      return rows;
    });
  } catch (error) {
    for (const pending of blobs.adopted.values()) pending.giveBack();
    throw error;
  }
}

/** Adds the names of table and index to the error for a duplicate key. */
export function named(error: unknown, table: HostTable): unknown {
  if (!(error instanceof VamosError) || error.code !== 'DUPLICATE_KEY' || error.detail.length < 8)
    return error;
  const detail = Buffer.from(error.detail);
  const index = table.definition.indexes[detail.readUInt32LE(0)]?.name ?? '';
  const row = detail.readUInt32LE(4);
  return new VamosError(
    'DUPLICATE_KEY',
    `table ${table.definition.name} has a row with the key of index ${index} already (row ${row} of the request)`,
    { detail },
  );
}

interface BlobChange {
  adopted: Map<number, PendingBlob>;
  removed: Map<number, number>;
}

/**
 * Finds the blobs that the rows of the batch come to own and give up. The former belong to the transaction
 * from here on: while it writes, no other stream's rows may come to own them.
 * @throws VamosError BLOB_MISSING: the rows may not own a blob
 */
async function findBlobs(request: WriteCall, transaction: HostTransaction): Promise<BlobChange> {
  const { session, table, kind, batch } = request;
  const oldKeys: Uint8Array[] = [];
  const adopted = new Map<number, PendingBlob>();
  const referred: { blob: number; lengthBytes: number }[] = [];
  for (const { deleted, inserted } of readWriteBatch(batch, table.definition.indexes.length, {
    deleted: kind.deletes,
    inserted: kind.inserts,
  })) {
    if (deleted) oldKeys.push(deleted.entries[0]!.key);
    if (inserted) referred.push(...table.rowFormat.references(inserted.row));
  }
  const removed = await ownedBlobs(request, transaction, oldKeys);
  for (const { blob, lengthBytes } of referred) {
    if (removed.get(blob) === lengthBytes) {
      removed.delete(blob);
      continue;
    }
    const pending = session.blobs.get(blob);
    if (pending?.lengthBytes !== lengthBytes || pending.isAdopted || adopted.has(blob)) {
      throw new VamosError('BLOB_MISSING', `blob ${blob} was not written for this row: a blob has one owner`);
    }
    adopted.set(blob, pending);
  }
  for (const pending of adopted.values()) pending.adopt();
  return { adopted, removed };
}

/** Returns the blobs of rows that are about to go, with their lengths. The rows are locked. */
async function ownedBlobs(
  { session, call, table, scope }: WriteCall,
  transaction: HostTransaction,
  keys: readonly Uint8Array[],
): Promise<Map<number, number>> {
  const owned = new Map<number, number>();
  if (keys.length === 0) return owned;
  if (skipsLocked(scope)) throw refuse("a write can't skip locked rows");
  const request = {
    transaction: transaction.number,
    table,
    index: 0,
    keys: writeKeyBatch(keys),
    lock: Lock.EXCLUSIVE,
    columns: [],
    withKeys: false,
  };
  for await (const { row } of readRows(session.host, request, call, scope)) {
    if (!row) continue;
    for (const { blob, lengthBytes } of table.rowFormat.references(row)) owned.set(blob, lengthBytes);
  }
  return owned;
}

function changeOwners({ session }: WriteCall, transaction: HostTransaction, blobs: BlobChange): void {
  const { store } = session.host;
  native(() => {
    for (const blob of blobs.adopted.keys()) store.adoptBlob(transaction.number, blob);
    for (const blob of blobs.removed.keys()) store.removeBlob(transaction.number, blob);
  });
  for (const pending of blobs.adopted.values()) transaction.adopt(pending);
}

export const writeHandlers: [number, Handler][] = [
  [Method.INSERT, write(INSERT)],
  [Method.UPDATE, write(UPDATE)],
  [Method.DELETE, write(DELETE)],
];
