import { VamosError } from '../../../src/protocol/errors.js';
import { MODULES } from '../../../src/protocol/generated/methods.js';
import type { HostModule } from '../../../src/rpc/contract.js';
import { loadNative } from '../../../src/native.js';
import { startCounters } from '../counters.js';
import { makeFolder } from '../../make_folder.js';
import type { NativeFiles, NativeRoot } from './binding.js';
import { toFailure } from './failures.js';
import { FilesSession, type FilesRoot } from './session.js';

export interface FilesModuleOptions {
  /** The guest's directory, which is made if it does not exist. */
  root: string;
  /** The most open handles of one session; the next open fails with EMFILE. */
  maxHandles?: number;
}

/**
 * Opens the module `files` over one directory. A guest can name nothing outside of it; symbolic links that
 * the host's owner put there are followed as long as they stay beneath.
 * @throws VamosError FILE_FAILED: the directory does not open (detail: the errno name), or the kernel is
 * older than Linux 5.6 (ENOSYS)
 */
// eslint-disable-next-line @typescript-eslint/require-await -- a failure rejects
export async function openFilesModule(options: FilesModuleOptions): Promise<HostModule> {
  try {
    makeFolder(options.root);
  } catch (cause) {
    throw cannotOpen(options.root, cause);
  }
  const native = loadNative('vamos_store') as NativeFiles;
  const counters = startCounters('files');
  const shared: FilesRoot = {
    native,
    root: openRoot(native, options.root),
    maxHandles: options.maxHandles ?? 1024,
    counters,
  };
  return {
    ...MODULES.files,
    openSession: () => new FilesSession(shared),
    statistics: () => ({ ...counters }),
    // Sessions have closed their handles. What a guest did not sync is not synced for it.
    close: () => Promise.resolve(),
  };
}

function openRoot(native: NativeFiles, path: string): NativeRoot {
  try {
    return native.openRoot(path);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

function cannotOpen(path: string, cause: unknown): VamosError {
  const errno = Math.abs((cause as NodeJS.ErrnoException).errno ?? 0);
  const failure = toFailure(Object.assign(new Error(), { errno }));
  const name = Buffer.from(failure.detail).toString();
  const hint =
    name === 'ENOSYS' ? 'this kernel has no openat2: Linux 5.6 or newer is needed' : failure.message;
  return new VamosError('FILE_FAILED', `root ${path}: ${hint}`, { detail: failure.detail, cause });
}
