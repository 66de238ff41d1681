import type { MetricsOf } from '../../../src/protocol/generated/metrics.js';
import { VamosError } from '../../../src/protocol/errors.js';
import {
  FILES_MIN_DIRECTORY_WINDOW_BYTES,
  FILES_PIECE_BYTES,
} from '../../../src/protocol/generated/limits.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { Call, ModuleSession } from '../../../src/rpc/contract.js';
import type { NativeFile, NativeFiles, NativeRoot } from './binding.js';
import { failed, toFailure } from './failures.js';
import { bad, checkPath, checkRanges, checkSyncKind, decode, encodeStat } from './requests.js';

const messages = vamos.files;
const { Method, OpenFlag, RemoveKind, SyncKind } = messages;

const EMPTY = new Uint8Array();
const ALL_FLAGS = Object.values(OpenFlag).reduce<number>(
  (flags, flag) => (typeof flag === 'number' ? flags | flag : flags),
  0,
);
/**
 * How many entries of a tree one job removes, so that it does not hold its thread for long and a cancellation
 * is noticed between jobs.
 */
const ENTRIES_PER_JOB = 1000;

/** What the sessions of one root share. */
export interface FilesRoot {
  native: NativeFiles;
  root: NativeRoot;
  maxHandles: number;
  counters: MetricsOf<'files'>;
}

/** Serves one guest session: decodes and checks its requests, keeps its handles. */
export class FilesSession implements ModuleSession {
  /** Files by stream and handle; undefined while a file opens. */
  readonly #files = new Map<string, NativeFile | undefined>();
  readonly #shared: FilesRoot;
  #isClosed = false;

  constructor(shared: FilesRoot) {
    this.#shared = shared;
  }

  async handle(method: number, body: Uint8Array, call: Call): Promise<Uint8Array> {
    try {
      return await this.#answer(method, body, call);
    } catch (error) {
      this.#shared.counters.failures++;
      throw toFailure(error);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#files.keys()].map((key) => this.#closeFile(key)));
  }

  #answer(method: number, body: Uint8Array, call: Call): Promise<Uint8Array> {
    switch (method as vamos.files.Method) {
      case Method.OPEN:
        return this.#open(decode(messages.Open, body), call);
      case Method.CLOSE:
        return this.#close(decode(messages.Close, body), call);
      case Method.READ:
        return this.#read(decode(messages.Read, body), call);
      case Method.WRITE:
        return this.#write(decode(messages.Write, body), call);
      case Method.SYNC:
        return this.#sync(decode(messages.Sync, body), call);
      case Method.TRUNCATE:
        return this.#truncate(decode(messages.Truncate, body), call);
      case Method.STAT_HANDLE:
        return this.#statHandle(decode(messages.Handle, body), call);
      case Method.READ_DIRECTORY:
        return this.#readDirectory(decode(messages.ReadDirectory, body), call);
      case Method.STAT:
        return this.#stat(decode(messages.StatPath, body));
      case Method.ACCESS:
        return this.#access(decode(messages.Access, body));
      case Method.MAKE_DIRECTORY:
        return this.#makeDirectory(decode(messages.MakeDirectory, body));
      case Method.RENAME:
        return this.#rename(decode(messages.Rename, body));
      case Method.REMOVE:
        return this.#remove(decode(messages.Remove, body), call);
      default:
        throw new VamosError('UNKNOWN_METHOD', `files has no method ${method}`);
    }
  }

