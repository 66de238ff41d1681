import os from 'node:os';
import util from 'node:util';
import { VamosError } from '../../../src/protocol/errors.js';

const NUMBERS: Readonly<Record<string, number>> = os.constants.errno;
const NAMES = new Map(Object.entries(NUMBERS).map(([name, number]) => [number, name]));

/** Returns FILE_FAILED with this errno name. */
export function failed(name: string): VamosError {
  const text = util.getSystemErrorMap().get(-(NUMBERS[name] ?? 0))?.[1];
  const message = text === undefined ? name : `${name}: ${text}`;
  return new VamosError('FILE_FAILED', message, { detail: Buffer.from(name) });
}

/** Returns what a native call threw in the form that goes to the guest. */
export function toFailure(error: unknown): VamosError {
  const errno = error instanceof Error ? (error as NodeJS.ErrnoException).errno : undefined;
  if (error instanceof VamosError || errno === undefined) return VamosError.from(error);
  return failed(util.getSystemErrorMap().get(-errno)?.[0] ?? NAMES.get(errno) ?? `E${errno}`);
}
