import { constants } from 'node:fs';
import { vamos } from '../../src/protocol/generated/messages.js';
import { invalidArgument, outOfRange } from './errors.js';

const { OpenFlag } = vamos.files;

/** A path relative to the guest's root on the host; bytes where a name is not UTF-8. */
export type FilePath = string | Uint8Array;
/** Node's flags ('r', 'w+', 'ax', ...) or the O_ constants of node:fs. */
export type OpenFlags = string | number;

const NAMED_FLAGS: Readonly<Record<string, number>> = {
  r: constants.O_RDONLY,
  rs: constants.O_RDONLY | constants.O_SYNC,
  'r+': constants.O_RDWR,
  'rs+': constants.O_RDWR | constants.O_SYNC,
  w: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
  wx: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_EXCL,
  'w+': constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  'wx+': constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_EXCL,
  a: constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
  ax: constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_EXCL,
  as: constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_SYNC,
  'a+': constants.O_RDWR | constants.O_CREAT | constants.O_APPEND,
  'ax+': constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_EXCL,
  'as+': constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_SYNC,
};

// O_SYNC comes before O_DSYNC, whose bit it includes.
const FLAG_BITS: readonly (readonly [number, number])[] = [
  [constants.O_APPEND, OpenFlag.APPEND],
  [constants.O_CREAT, OpenFlag.CREATE],
  [constants.O_EXCL, OpenFlag.EXCLUSIVE],
  [constants.O_TRUNC, OpenFlag.CUT],
  [constants.O_DIRECTORY, OpenFlag.DIRECTORY],
  [constants.O_NOFOLLOW, OpenFlag.NO_FOLLOW],
  [constants.O_SYNC, OpenFlag.SYNC_ALL],
  [constants.O_DSYNC, OpenFlag.SYNC_DATA],
];
/** Flags that have no effect on regular files, or always hold. */
const IGNORED_FLAGS = constants.O_NONBLOCK | constants.O_NOCTTY;
const ACCESS_MODES = [OpenFlag.FOR_READ, OpenFlag.FOR_WRITE, OpenFlag.FOR_READ | OpenFlag.FOR_WRITE];

/**
 * Returns the protocol's flags.
 * @throws TypeError ERR_INVALID_ARG_VALUE: unknown flags, or flags that make no sense beneath a root
 * (O_TMPFILE, O_DIRECT)
 */
export function toOpenFlags(flags: OpenFlags): number {
  const system = typeof flags === 'number' ? flags : NAMED_FLAGS[flags];
  if (system === undefined) throw invalidArgument(`The argument 'flags' is invalid. Received '${flags}'`);
  let bits: number = ACCESS_MODES[system & 3] ?? 0;
  let left = system & ~3 & ~IGNORED_FLAGS;
  for (const [one, bit] of FLAG_BITS) {
    if ((left & one) !== one) continue;
    bits |= bit;
    left &= ~one;
  }
  if (bits === 0 || left !== 0) throw invalidArgument(`The argument 'flags' is invalid. Received ${system}`);
  return bits;
}

/** Returns permission bits, from a number or octal text. */
export function toMode(mode: number | string): number {
  const value = typeof mode === 'number' ? mode : /^[0-7]+$/.test(mode) ? parseInt(mode, 8) : NaN;
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw invalidArgument(`The argument 'mode' must be a 32-bit unsigned integer or an octal string.`);
  }
  return value;
}

export function toPathBytes(path: FilePath): Uint8Array {
  if (typeof path !== 'string' && !(path instanceof Uint8Array)) {
    throw Object.assign(
      new TypeError('The "path" argument must be of type string or an instance of Buffer.'),
      {
        code: 'ERR_INVALID_ARG_TYPE',
      },
    );
  }
  const bytes = typeof path === 'string' ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw invalidArgument(`The argument 'path' must be without null bytes.`);
  return bytes;
}

export function toPathText(path: FilePath): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString();
}

export function checkCount(name: string, value: number, most = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < 0 || value > most) throw outOfRange(name, value);
  return value;
}

/** Returns a position; null (which Node also writes as -1) is the file's own position. */
export function toPosition(position: number | bigint | null | undefined): number | null {
  if (position === null || position === undefined || Number(position) === -1) return null;
  return checkCount('position', Number(position));
}

export function toBytes(data: string | ArrayBufferView, encoding: BufferEncoding = 'utf8'): Uint8Array {
  return typeof data === 'string'
    ? Buffer.from(data, encoding)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