  async #open(request: vamos.files.Open, call: Call): Promise<Uint8Array> {
    const { native, root, maxHandles, counters } = this.#shared;
    const path = checkPath(request.path);
    if ((request.flags & ~ALL_FLAGS) !== 0) throw bad(`open flags ${request.flags}`);
    const key = keyOf(call, request.handle);
    if (this.#files.has(key)) throw bad(`handle ${request.handle} is open already`);
    if (this.#files.size >= maxHandles) throw failed('EMFILE');
    this.#files.set(key, undefined);
    const opened = await native.openFile(root, path, request.flags, request.mode).catch((error: unknown) => {
      this.#files.delete(key);
      throw error;
    });
    if (this.#isClosed) {
      await native.closeFile(opened.file);
      throw new VamosError('SESSION_LOST', 'the session ended');
    }
    this.#files.set(key, opened.file);
    counters.handlesOpen++;
    counters.filesOpened++;
    return encodeStat(opened.stat);
  }

  async #close(request: vamos.files.Close, call: Call): Promise<Uint8Array> {
    const key = keyOf(call, request.handle);
    if (!this.#files.has(key)) {
      if (request.ifOpen) return EMPTY;
      throw missing(request.handle);
    }
    await this.#closeFile(key);
    return EMPTY;
  }

