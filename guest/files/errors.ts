import os from 'node:os';
import util from 'node:util';
import { VamosError } from '../../src/protocol/errors.js';

const NUMBERS: Readonly<Record<string, number>> = os.constants.errno;

/** Texts for codes that mean something else, or something more, beneath a root. */
const TEXTS: Readonly<Record<string, string>> = {
  EXDEV: 'the path leads out of the root, or to another file system',
  ENXIO: 'neither a regular file nor a directory',
};

/** What was tried on which path, as Node's errors say it. */
export interface Attempt {
  syscall: string;
  path?: string;
  dest?: string;
}

/**
 * A system call on the host failed: `code`, `errno`, `syscall`, `path`, `dest` and message as errors of node:fs have
 * them. `cause` is the VamosError that came over the channel, if any. A path that leads out of the root is EXDEV; what
 * is neither a regular file nor a directory does not open: ENXIO.
 */
export class FilesError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;
  readonly dest?: string;

  constructor(code: string, attempt: Attempt, cause?: VamosError) {
    const errno = -(NUMBERS[code] ?? 0);
    const text = TEXTS[code] ?? util.getSystemErrorMap().get(errno)?.[1] ?? 'the host says no more';
    const path = attempt.path === undefined ? '' : ` '${attempt.path}'`;
    const dest = attempt.dest === undefined ? '' : ` -> '${attempt.dest}'`;
    super(`${code}: ${text}, ${attempt.syscall}${path}${dest}`, cause && { cause });
    this.code = code;
    this.errno = errno;
    this.syscall = attempt.syscall;
    if (attempt.path !== undefined) this.path = attempt.path;
    if (attempt.dest !== undefined) this.dest = attempt.dest;
  }
}

/**
 * Returns a failed call's error for its caller: a FilesError where a system call failed, else the VamosError.
 */
export function toFilesError(error: unknown, attempt: Attempt): Error {
  const failure = VamosError.from(error);
  if (failure.code === 'FILE_FAILED') {
    return new FilesError(Buffer.from(failure.detail).toString(), attempt, failure);
  }
  if (failure.code === 'FILE_HANDLE_MISSING') {
    // Our handle numbers are not used twice, so this one belonged to a session that is over.
    return new VamosError('SESSION_LOST', 'the file was opened in a session that is over', {
      cause: failure,
    });
  }
  return failure;
}

/** Makes the error for an argument that Node refuses too, before the host is asked. */
export function invalidArgument(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

export function outOfRange(name: string, value: unknown): RangeError {
  const message = `The value of "${name}" is out of range. Received ${String(value)}`;
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' });
}
