import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import type { Outcome } from '../binding.js';
import { decode } from '../decode.js';
import { refuse } from '../requests.js';
import type { Handler } from '../session.js';

const { Method } = vamos.tables;

const MAX_CHUNK_BYTES = 1024 * 1024;
const MAX_BLOB_BYTES = 1024 * 1024 * 1024;

/** Appends to a blob of this session that no row refers to yet. */
const write: Handler = async (session, body, call) => {
  const request = decode(vamos.tables.WriteBlob, body);
  const { data } = request;
  const { host, blobs } = session;
  if (data.length === 0 || data.length > MAX_CHUNK_BYTES)
    throw refuse(`a chunk has 1 to ${MAX_CHUNK_BYTES} bytes`);
  const blob = Number(request.blob) || (await newBlob());
  const pending = blobs.get(blob);
  if (!pending || pending.adoptedBy)
    throw new VamosError('BLOB_MISSING', `blob ${blob} is not being written`);
  const offset = pending.lengthBytes;
  if (offset + data.length > MAX_BLOB_BYTES) throw refuse(`a blob has at most ${MAX_BLOB_BYTES} bytes`);
  // Set before the write: another stream's chunk goes behind this one.
  pending.lengthBytes += data.length;
  try {
    await host.finish(() => host.store.writeBlob(blob, offset, data), call);
  } catch (error) {
    blobs.delete(blob);
    host.store.discardBlob(blob);
    throw error;
  }
  return vamos.tables.BlobWritten.encode({ blob, lengthBytes: pending.lengthBytes }).finish();

  async function newBlob(): Promise<number> {
    if (blobs.size >= host.limits.maxPendingBlobs) {
      throw refuse(`a session has at most ${host.limits.maxPendingBlobs} blobs that no row owns`);
    }
    const first = Number((await host.catalogue.blobs.reserve(1)).first);
    blobs.set(first, { lengthBytes: 0, adoptedBy: undefined });
    return first;
  }
};

const read: Handler = async (session, body, call) => {
  const { blob, offset, lengthBytes, inTransaction } = decode(vamos.tables.ReadBlob, body);
  if (lengthBytes === 0 || lengthBytes > MAX_CHUNK_BYTES)
    throw refuse(`a read has 1 to ${MAX_CHUNK_BYTES} bytes`);
  if (Number(offset) > MAX_BLOB_BYTES) throw refuse(`a blob has at most ${MAX_BLOB_BYTES} bytes`);
  const from = async (transaction: number): Promise<Outcome> =>
    session.host.finish(
      () => session.host.store.readBlob(transaction, Number(blob), Number(offset), lengthBytes),
      call,
    );
  const outcome = inTransaction
    ? await from(session.transaction(call.stream).number).catch((error: unknown) => {
        // A row that is newer than the snapshot (its own, or one read with a lock) has a blob that is, too.
        if (error instanceof VamosError && error.code === 'BLOB_MISSING') return from(0);
        throw error;
      })
    : await from(0);
  return vamos.tables.BlobRead.encode({ data: outcome.result ?? new Uint8Array() }).finish();
};

export const blobHandlers: [number, Handler][] = [
  [Method.WRITE_BLOB, write],
  [Method.READ_BLOB, read],
];
