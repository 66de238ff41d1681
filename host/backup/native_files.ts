import os from 'node:os';
import util from 'node:util';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { loadNative } from '../../src/native.js';
import type { NativeFile, NativeFiles, NativeRoot, NativeStat } from '../modules/files/binding.js';

export function nativeFiles(): NativeFiles {
  return loadNative('vamos_store') as NativeFiles;
}

/**
 * Returns the error for a failed system call on files of the host: DISK_FULL or STORAGE_FAILED. Other errors
 * are returned as they are.
 */
export function storageError(error: unknown, what: string): VamosError {
  if (error instanceof VamosError) return error;
  const { errno } = error as NodeJS.ErrnoException;
  if (typeof errno !== 'number') return VamosError.from(error);
  const number = Math.abs(errno);
  if (number === os.constants.errno.ENOSPC || number === os.constants.errno.EDQUOT) {
    return new VamosError('DISK_FULL', `${what}: the disk is full; make room on it`, { cause: error });
  }
  const [name, text] = util.getSystemErrorMap().get(-number) ?? [`errno ${number}`, ''];
  return new VamosError('STORAGE_FAILED', `${what}: ${name}: ${text}`, { cause: error });
}

/** Names the numbers of a NativeStat that identify a file and its state. */
export function statOf(stat: NativeStat) {
  return {
    device: stat[0]!,
    inode: stat[1]!,
    mode: stat[2]! & 0o7777,
    isFile: (stat[2]! & 0o170000) === 0o100000,
    bytes: stat[7]!,
    changedMs: stat[12]! * 1000 + stat[16]! / 1e6,
    /** The time of the file's last change of any kind, which only the kernel sets. */
    changed: `${stat[12]}.${String(stat[16]).padStart(9, '0')}`,
  };
}

export type FileFacts = ReturnType<typeof statOf>;

/** The files beneath a folder, by paths that never lead out of it, whichever program may write there. */
export class Tree {
  readonly #native = nativeFiles();
  readonly #root: NativeRoot;

  /**
   * Opens the folder.
   * @throws VamosError STORAGE_FAILED
   */
  constructor(readonly folder: string) {
    try {
      this.#root = this.#native.openRoot(folder);
    } catch (error) {
      throw storageError(error, folder);
    }
  }

  /** Returns the present state of an open file. */
  async factsNow(file: NativeFile): Promise<FileFacts> {
    return statOf(await this.#native.statFile(file));
  }

  /**
   * Opens a file, passes it to `run` and closes it.
   * @throws VamosError
   */
  async use<Result>(
    name: Uint8Array,
    run: (file: NativeFile, facts: FileFacts) => Promise<Result>,
  ): Promise<Result> {
    const { NO_FOLLOW, FOR_READ } = vamos.files.OpenFlag;
    try {
      const { file, stat } = await this.#native.openFile(this.#root, name, FOR_READ | NO_FOLLOW, 0);
      try {
        const facts = statOf(stat);
        if (!facts.isFile) throw new VamosError('STORAGE_FAILED', 'it is no regular file');
        return await run(file, facts);
      } finally {
        await this.#native.closeFile(file);
      }
    } catch (error) {
      throw storageError(error, `${this.folder}/${Buffer.from(name).toString()}`);
    }
  }

  /** Returns the names in a directory, with their types (DT_ of dirent.h), and the directory's mode. */
  async list(name: Uint8Array): Promise<{ mode: number; names: { name: Buffer; type: number }[] }> {
    const { NO_FOLLOW, FOR_READ, DIRECTORY } = vamos.files.OpenFlag;
    const names: { name: Buffer; type: number }[] = [];
    try {
      const opened = await this.#native.openFile(this.#root, name, FOR_READ | NO_FOLLOW | DIRECTORY, 0);
      try {
        for (let atEnd = false; !atEnd;) {
          const window = await this.#native.readDirectory(opened.file, LIST_WINDOW_BYTES);
          atEnd = window.atEnd;
          const entries = Buffer.from(window.entries);
          for (let at = 0; at < entries.length;) {
            const length = entries.readUInt16LE(at + 1);
            names.push({ type: entries[at]!, name: entries.subarray(at + 3, at + 3 + length) });
            at += 3 + length;
          }
        }
        return { mode: statOf(opened.stat).mode, names };
      } finally {
        await this.#native.closeFile(opened.file);
      }
    } catch (error) {
      throw storageError(error, `${this.folder}/${Buffer.from(name).toString()}`);
    }
  }
}

const LIST_WINDOW_BYTES = 64 * 1024;
