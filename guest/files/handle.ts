import { createInterface, type Interface } from 'node:readline';
import { Readable, Writable } from 'node:stream';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions as StreamOptions } from '../../src/rpc/contract.js';
import { checkCount, toBytes, toPosition } from './arguments.js';
import { FilesError, outOfRange } from './errors.js';
import { type CallOptions, startClock } from './requests.js';
import { Stats } from './stats.js';
import {
  type OpenFile,
  readPieces,
  readRange,
  readWindows,
  sumBytes,
  toRequests,
  writeAll,
  writePieces,
  writeRange,
  type WriteSource,
} from './transfer.js';

const { Method, SyncKind } = vamos.files;

/**
 * What is on the disk when a write resolves: nothing for certain, its data, or its data and all of its
 * metadata.
 */
export type Sync = 'none' | 'data' | 'all';

export function toSyncKind(sync: Sync = 'none'): vamos.files.SyncKind {
  return { none: SyncKind.NO_SYNC, data: SyncKind.DATA, all: SyncKind.ALL }[sync];
}

export interface HandleReadOptions extends CallOptions {
  /** The place in the buffer. */
  offset?: number;
  /** Bytes; by default up to the buffer's end. */
  length?: number;
  /** The place in the file; null: its own position, which moves on. */
  position?: number | bigint | null;
}

export interface HandleWriteOptions extends HandleReadOptions {
  /** What to sync in the same request. Default 'none'. */
  sync?: Sync;
}

export interface WriteFileOptions extends CallOptions {
  encoding?: BufferEncoding | null;
  /** Does fsync after the last byte, in the same request. */
  flush?: boolean;
}

export interface StreamRange extends CallOptions {
  /** The first byte; default: the file's own position. */
  start?: number;
  /** The last byte; default: the end of the file. */
  end?: number;
}

/**
 * An open file, as node:fs/promises' FileHandle. A handle lives as long as its session: after a reconnect its calls
 * fail with SESSION_LOST. Calls run in the order in which they are made.
 */
export class FileHandle implements AsyncDisposable {
  readonly #file: OpenFile;
  readonly #epoch: number;
  readonly #onClose: (handle: FileHandle) => void;
  #closing: Promise<void> | undefined;

  /** Made by Files.open. */
  constructor(file: OpenFile, onClose: (handle: FileHandle) => void) {
    this.#file = file;
    this.#epoch = file.requests.epoch;
    this.#onClose = onClose;
  }

