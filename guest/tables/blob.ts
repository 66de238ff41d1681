import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { BlobReference } from '../../src/protocol/rows.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import { MAX_BLOB_BYTES } from '../../src/protocol/generated/limits.js';

const { Method } = vamos.tables;

/** Blobs of at most this many bytes stand in the row. */
export const INLINE_BYTES = 64 * 1024;
/** Bytes of a blob that one request carries, with room for the rest of its frame. */
export const BLOB_WINDOW_BYTES = 1024 * 1024 - 4096;

/** What a blob column can be written from; a stream is read once, window by window. */
export type BlobSource =
  Uint8Array | Blob | AsyncIterable<Uint8Array> | Iterable<Uint8Array> | ReadableStream<Uint8Array>;

/** Sends a request of the stream or transaction that a row was read with. */
export interface BlobReader {
  readonly isTransaction: boolean;
  send(method: number, body: Uint8Array, options: CallOptions): Promise<Uint8Array>;
}

/** A stored blob; its bytes are read when they are asked for. */
export class BlobHandle {
  /** The value as it stands in the row. */
  readonly raw: Uint8Array | BlobReference;
  readonly #reader: BlobReader;

  constructor(raw: Uint8Array | BlobReference, reader: BlobReader) {
    this.raw = raw;
    this.#reader = reader;
  }

  /** The blob's length in bytes. */
  get length(): number {
    return this.raw instanceof Uint8Array ? this.raw.length : this.raw.lengthBytes;
  }

  /**
   * Reads at most lengthBytes bytes from offset on, and as many as there are.
   * @throws VamosError BLOB_MISSING: the row was changed or deleted since it was read
   */
  async read(offset: number, lengthBytes: number, options: CallOptions = {}): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.stream({ ...options, offset, lengthBytes })) pieces.push(piece);
    return pieces.length === 1 ? pieces[0]! : new Uint8Array(Buffer.concat(pieces));
  }

  /** Reads the whole blob. */
  bytes(options: CallOptions = {}): Promise<Uint8Array> {
    return this.read(0, this.length, options);
  }

  /** Yields the bytes (or a range of them) in windows of at most 1 MiB; the next one is asked for ahead. */
  async *stream(
    options: CallOptions & { offset?: number; lengthBytes?: number } = {},
  ): AsyncGenerator<Uint8Array, void, void> {
    const start = options.offset ?? 0;
    const end = Math.min(this.length, start + (options.lengthBytes ?? this.length));
    if (!(Number.isSafeInteger(start) && start >= 0)) {
      throw new VamosError('BAD_REQUEST', `a blob has no offset ${start}`);
    }
    if (this.raw instanceof Uint8Array) {
      if (end > start) yield this.raw.slice(start, end);
      return;
    }
    const reference = this.raw;
    const window = (offset: number) => this.#window(reference, offset, end, options);
    let next = start < end ? window(start) : undefined;
    for (let offset = start; next;) {
      const data: Uint8Array = await next;
      offset += data.length;
      next = offset < end ? window(offset) : undefined;
      yield data;
    }
  }

  #window(reference: BlobReference, offset: number, end: number, options: CallOptions): Promise<Uint8Array> {
    const reading = this.#read(reference, offset, Math.min(BLOB_WINDOW_BYTES, end - offset), options);
    // It may fail while the window before it is still being used; the reader sees the failure when it gets
    // there.
    reading.catch(() => undefined);
    return reading;
  }

  async #read(
    reference: BlobReference,
    offset: number,
    lengthBytes: number,
    options: CallOptions,
  ): Promise<Uint8Array> {
    const request = { blob: reference.blob, offset, lengthBytes, inTransaction: this.#reader.isTransaction };
    const body = vamos.tables.ReadBlob.encode(request).finish();
    const reply = vamos.tables.BlobRead.decode(await this.#reader.send(Method.READ_BLOB, body, options));
    if (reply.data.length !== lengthBytes) {
      throw new VamosError('CORRUPTION', `blob ${reference.blob} is shorter than its row says`);
    }
    return reply.data;
  }
}

/**
 * Returns a blob's value as it can stand in a row: its bytes where they are few, else a handle of what was
 * streamed to the host.
 */
export async function storeBlob(
  source: BlobSource,
  reader: BlobReader,
  send: BlobReader['send'],
  options: CallOptions,
): Promise<BlobHandle> {
  const writer = new BlobWriter(send, options);
  for await (const piece of piecesOf(source)) await writer.write(piece);
  return new BlobHandle(await writer.finish(), reader);
}

function piecesOf(source: BlobSource): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (source instanceof Uint8Array) return [source];
  if (source instanceof Blob) return source.stream();
  if (typeof source === 'object' && (Symbol.asyncIterator in source || Symbol.iterator in source)) {
    return source as AsyncIterable<Uint8Array>;
  }
  throw new VamosError(
    'BAD_REQUEST',
    'a blob is written from bytes, a Blob, a stream or an iterable of bytes',
  );
}

/** Gathers pieces of any size into windows, and sends one while the next gathers. */
class BlobWriter {
  readonly #send: BlobReader['send'];
  readonly #options: CallOptions;
  #pieces: Uint8Array[] = [];
  #gathered = 0;
  #sent = 0;
  #blob = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(send: BlobReader['send'], options: CallOptions) {
    this.#send = send;
    this.#options = options;
  }

  async write(piece: Uint8Array): Promise<void> {
    if (!(piece instanceof Uint8Array))
      throw new VamosError('BAD_REQUEST', 'a blob is made of Uint8Array pieces');
    if (this.#sent + this.#gathered + piece.length > MAX_BLOB_BYTES) {
      throw new VamosError('BAD_REQUEST', `a blob holds at most ${MAX_BLOB_BYTES} bytes`);
    }
    for (let offset = 0; offset < piece.length;) {
      const part = piece.subarray(offset, offset + BLOB_WINDOW_BYTES - this.#gathered);
      this.#pieces.push(part);
      this.#gathered += part.length;
      offset += part.length;
      if (this.#gathered === BLOB_WINDOW_BYTES) await this.#flush();
    }
  }

  async finish(): Promise<Uint8Array | BlobReference> {
    if (this.#sent === 0 && this.#gathered <= INLINE_BYTES)
      return new Uint8Array(Buffer.concat(this.#pieces));
    if (this.#gathered > 0) await this.#flush();
    await this.#sending;
    return { blob: this.#blob, lengthBytes: this.#sent };
  }

  /** Waits for the window before, then sends this one. */
  async #flush(): Promise<void> {
    const data = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#gathered = 0;
    await this.#sending;
    this.#sending = this.#sendWindow(data);
    // A failure shows at the next window, or at the end.
    this.#sending.catch(() => undefined);
  }

  async #sendWindow(data: Uint8Array): Promise<void> {
    this.#sent += data.length;
    const body = vamos.tables.WriteBlob.encode({ blob: this.#blob, data }).finish();
    const reply = vamos.tables.BlobWritten.decode(await this.#send(Method.WRITE_BLOB, body, this.#options));
    this.#blob = Number(reply.blob);
    if (Number(reply.lengthBytes) !== this.#sent) {
      throw new VamosError('INTERNAL', `blob ${this.#blob}: the host has another length`);
    }
  }
}