  async #read(request: vamos.files.Read, call: Call): Promise<Uint8Array> {
    const { native, counters } = this.#shared;
    const file = this.#file(call, request.handle);
    const { lengths } = request;
    const bytes = checkRanges(request.offsets, lengths);
    if (lengths.length === 0) throw bad('a read of no range');
    if (bytes > FILES_PIECE_BYTES) throw bad(`a read of ${bytes} bytes: the limit is ${FILES_PIECE_BYTES}`);
    let reply: Uint8Array;
    try {
      reply = await native.readFile(file, Float64Array.from(request.offsets), Uint32Array.from(lengths));
    } catch (error) {
      if (request.closeAtEnd) await this.#closeFile(keyOf(call, request.handle));
      throw error;
    }
    counters.reads++;
    counters.bytesRead += reply.length - 4 * lengths.length;
    if (request.closeAtEnd) {
      const last = lengths.length - 1;
      const count = new DataView(reply.buffer, reply.byteOffset).getUint32(4 * last, true);
      if (count < (lengths[last] ?? 0)) await this.#closeFile(keyOf(call, request.handle));
    }
    return reply;
  }

  async #write(request: vamos.files.Write, call: Call): Promise<Uint8Array> {
    const { native, counters } = this.#shared;
    const file = this.#file(call, request.handle);
    const { data, syncAfter } = request;
    const lengths = request.lengths.length === 0 ? [data.length] : request.lengths;
    const bytes = checkRanges(request.offsets, lengths);
    if (bytes !== data.length)
      throw bad(`a write whose ranges hold ${bytes} bytes and its data ${data.length}`);
    checkSyncKind(syncAfter);
    const run = native.writeFile(
      file,
      Float64Array.from(request.offsets),
      Uint32Array.from(lengths),
      data,
      syncAfter,
      request.whole,
    );
    const written = await (syncAfter === SyncKind.NO_SYNC ? run : parked(call, run));
    counters.writes++;
    counters.bytesWritten += written;
    if (syncAfter !== SyncKind.NO_SYNC && written === bytes) counters.syncs++;
    return messages.Written.encode({ bytes: written }).finish();
  }

  async #sync(request: vamos.files.Sync, call: Call): Promise<Uint8Array> {
    const { native, counters } = this.#shared;
    checkSyncKind(request.kind);
    if (request.kind === SyncKind.NO_SYNC) throw bad('a sync of no kind');
    if (request.handles.length > this.#shared.maxHandles)
      throw bad(`a sync of ${request.handles.length} handles`);
    const files = request.handles.map((handle) => this.#file(call, handle));
    const results = await parked(
      call,
      Promise.allSettled(files.map((file) => native.syncFile(file, request.kind))),
    );
    counters.syncs += results.length;
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return EMPTY;
  }

  async #truncate(request: vamos.files.Truncate, call: Call): Promise<Uint8Array> {
    const file = this.#file(call, request.handle);
    if (!Number.isSafeInteger(request.lengthBytes)) throw bad(`a file length of ${request.lengthBytes}`);
    await this.#shared.native.truncateFile(file, request.lengthBytes);
    return EMPTY;
  }

  async #statHandle(request: vamos.files.Handle, call: Call): Promise<Uint8Array> {
    return encodeStat(await this.#shared.native.statFile(this.#file(call, request.handle)));
  }

  async #readDirectory(request: vamos.files.ReadDirectory, call: Call): Promise<Uint8Array> {
    const file = this.#file(call, request.handle);
    const { windowBytes } = request;
    if (windowBytes < FILES_MIN_DIRECTORY_WINDOW_BYTES || windowBytes > FILES_PIECE_BYTES) {
      throw bad(`a directory window of ${windowBytes} bytes`);
    }
    let isOver = true;
    try {
      const window = await this.#shared.native.readDirectory(file, windowBytes);
      isOver = window.atEnd;
      return messages.DirectoryWindow.encode(window).finish();
    } finally {
      if (request.closeAtEnd && isOver) await this.#closeFile(keyOf(call, request.handle));
    }
  }

  async #stat(request: vamos.files.StatPath): Promise<Uint8Array> {
    const { native, root } = this.#shared;
    return encodeStat(await native.statPath(root, checkPath(request.path), request.noFollow));
  }

  async #access(request: vamos.files.Access): Promise<Uint8Array> {
    if (request.mode > 7) throw bad(`an access mode of ${request.mode}`);
    await this.#shared.native.accessPath(this.#shared.root, checkPath(request.path), request.mode);
    return EMPTY;
  }

  async #makeDirectory(request: vamos.files.MakeDirectory): Promise<Uint8Array> {
    const { native, root } = this.#shared;
    const path = checkPath(request.path);
    const firstBytes = await native.makeDirectory(root, path, request.mode, request.recursive);
    return messages.DirectoryMade.encode({ firstBytes }).finish();
  }

  async #rename(request: vamos.files.Rename): Promise<Uint8Array> {
    const { native, root } = this.#shared;
    await native.renamePath(root, checkPath(request.from), checkPath(request.to));
    return EMPTY;
  }

  async #remove(request: vamos.files.Remove, call: Call): Promise<Uint8Array> {
    const { native, root } = this.#shared;
    const path = checkPath(request.path);
    switch (request.kind) {
      case RemoveKind.FILE:
      case RemoveKind.EMPTY_DIRECTORY:
        await native.removePath(root, path, request.kind === RemoveKind.EMPTY_DIRECTORY);
        return EMPTY;
      case RemoveKind.TREE:
        await parked(call, this.#removeTree(path, call));
        return EMPTY;
      default:
        throw bad(`a removal of kind ${String(request.kind)}`);
    }
  }

  async #removeTree(path: Uint8Array, call: Call): Promise<void> {
    const { native, root } = this.#shared;
    while (!(await native.removeTree(root, path, ENTRIES_PER_JOB))) call.signal.throwIfAborted();
  }

  #file(call: Call, handle: number): NativeFile {
    const file = this.#files.get(keyOf(call, handle));
    if (file === undefined) throw missing(handle);
    return file;
  }

  async #closeFile(key: string): Promise<void> {
    const file = this.#files.get(key);
    if (file === undefined) return;
    this.#files.delete(key);
    this.#shared.counters.handlesOpen--;
    await this.#shared.native.closeFile(file);
  }
}

function keyOf(call: Call, handle: number): string {
  return `${call.stream}/${handle}`;
}

function missing(handle: number): VamosError {
  return new VamosError('FILE_HANDLE_MISSING', `files: handle ${handle} is not open`);
}

/**
 * Reports the call parked while it runs: syncs and removals of trees may be slow, and other requests of the
 * frame need not wait for them.
 */
async function parked<Result>(call: Call, run: Promise<Result>): Promise<Result> {
  call.setParked(true);
  try {
    return await run;
  } finally {
    call.setParked(false);
  }
}