  /**
   * Reads up to `length` bytes into the buffer (16 KiB into one of its own if none is given), fewer only at
   * the end of the file.
   */
  async read<View extends ArrayBufferView = Buffer>(
    options?: HandleReadOptions & { buffer?: View },
  ): Promise<{ bytesRead: number; buffer: View }>;
  async read<View extends ArrayBufferView>(
    buffer: View,
    offsetOrOptions?: number | null | HandleReadOptions,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: View }>;
  async read(
    bufferOrOptions: ArrayBufferView | (HandleReadOptions & { buffer?: ArrayBufferView }) = {},
    offsetOrOptions?: number | null | HandleReadOptions,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: ArrayBufferView }> {
    if (!ArrayBuffer.isView(bufferOrOptions)) {
      const { buffer = Buffer.alloc(16 * 1024), ...rest } = bufferOrOptions;
      return this.read(buffer, rest);
    }
    const buffer = bufferOrOptions;
    const options = toOptions(offsetOrOptions, length, position);
    const into = within(toBytes(buffer), options);
    return { bytesRead: await this.#readInto([into], toPosition(options.position), options), buffer };
  }

  /** Fills the buffers one after another. */
  async readv<Buffers extends readonly ArrayBufferView[]>(
    buffers: Buffers,
    position?: number | null,
    options: CallOptions = {},
  ): Promise<{ bytesRead: number; buffers: Buffers }> {
    const into = buffers.map((buffer) => toBytes(buffer));
    return { bytesRead: await this.#readInto(into, toPosition(position), options), buffers };
  }

  /**
   * Reads many places of the file in as few requests as possible. Each is short only at the end of the file.
   */
  async readRanges(
    ranges: readonly { position: number; length: number }[],
    options: CallOptions = {},
  ): Promise<Buffer[]> {
    const clock = this.#clock('read', options);
    const wanted = ranges.map(({ position, length }) => ({
      position: checkCount('position', position),
      lengthBytes: checkCount('length', length),
    }));
    const requests = [...toRequests(wanted, this.#file.requests.pieceBytes)];
    const replies = await Promise.all(requests.map((pieces) => readPieces(this.#file, pieces, clock())));
    const found: Uint8Array[][] = ranges.map(() => []);
    const isShort = new Set<number>();
    requests.forEach((pieces, request) => {
      pieces.forEach(({ range, lengthBytes }, index) => {
        const data = replies[request]![index]!;
        if (!isShort.has(range)) found[range]!.push(data);
        if (data.length < lengthBytes) isShort.add(range);
      });
    });
    return found.map(join);
  }

  /** May write fewer bytes than given where the next write would fail, on a full disk for instance. */
  async write<Data extends string | ArrayBufferView>(
    data: Data,
    offsetOrOptions?: number | null | HandleWriteOptions,
    lengthOrEncoding?: number | null | BufferEncoding,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: Data }> {
    const isText = typeof data === 'string';
    const options: HandleWriteOptions =
      isText && typeof offsetOrOptions !== 'object'
        ? { position: offsetOrOptions ?? null }
        : toOptions(offsetOrOptions, lengthOrEncoding as number | null | undefined, position);
    const encoding = isText ? ((lengthOrEncoding as BufferEncoding | undefined) ?? 'utf8') : undefined;
    const bytes = toBytes(data, encoding);
    const from = isText ? bytes : within(bytes, options);
    return {
      bytesWritten: await this.#writeFrom([from], toPosition(options.position), options),
      buffer: data,
    };
  }

  /** Writes the buffers one after another, in one request if they fit. */
  async writev<Buffers extends readonly ArrayBufferView[]>(
    buffers: Buffers,
    position?: number | null,
    options: CallOptions & { sync?: Sync } = {},
  ): Promise<{ bytesWritten: number; buffers: Buffers }> {
    const parts = buffers.map((buffer) => toBytes(buffer));
    return { bytesWritten: await this.#writeFrom(parts, toPosition(position), options), buffers };
  }

  /**
   * Writes many places of the file in as few requests as possible, synced after the last. Fails unless all is
   * written.
   */
  async writeRanges(
    ranges: readonly { position: number; data: ArrayBufferView }[],
    options: CallOptions & { sync?: Sync } = {},
  ): Promise<void> {
    const clock = this.#clock('write', options);
    const data = ranges.map((range) => toBytes(range.data));
    const wanted = ranges.map(({ position }, index) => ({
      position: checkCount('position', position),
      lengthBytes: data[index]!.length,
    }));
    const requests = [...toRequests(wanted, this.#file.requests.pieceBytes)];
    for (const [index, pieces] of requests.entries()) {
      const isLast = index === requests.length - 1;
      const sync = isLast ? toSyncKind(options.sync) : SyncKind.NO_SYNC;
      await writePieces(this.#file, pieces, data, sync, clock());
    }
  }

  /** Reads from the file's own position to its end. */
  async readFile(options?: (CallOptions & { encoding?: null }) | null): Promise<Buffer>;
  async readFile(options: BufferEncoding | (CallOptions & { encoding: BufferEncoding })): Promise<string>;
  async readFile(
    options?: BufferEncoding | (CallOptions & { encoding?: BufferEncoding | null }) | null,
  ): Promise<Buffer | string> {
    const { encoding, ...callOptions } =
      typeof options === 'string' ? { encoding: options } : (options ?? {});
    const parts: Uint8Array[] = [];
    const range = { position: null, lengthBytes: Infinity };
    for await (const part of readWindows(this.#file, range, this.#clock('read', callOptions)))
      parts.push(part);
    const all = join(parts);
    return encoding ? all.toString(encoding) : all;
  }

  /** Writes at the file's own position; the file is not truncated before. */
  async writeFile(data: WriteSource, options?: BufferEncoding | WriteFileOptions | null): Promise<void> {
    const { encoding, flush, ...callOptions } =
      typeof options === 'string' ? { encoding: options, flush: false } : (options ?? {});
    const range = {
      position: null,
      sync: flush ? SyncKind.ALL : SyncKind.NO_SYNC,
      encoding: encoding ?? 'utf8',
    };
    await writeAll(this.#file, data, range, this.#clock('write', callOptions));
  }

  /** Does the same as writeFile: whether it appends depends on the flag that the file was opened with. */
  appendFile(data: WriteSource, options?: BufferEncoding | WriteFileOptions | null): Promise<void> {
    return this.writeFile(data, options);
  }

  async sync(options: CallOptions = {}): Promise<void> {
    await this.#sync('fsync', SyncKind.ALL, options);
  }

  async datasync(options: CallOptions = {}): Promise<void> {
    await this.#sync('fdatasync', SyncKind.DATA, options);
  }

  async truncate(lengthBytes = 0, options: CallOptions = {}): Promise<void> {
    checkCount('len', lengthBytes);
    const body = vamos.files.Truncate.encode({ handle: this.#file.number, lengthBytes }).finish();
    await this.#send(Method.TRUNCATE, body, 'ftruncate', options);
  }

  async stat(options: CallOptions = {}): Promise<Stats> {
    const body = vamos.files.Handle.encode({ handle: this.#file.number }).finish();
    return new Stats(await this.#send(Method.STAT_HANDLE, body, 'fstat', options));
  }

  /** Yields the file's bytes in order, in growing windows of which some are asked for ahead. */
  stream(options: StreamRange = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const { start, end = Infinity } = options;
    if (end !== Infinity) checkCount('end', end);
    const position = toPosition(start);
    const lengthBytes = end - (position ?? 0) + 1;
    return readWindows(this.#file, { position, lengthBytes }, this.#clock('read', options));
  }

  /** Returns `stream` as a stream.Readable. autoClose (default): it closes the handle at its end. */
  createReadStream(
    options: StreamRange & { autoClose?: boolean; encoding?: BufferEncoding; highWaterMark?: number } = {},
  ): Readable {
    const { autoClose = true, encoding, highWaterMark, ...range } = options;
    const windows = this.stream(range);
    const close = (): Promise<void> => (autoClose ? this.close() : Promise.resolve());
    async function* closing(): AsyncGenerator<Uint8Array> {
      try {
        yield* windows;
      } finally {
        await close();
      }
    }
    const readable = Readable.from(closing(), {
      objectMode: false,
      highWaterMark: highWaterMark ?? 64 * 1024,
    });
    if (encoding) readable.setEncoding(encoding);
    return readable;
  }

  /**
   * Yields its lines, without their ends, as they are read: `for await (const line of handle.readLines())`.
   */
  readLines(options: Parameters<FileHandle['createReadStream']>[0] = {}): Interface {
    return createInterface({ input: this.createReadStream(options), crlfDelay: Infinity });
  }

  /**
   * Returns a stream.Writable. What is written while a request is under way goes as the next one, up to a
   * window. flush: it does fsync at the end. autoClose (default): then it closes the handle.
   */
  createWriteStream(
    options: CallOptions & {
      start?: number;
      autoClose?: boolean;
      flush?: boolean;
      encoding?: BufferEncoding;
    } = {},
  ): Writable {
    const { start, autoClose = true, flush = false, encoding, ...callOptions } = options;
    const clock = this.#clock('write', callOptions);
    let position = toPosition(start);
    const write = async (parts: Uint8Array[]): Promise<void> => {
      await writeAll(this.#file, parts, { position, sync: SyncKind.NO_SYNC }, clock);
      if (position !== null) position += sumBytes(parts);
    };
    const end = async (): Promise<void> => {
      await Promise.all([flush && this.sync(callOptions), autoClose && this.close()]);
    };
    return new Writable({
      highWaterMark: this.#file.requests.pieceBytes,
      defaultEncoding: encoding ?? 'utf8',
      write: (chunk: Uint8Array, _encoding, callback) => {
        write([chunk]).then(() => callback(), callback);
      },
      writev: (chunks, callback) => {
        write(chunks.map(({ chunk }) => chunk as Uint8Array)).then(() => callback(), callback);
      },
      final: (callback) => {
        end().then(() => callback(), callback);
      },
      destroy: (error, callback) => {
        (autoClose ? this.close() : Promise.resolve()).then(
          () => callback(error),
          (failure: Error) => callback(error ?? failure),
        );
      },
    });
  }

  /** Closes the handle. Idempotent. After the end of its session there is nothing to close. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Returns the handle's number, for Files.sync.
   * @throws FilesError EBADF: closed
   */
  numberFor(syscall: string): number {
    this.#checkOpen(syscall);
    return this.#file.number;
  }

  async #close(): Promise<void> {
    this.#onClose(this);
    const body = vamos.files.Close.encode({ handle: this.#file.number }).finish();
    try {
      await this.#file.requests.send(Method.CLOSE, body, { syscall: 'close' }, { epoch: this.#epoch });
    } catch (error) {
      if (!(error instanceof VamosError) || error.code !== 'SESSION_LOST') throw error;
    }
  }

  async #sync(syscall: string, kind: vamos.files.SyncKind, options: CallOptions): Promise<void> {
    const body = vamos.files.Sync.encode({ handles: [this.#file.number], kind }).finish();
    await this.#send(Method.SYNC, body, syscall, options);
  }

  #send(
    method: vamos.files.Method,
    body: Uint8Array,
    syscall: string,
    options: CallOptions,
  ): Promise<Uint8Array> {
    return this.#file.requests.send(method, body, { syscall }, this.#clock(syscall, options)());
  }

  async #readInto(buffers: Uint8Array[], position: number | null, options: CallOptions): Promise<number> {
    const clock = this.#clock('read', options);
    const lengthBytes = sumBytes(buffers);
    const { pieceBytes } = this.#file.requests;
    const fill = scatter(buffers);
    if (lengthBytes <= pieceBytes) return fill(await readRange(this.#file, position, lengthBytes, clock()));
    let bytesRead = 0;
    const range = { position, lengthBytes, windowBytes: pieceBytes };
    for await (const part of readWindows(this.#file, range, clock)) bytesRead += fill(part);
    return bytesRead;
  }

  /** Writes until a write is short. */
  async #writeFrom(
    parts: readonly Uint8Array[],
    position: number | null,
    options: CallOptions & { sync?: Sync },
  ): Promise<number> {
    const clock = this.#clock('write', options);
    const { pieceBytes } = this.#file.requests;
    const lengthBytes = sumBytes(parts);
    const syncAfter = toSyncKind(options.sync);
    if (lengthBytes <= pieceBytes) {
      return writeRange(this.#file, position, parts, { syncAfter, whole: false }, clock());
    }
    const bytes = join(parts);
    let at = 0;
    while (at < lengthBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      const isLast = at + piece.length === lengthBytes;
      const how = { syncAfter: isLast ? syncAfter : SyncKind.NO_SYNC, whole: false };
      const from = position === null ? null : position + at;
      const written = await writeRange(this.#file, from, [piece], how, clock());
      at += written;
      if (written < piece.length) break;
    }
    return at;
  }

  #clock(syscall: string, options: CallOptions): () => StreamOptions {
    this.#checkOpen(syscall);
    return startClock(options, this.#epoch);
  }

  #checkOpen(syscall: string): void {
    if (this.#closing) throw new FilesError('EBADF', { syscall });
  }
}

function toOptions<Options extends HandleReadOptions>(
  offsetOrOptions: number | null | Options | undefined,
  length: number | null | undefined,
  position: number | bigint | null | undefined,
): Options | HandleReadOptions {
  if (typeof offsetOrOptions === 'object' && offsetOrOptions !== null) return offsetOrOptions;
  return {
    ...(typeof offsetOrOptions === 'number' && { offset: offsetOrOptions }),
    ...(typeof length === 'number' && { length }),
    position: position ?? null,
  };
}

/** Returns the part of the buffer that `offset` and `length` mean. */
function within(bytes: Uint8Array, { offset = 0, length }: HandleReadOptions): Uint8Array {
  checkCount('offset', offset, bytes.length);
  const left = bytes.length - offset;
  if (length !== undefined && !(Number.isInteger(length) && length >= 0 && length <= left)) {
    throw outOfRange('length', length);
  }
  return bytes.subarray(offset, offset + (length ?? left));
}

/**
 * Returns a function that copies what it is given into the buffers, one after another, and returns the
 * length.
 */
function scatter(buffers: Uint8Array[]): (data: Uint8Array) => number {
  let index = 0;
  let at = 0;
  return (data) => {
    for (let from = 0; from < data.length;) {
      const buffer = buffers[index]!;
      const part = data.subarray(from, from + buffer.length - at);
      buffer.set(part, at);
      from += part.length;
      at += part.length;
      if (at < buffer.length) continue;
      index++;
      at = 0;
    }
    return data.length;
  };
}

/** Joins the parts in one buffer; a single part is not copied. */
export function join(parts: readonly Uint8Array[]): Buffer {
  const [only] = parts;
  if (parts.length === 1 && only) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  return Buffer.concat(parts);
}
