import { chmod, chown } from 'node:fs/promises';
import os from 'node:os';
import { VamosError } from '../../src/protocol/errors.js';
import type { NativeFile } from '../modules/files/binding.js';
import { formatChecksum } from './manifest.js';
import { nativeFiles } from './native_files.js';

/** How far an operation has come that reads or copies files. */
export interface Progress {
  phase: string;
  bytesDone: number;
  /** Set where the total is known. */
  bytesTotal?: number;
}

const PARALLEL_FILES = 4;
/** Failures of a hard link after which a copy is made. */
const NOT_LINKABLE = new Set(
  (['EXDEV', 'EMLINK', 'EPERM', 'EOPNOTSUPP', 'EACCES'] as const).map((name) => os.constants.errno[name]),
);

/** Links and copies files, and counts what it did. */
export class Copier {
  readonly linked = { files: 0, bytes: 0 };
  readonly copied = { files: 0, bytes: 0 };
  readonly #native = nativeFiles();

  constructor(
    readonly signal: AbortSignal,
    private readonly onBytes: (bytes: number) => void,
  ) {}

  /**
   * Gives the file one more name.
   * @returns false where it can't have one
   */
  async link(file: NativeFile, bytes: number, target: Buffer): Promise<boolean> {
    this.check();
    try {
      await this.#native.linkFile(file, target);
    } catch (error) {
      if (NOT_LINKABLE.has(Math.abs((error as NodeJS.ErrnoException).errno ?? 0))) return false;
      throw error;
    }
    this.countLinked(bytes);
    return true;
  }

  countLinked(bytes: number): void {
    this.linked.files++;
    this.linked.bytes += bytes;
    this.onBytes(bytes);
  }

  countCopied(bytes: number): void {
    this.copied.files++;
    this.copied.bytes += bytes;
    this.onBytes(bytes);
  }

  countRead(bytes: number): void {
    this.onBytes(bytes);
  }

  /**
   * Copies a part of the file, or all of it.
   * @returns its length, which is shorter where the file ends before, and its checksum
   */
  async copy(
    file: NativeFile,
    part: { offset: number; bytes: number } | undefined,
    target: Buffer,
    mode: number,
  ): Promise<{ bytes: number; crc32c: string }> {
    this.check();
    const content = await this.#native.copyContent(file, part?.offset ?? 0, part?.bytes ?? -1, target, mode);
    this.countCopied(content.bytes);
    return { bytes: content.bytes, crc32c: formatChecksum(content.crc32c) };
  }

  /** Returns the checksum of the file's first bytes, or of all of it. */
  async checksum(file: NativeFile, bytes = -1): Promise<{ bytes: number; crc32c: string }> {
    this.check();
    const content = await this.#native.readContent(file, 0, bytes);
    return { bytes: content.bytes, crc32c: formatChecksum(content.crc32c) };
  }

  /**
   * Checks whether to go on.
   * @throws VamosError why to stop
   */
  check(): void {
    if (this.signal.aborted) throw VamosError.from(this.signal.reason);
  }

  /** Calls `run` for each item, for a few of them simultaneously; begins no more after a failure. */
  async each<Item>(items: Iterable<Item>, run: (item: Item) => Promise<void>): Promise<void> {
    const iterator = items[Symbol.iterator]();
    let failure: Error | undefined;
    const work = async () => {
      for (let next = iterator.next(); !next.done && failure === undefined; next = iterator.next()) {
        try {
          await run(next.value);
        } catch (error) {
          failure ??= error as Error;
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_FILES }, work));
    if (failure !== undefined) throw failure;
  }
}

/**
 * Takes a table file, which never changes, away from the guest's worker: the worker may only read it and
 * remove its own name for it.
 */
export async function protect(file: string): Promise<void> {
  await chmod(file, 0o444);
  if (process.getuid?.() === 0) await chown(file, 0, 0);
}
