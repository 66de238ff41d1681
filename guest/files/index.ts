import { VamosError } from '../../src/protocol/errors.js';
import { FILES_MAX_PATH_BYTES } from '../../src/protocol/generated/limits.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions as StreamOptions, RpcStream } from '../../src/rpc/contract.js';
import {
  checkCount,
  type FilePath,
  type OpenFlags,
  toMode,
  toOpenFlags,
  toPathBytes,
  toPathText,
} from './arguments.js';
import { type Attempt, FilesError } from './errors.js';
import { FileHandle, join, toSyncKind, type WriteFileOptions } from './handle.js';
import { type CallOptions, FileRequests, startClock } from './requests.js';
import { Dirent, parseEntries, Stats } from './stats.js';
import { type OpenFile, readRange, readWindows, writeAll, type WriteSource } from './transfer.js';

export type { FilePath, OpenFlags } from './arguments.js';
export { FilesError } from './errors.js';
export {
  FileHandle,
  type HandleReadOptions,
  type StreamRange,
  type Sync,
  type HandleWriteOptions,
} from './handle.js';
export type { CallOptions } from './requests.js';
export { Dirent, Stats } from './stats.js';
export type { WriteSource } from './transfer.js';

const { Method, OpenFlag, RemoveKind } = vamos.files;

type ReadFileOptions = CallOptions & { encoding?: BufferEncoding | null; flag?: OpenFlags };

/**
 * The module `files`: the face of node:fs/promises over the guest's directory on the host. Paths are relative to it and
 * never lead out of it (EXDEV). Failures of system calls are FilesErrors with Node's codes, all others VamosErrors.
 * Calls run in the order in which they are made; another stream's Files is independent. A call that the end of a session
 * leaves without an answer may have been done: SESSION_LOST where it may simply be made again, OUTCOME_UNKNOWN where that
 * might write twice (to a file opened to append).
 */
export class Files {
  readonly #requests: FileRequests;
  readonly #handles = new Set<FileHandle>();

  /** The stream's handles are this object's, so no other Files may be made of the stream. */
  constructor(stream: RpcStream) {
    this.#requests = new FileRequests(stream);
  }

  /**
   * Opens a file as node:fs/promises' open does. Only read, write and execute bits of `mode` count.
   * @throws FilesError; TypeError ERR_INVALID_ARG_VALUE: flags that Node or the host doesn't know (O_TMPFILE,
   * O_DIRECT)
   */
  async open(
    path: FilePath,
    flags: OpenFlags = 'r',
    mode: number | string = 0o666,
    options: CallOptions = {},
  ): Promise<FileHandle> {
    const { file, opened } = this.#open(path, toOpenFlags(flags), toMode(mode), startClock(options)());
    await opened;
    const handle = new FileHandle(file, (closed) => {
      this.#handles.delete(closed);
    });
    this.#handles.add(handle);
    return handle;
  }

  /** Reads a file, in one frame if it fits one. */
  async readFile(path: FilePath, options?: (ReadFileOptions & { encoding?: null }) | null): Promise<Buffer>;
  async readFile(
    path: FilePath,
    options: BufferEncoding | (ReadFileOptions & { encoding: BufferEncoding }),
  ): Promise<string>;
  async readFile(
    path: FilePath,
    options?: BufferEncoding | ReadFileOptions | null,
  ): Promise<Buffer | string> {
    const { encoding, flag, ...callOptions }: ReadFileOptions =
      typeof options === 'string' ? { encoding: options } : (options ?? {});
    const clock = startClock(callOptions);
    const { file, opened } = this.#open(path, toOpenFlags(flag ?? 'r'), 0o666, clock());
    const { pieceBytes } = this.#requests;
    const first = await this.#both(file, opened, readRange(file, null, pieceBytes, clock(), true));
    const parts = [first];
    if (first.length === pieceBytes) {
      try {
        const range = { position: null, lengthBytes: Infinity, windowBytes: pieceBytes };
        for await (const part of readWindows(file, range, clock)) parts.push(part);
      } finally {
        await this.#closeIfOpen(file);
      }
    }
    const all = join(parts);
    return encoding ? all.toString(encoding) : all;
  }

  /** Writes a file. What fits one frame goes in one: it opens, writes, syncs with `flush`, and closes. */
  async writeFile(
    path: FilePath,
    data: WriteSource,
    options?: BufferEncoding | (WriteFileOptions & { flag?: OpenFlags; mode?: number | string }) | null,
  ): Promise<void> {
    const settings = typeof options === 'string' ? { encoding: options } : (options ?? {});
    const { encoding, flag = 'w', mode = 0o666, flush, ...callOptions } = settings;
    const clock = startClock(callOptions);
    const { file, opened } = this.#open(path, toOpenFlags(flag), toMode(mode), clock());
    const range = { position: null, sync: toSyncKind(flush ? 'all' : 'none'), encoding: encoding ?? 'utf8' };
    await this.#both(
      file,
      opened,
      writeAll(file, data, range, clock, () => this.#closeIfOpen(file)),
    );
  }

