import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import type { Outcome } from '../binding.js';
import { decode } from '../decode.js';
import { refuse } from '../requests.js';
import type { Handler } from '../session.js';
import { MAX_BLOB_BYTES, MAX_CHUNK_BYTES } from '../../../../src/protocol/generated/limits.js';

const { Method } = vamos.tables;

const EMPTY = new Uint8Array();

/** Appends to a blob of this session that no row refers to yet. */
const write: Handler = async (session, body, call) => {
  const request = decode(vamos.tables.WriteBlob, body);
  const { data } = request;
  const { host, blobs } = session;
  if (request.discard) {
    const unwanted = blobs.get(Number(request.blob));
    if (unwanted && !unwanted.isAdopted) unwanted.discard();
    return EMPTY;
  }
  if (data.length === 0 || data.length > MAX_CHUNK_BYTES)
    throw refuse(`a chunk has 1 to ${MAX_CHUNK_BYTES} bytes`);
  const blob = Number(request.blob) || (await newBlob());
  const pending = blobs.get(blob);
  if (!pending || pending.isAdopted)
    throw new VamosError('BLOB_MISSING', `blob ${blob} is not being written`);
  const offset = pending.lengthBytes;
  if (offset + data.length > MAX_BLOB_BYTES) throw refuse(`a blob has at most ${MAX_BLOB_BYTES} bytes`);
  // The length is set before the write, so that another stream's chunk goes behind this one.
  pending.lengthBytes += data.length;
  pending.usedMs = performance.now();
  blobs.note(pending);
  try {
    await host.finish(() => host.store.writeBlob(blob, offset, data), call);
  } catch (error) {
    pending.discard();
    throw error;
  }
  // The connector does not learn the blob's number.
  if (Number(request.blob) === 0 && call.signal.aborted) pending.discard();
  return vamos.tables.BlobWritten.encode({ blob, lengthBytes: pending.lengthBytes }).finish();

  async function newBlob(): Promise<number> {
    blobs.makeRoom();
    return blobs.add(Number((await host.catalogue.blobs.reserve(1)).first)).number;
  }
};

const read: Handler = async (session, body, call) => {
  const { blob, offset, lengthBytes, inTransaction } = decode(vamos.tables.ReadBlob, body);
  if (lengthBytes === 0 || lengthBytes > MAX_CHUNK_BYTES)
    throw refuse(`a read has 1 to ${MAX_CHUNK_BYTES} bytes`);
  if (Number(offset) > MAX_BLOB_BYTES) throw refuse(`a blob has at most ${MAX_BLOB_BYTES} bytes`);
  const from = async (transaction: number): Promise<Uint8Array> => {
    const { store } = session.host;
    const started = (): Outcome | number =>
      store.readBlob(transaction, Number(blob), Number(offset), lengthBytes);
    return (await session.host.finish(started, call)).result ?? EMPTY;
  };
  const data = inTransaction
    ? await readInTransaction(from, session.transaction(call.stream).number, lengthBytes)
    : await from(0);
  return vamos.tables.BlobRead.encode({ data }).finish();
};

/**
 * Reads in a transaction. A row that is newer than the snapshot (the transaction's own, or one read with a
 * lock) has a blob of which all or the end is newer, too; an older row's blob may be gone by now.
 */
async function readInTransaction(
  from: (transaction: number) => Promise<Uint8Array>,
  transaction: number,
  lengthBytes: number,
): Promise<Uint8Array> {
  const seen = await from(transaction).catch(emptyIfMissing);
  if (seen.length === lengthBytes) return seen;
  if (seen.length === 0) return from(0);
  const latest = await from(0).catch(emptyIfMissing);
  return latest.length > seen.length ? latest : seen;
}

function emptyIfMissing(error: unknown): Uint8Array {
  if (error instanceof VamosError && error.code === 'BLOB_MISSING') return EMPTY;
  throw error;
}

export const blobHandlers: [number, Handler][] = [
  [Method.WRITE_BLOB, write],
  [Method.READ_BLOB, read],
];
