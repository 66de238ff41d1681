/**
 * The native binding of the module `files` (`native/addon/store/files_binding.cpp`). Every call but openRoot
 * is one job on Node's thread pool. Failures of system calls are Errors with a positive `errno`. Paths are
 * bytes, resolved beneath the root (native/files/root.hpp); the caller has checked the rest of a guest's
 * arguments.
 */
export interface NativeFiles {
  openRoot(path: string): NativeRoot;
  /** Opens a file. `flags` is OpenFlag of files.proto. */
  openFile(root: NativeRoot, path: Uint8Array, flags: number, mode: number): Promise<OpenedFile>;
  statPath(root: NativeRoot, path: Uint8Array, noFollow: boolean): Promise<NativeStat>;
  accessPath(root: NativeRoot, path: Uint8Array, mode: number): Promise<void>;
  /** Resolves to the length of the path's prefix that names the first directory made, 0 if all were there. */
  makeDirectory(root: NativeRoot, path: Uint8Array, mode: number, recursive: boolean): Promise<number>;
  renamePath(root: NativeRoot, from: Uint8Array, to: Uint8Array): Promise<void>;
  removePath(root: NativeRoot, path: Uint8Array, isDirectory: boolean): Promise<void>;
  /** Removes at most maxEntries of a tree. Resolves to true when all is gone. */
  removeTree(root: NativeRoot, path: Uint8Array, maxEntries: number): Promise<boolean>;

  /** Resolves to READ's reply. `offsets` are as many as `lengths`, or none for the file's own position. */
  readFile(file: NativeFile, offsets: Float64Array, lengths: Uint32Array): Promise<Uint8Array>;
  /**
   * Writes; `data` must not change until it ends. `sync` is a SyncKind. Resolves to the bytes written, which
   * are all of them if mustBeWhole.
   */
  writeFile(
    file: NativeFile,
    offsets: Float64Array,
    lengths: Uint32Array,
    data: Uint8Array,
    sync: number,
    mustBeWhole: boolean,
  ): Promise<number>;
  syncFile(file: NativeFile, sync: number): Promise<void>;
  truncateFile(file: NativeFile, lengthBytes: number): Promise<void>;
  statFile(file: NativeFile): Promise<NativeStat>;
  readDirectory(file: NativeFile, windowBytes: number): Promise<{ entries: Uint8Array; atEnd: boolean }>;
  /**
   * Reads a part of a file, to the file's end if lengthBytes is negative; `bytes` of the result are fewer
   * where the file ends before.
   */
  readContent(file: NativeFile, offset: number, lengthBytes: number): Promise<FileContent>;
  /** Does the same into a new file at a path of the host, which is removed again if the call fails. */
  copyContent(
    file: NativeFile,
    offset: number,
    lengthBytes: number,
    target: Uint8Array,
    mode: number,
  ): Promise<FileContent>;
  /** Gives the file one more name, at a path of the host. */
  linkFile(file: NativeFile, target: Uint8Array): Promise<void>;
  /** Makes all durable that was written to the file system of this path of the host. */
  syncFileSystem(path: Uint8Array): Promise<void>;
  /** Closes. No call may use the file afterwards; one that runs still ends well. */
  closeFile(file: NativeFile): Promise<void>;
}

export interface FileContent {
  bytes: number;
  crc32c: number;
}

declare const root: unique symbol;
declare const file: unique symbol;
export type NativeRoot = { readonly [root]: never };
export type NativeFile = { readonly [file]: never };

export interface OpenedFile {
  file: NativeFile;
  stat: NativeStat;
}

/**
 * The numbers of a file's state, in this order: device, inode, mode, links, user, group, special device,
 * size, block size, blocks; then seconds and after them nanoseconds of access, modification, change, birth.
 */
export type NativeStat = Float64Array;