  /** Does the same at the end of the file, which is made if it does not exist. */
  appendFile(
    path: FilePath,
    data: WriteSource,
    options?: BufferEncoding | (WriteFileOptions & { flag?: OpenFlags; mode?: number | string }) | null,
  ): Promise<void> {
    const settings = typeof options === 'string' ? { encoding: options } : options;
    return this.writeFile(path, data, { flag: 'a', ...settings });
  }

  /** Lists a directory, sorted by name. */
  async readdir(
    path: FilePath,
    options?: (CallOptions & { withFileTypes?: false }) | null,
  ): Promise<string[]>;
  async readdir(path: FilePath, options: CallOptions & { withFileTypes: true }): Promise<Dirent[]>;
  async readdir(
    path: FilePath,
    options?: (CallOptions & { withFileTypes?: boolean }) | null,
  ): Promise<string[] | Dirent[]> {
    const { withFileTypes = false, ...callOptions } = options ?? {};
    const clock = startClock(callOptions);
    const attempt = { syscall: 'scandir', path: toPathText(path) };
    const flags = OpenFlag.FOR_READ | OpenFlag.DIRECTORY;
    const { file, opened } = this.#open(path, flags, 0, clock(), 'scandir');
    const windowBytes = this.#requests.pieceBytes;
    const body = vamos.files.ReadDirectory.encode({
      handle: file.number,
      windowBytes,
      closeAtEnd: true,
    }).finish();
    const next = async (): Promise<vamos.files.DirectoryWindow> =>
      vamos.files.DirectoryWindow.decode(
        await this.#requests.send(Method.READ_DIRECTORY, body, attempt, clock()),
      );
    let window = await this.#both(file, opened, next());
    const entries = [...parseEntries(window.entries)];
    while (!window.atEnd) {
      window = await this.#both(file, opened, next());
      for (const entry of parseEntries(window.entries)) entries.push(entry);
    }
    entries.sort((one, other) => Buffer.compare(one.name, other.name));
    return withFileTypes
      ? entries.map(({ name, type }) => new Dirent(name.toString(), toPathText(path), type))
      : entries.map(({ name }) => name.toString());
  }

  /**
   * Makes a directory. recursive: makes the parents too, and resolves to the first directory that it made, if
   * any.
   */
  async mkdir(
    path: FilePath,
    options?: number | string | (CallOptions & { recursive?: boolean; mode?: number | string }) | null,
  ): Promise<string | undefined> {
    const settings = typeof options === 'object' && options !== null ? options : { mode: options ?? 0o777 };
    const { recursive = false, mode = 0o777, ...callOptions } = settings;
    const { bytes, attempt } = this.#attempt('mkdir', path);
    const body = vamos.files.MakeDirectory.encode({ path: bytes, mode: toMode(mode), recursive }).finish();
    const reply = await this.#requests.send(Method.MAKE_DIRECTORY, body, attempt, startClock(callOptions)());
    const { firstBytes } = vamos.files.DirectoryMade.decode(reply);
    return recursive && firstBytes > 0 ? Buffer.from(bytes.subarray(0, firstBytes)).toString() : undefined;
  }

  async rename(from: FilePath, to: FilePath, options: CallOptions = {}): Promise<void> {
    const { bytes, attempt } = this.#attempt('rename', from, to);
    const toBytes = this.#attempt('rename', to).bytes;
    const body = vamos.files.Rename.encode({ from: bytes, to: toBytes }).finish();
    await this.#requests.send(Method.RENAME, body, attempt, startClock(options)());
  }

  async unlink(path: FilePath, options: CallOptions = {}): Promise<void> {
    await this.#remove('unlink', path, RemoveKind.FILE, options);
  }

  async rmdir(path: FilePath, options: CallOptions = {}): Promise<void> {
    await this.#remove('rmdir', path, RemoveKind.EMPTY_DIRECTORY, options);
  }

  /**
   * Removes. recursive: in one request, whatever the size of the tree. force: it is no failure if the path
   * does not exist.
   */
  async rm(
    path: FilePath,
    options: CallOptions & { recursive?: boolean; force?: boolean } = {},
  ): Promise<void> {
    const { recursive = false, force = false, ...callOptions } = options;
    try {
      await this.#remove('rm', path, recursive ? RemoveKind.TREE : RemoveKind.FILE, callOptions);
    } catch (error) {
      if (!(force && error instanceof FilesError && error.code === 'ENOENT')) throw error;
    }
  }

  /** Returns the state of what the path leads to; `lstat` that of the symbolic link itself. */
  async stat(path: FilePath, options: CallOptions = {}): Promise<Stats> {
    return this.#stat('stat', path, false, options);
  }

  async lstat(path: FilePath, options: CallOptions = {}): Promise<Stats> {
    return this.#stat('lstat', path, true, options);
  }

  /** Checks access. mode: F_OK, R_OK, W_OK, X_OK of node:fs's constants, as the host's worker may. */
  async access(path: FilePath, mode = 0, options: CallOptions = {}): Promise<void> {
    const { bytes, attempt } = this.#attempt('access', path);
    const body = vamos.files.Access.encode({ path: bytes, mode: checkCount('mode', mode, 7) }).finish();
    await this.#requests.send(Method.ACCESS, body, attempt, startClock(options)());
  }

