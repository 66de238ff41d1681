import { VamosError } from '../../../src/protocol/errors.js';
import { FILES_MAX_PATH_BYTES, FILES_MAX_RANGES } from '../../../src/protocol/generated/limits.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { NativeStat } from './binding.js';
import { failed } from './failures.js';

const { SyncKind, Stat } = vamos.files;

export function bad(what: string): VamosError {
  return new VamosError('BAD_REQUEST', `files: ${what}`);
}

/** Decodes a message from a guest's bytes. */
export function decode<Message>(type: { decode(body: Uint8Array): Message }, body: Uint8Array): Message {
  try {
    return type.decode(body);
  } catch (cause) {
    throw new VamosError('BAD_REQUEST', 'files: the body does not decode', { cause });
  }
}

export function checkPath(path: Uint8Array): Uint8Array {
  if (path.length > FILES_MAX_PATH_BYTES) throw failed('ENAMETOOLONG');
  if (path.includes(0)) throw bad('a zero byte in a path');
  return path;
}

/** Checks the ranges, and returns the sum of their lengths. */
export function checkRanges(offsets: number[], lengths: number[]): number {
  if (lengths.length > FILES_MAX_RANGES)
    throw bad(`${lengths.length} ranges: the limit is ${FILES_MAX_RANGES}`);
  if (offsets.length !== 0 && offsets.length !== lengths.length) {
    throw bad(`${offsets.length} offsets for ${lengths.length} lengths`);
  }
  const wrong = offsets.find((offset) => !Number.isSafeInteger(offset));
  if (wrong !== undefined) throw bad(`a file offset of ${wrong}`);
  return lengths.reduce((sum, length) => sum + length, 0);
}

export function checkSyncKind(kind: vamos.files.SyncKind): void {
  if (SyncKind[kind] === undefined) throw bad(`a sync of kind ${String(kind)}`);
}

export function encodeStat(fields: NativeStat): Uint8Array {
  const [
    device = 0,
    inode = 0,
    mode = 0,
    links = 0,
    user = 0,
    group = 0,
    specialDevice = 0,
    sizeBytes = 0,
    blockBytes = 0,
    blocks = 0,
  ] = fields;
  return Stat.encode({
    device,
    inode,
    mode,
    links,
    user,
    group,
    specialDevice,
    sizeBytes,
    blockBytes,
    blocks,
    seconds: Array.from(fields.subarray(10, 14)),
    nanoseconds: Array.from(fields.subarray(14, 18)),
  }).finish();
}
