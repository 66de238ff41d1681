import { constants } from 'node:fs';
import { vamos } from '../../src/protocol/generated/messages.js';

/** Says what a directory entry or a file is, with the methods of node:fs. */
class Kind {
  readonly #type: number;

  /** @param type the file type bits of a mode */
  constructor(type: number) {
    this.#type = type;
  }

  isFile(): boolean {
    return this.#type === constants.S_IFREG;
  }
  isDirectory(): boolean {
    return this.#type === constants.S_IFDIR;
  }
  isSymbolicLink(): boolean {
    return this.#type === constants.S_IFLNK;
  }
  isFIFO(): boolean {
    return this.#type === constants.S_IFIFO;
  }
  isSocket(): boolean {
    return this.#type === constants.S_IFSOCK;
  }
  isBlockDevice(): boolean {
    return this.#type === constants.S_IFBLK;
  }
  isCharacterDevice(): boolean {
    return this.#type === constants.S_IFCHR;
  }
}

/** The fields of node:fs's Stats. */
export class Stats extends Kind {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;

  constructor(body: Uint8Array) {
    const stat = vamos.files.Stat.decode(body);
    super(stat.mode & constants.S_IFMT);
    this.dev = stat.device;
    this.ino = stat.inode;
    this.mode = stat.mode;
    this.nlink = stat.links;
    this.uid = stat.user;
    this.gid = stat.group;
    this.rdev = stat.specialDevice;
    this.size = stat.sizeBytes;
    this.blksize = stat.blockBytes;
    this.blocks = stat.blocks;
    const milliseconds = (index: number): number =>
      (stat.seconds[index] ?? 0) * 1000 + (stat.nanoseconds[index] ?? 0) / 1e6;
    this.atimeMs = milliseconds(0);
    this.mtimeMs = milliseconds(1);
    this.ctimeMs = milliseconds(2);
    this.birthtimeMs = milliseconds(3);
  }

  get atime(): Date {
    return new Date(Math.round(this.atimeMs));
  }
  get mtime(): Date {
    return new Date(Math.round(this.mtimeMs));
  }
  get ctime(): Date {
    return new Date(Math.round(this.ctimeMs));
  }
  get birthtime(): Date {
    return new Date(Math.round(this.birthtimeMs));
  }
}

/** An entry of a directory. */
export class Dirent extends Kind {
  constructor(
    readonly name: string,
    readonly parentPath: string,
    directoryType: number,
  ) {
    super(directoryType << 12); // See DTTOIF of dirent.h.
  }
}

/** Yields the entries of a DirectoryWindow. */
export function* parseEntries(entries: Uint8Array): Generator<{ name: Buffer; type: number }> {
  const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  for (let at = 0; at < bytes.length;) {
    const end = at + 3 + bytes.readUInt16LE(at + 1);
    yield { name: bytes.subarray(at + 3, end), type: bytes[at] ?? 0 };
    at = end;
  }
}