  /** Truncates a file, in one frame. */
  async truncate(path: FilePath, lengthBytes = 0, options: CallOptions = {}): Promise<void> {
    checkCount('len', lengthBytes);
    const clock = startClock(options);
    const { file, opened } = this.#open(path, OpenFlag.FOR_READ | OpenFlag.FOR_WRITE, 0, clock());
    const body = vamos.files.Truncate.encode({ handle: file.number, lengthBytes }).finish();
    const truncated = this.#requests.send(Method.TRUNCATE, body, { syscall: 'ftruncate' }, clock());
    const closed = this.#closeIfOpen(file);
    await this.#both(file, opened, truncated);
    await closed;
  }

  /** Syncs files simultaneously, in one request: fsync, or fdatasync with `dataOnly`. */
  async sync(
    handles: readonly FileHandle[],
    options: CallOptions & { dataOnly?: boolean } = {},
  ): Promise<void> {
    const { dataOnly = false, ...callOptions } = options;
    const syscall = dataOnly ? 'fdatasync' : 'fsync';
    if (handles.length === 0) return;
    const numbers = handles.map((handle) => {
      if (!this.#handles.has(handle)) throw new FilesError('EBADF', { syscall });
      return handle.numberFor(syscall);
    });
    const body = vamos.files.Sync.encode({
      handles: numbers,
      kind: toSyncKind(dataOnly ? 'data' : 'all'),
    }).finish();
    await this.#requests.send(Method.SYNC, body, { syscall }, startClock(callOptions)());
  }

  /** Closes all open handles. */
  async close(): Promise<void> {
    await Promise.all([...this.#handles].map((handle) => handle.close()));
  }

  /** Opens without waiting for the answer, so that what is done with the file goes in the same frame. */
  #open(
    path: FilePath,
    flags: number,
    mode: number,
    options: StreamOptions,
    syscall = 'open',
  ): { file: OpenFile; opened: Promise<unknown> } {
    const { bytes, attempt } = this.#attempt(syscall, path);
    const appends = (flags & OpenFlag.APPEND) !== 0;
    const file = { requests: this.#requests, number: this.#requests.takeHandle(), appends };
    const body = vamos.files.Open.encode({ handle: file.number, path: bytes, flags, mode }).finish();
    const opened = this.#requests.send(Method.OPEN, body, attempt, options);
    // An open that was given up may happen all the same.
    opened.catch((error: unknown) => error instanceof VamosError && this.#abandon(file));
    return { file, opened };
  }

  /**
   * Returns what was done with a file that was being opened. Of two failures the first counts, unless the
   * second may be done.
   */
  async #both<Result>(file: OpenFile, opened: Promise<unknown>, done: Promise<Result>): Promise<Result> {
    const [opening, doing] = await Promise.allSettled([opened, done]);
    if (doing.status === 'rejected' && isUnknown(doing.reason)) throw doing.reason;
    if (opening.status === 'rejected') throw opening.reason;
    if (doing.status === 'fulfilled') return doing.value;
    this.#abandon(file);
    throw doing.reason;
  }

  async #closeIfOpen(file: OpenFile): Promise<void> {
    const body = vamos.files.Close.encode({ handle: file.number, ifOpen: true }).finish();
    try {
      await this.#requests.send(Method.CLOSE, body, { syscall: 'close' });
    } catch (error) {
      // With its session the host closed the file too.
      if (!(error instanceof VamosError) || error.code !== 'SESSION_LOST') throw error;
    }
  }

  #abandon(file: OpenFile): void {
    this.#closeIfOpen(file).catch(() => undefined);
  }

  async #remove(
    syscall: string,
    path: FilePath,
    kind: vamos.files.RemoveKind,
    options: CallOptions,
  ): Promise<void> {
    const { bytes, attempt } = this.#attempt(syscall, path);
    const body = vamos.files.Remove.encode({ path: bytes, kind }).finish();
    await this.#requests.send(Method.REMOVE, body, attempt, startClock(options)());
  }

  async #stat(syscall: string, path: FilePath, noFollow: boolean, options: CallOptions): Promise<Stats> {
    const { bytes, attempt } = this.#attempt(syscall, path);
    const body = vamos.files.StatPath.encode({ path: bytes, noFollow }).finish();
    return new Stats(await this.#requests.send(Method.STAT, body, attempt, startClock(options)()));
  }

  #attempt(syscall: string, path: FilePath, dest?: FilePath): { bytes: Uint8Array; attempt: Attempt } {
    const bytes = toPathBytes(path);
    const attempt: Attempt = {
      syscall,
      path: toPathText(path),
      ...(dest !== undefined && { dest: toPathText(dest) }),
    };
    if (bytes.length > FILES_MAX_PATH_BYTES) throw new FilesError('ENAMETOOLONG', attempt);
    return { bytes, attempt };
  }
}

function isUnknown(error: unknown): boolean {
  return error instanceof VamosError && error.code === 'OUTCOME_UNKNOWN';
}
