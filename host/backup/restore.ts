import {
  chmod,
  lchown,
  lstat,
  mkdir,
  readdir,
  realpath,
  rm,
  rmdir,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { VamosError } from '../../src/protocol/errors.js';
import { syncFolder } from './checkpoint.js';
import { takeContent } from './content.js';
import { Copier, type Progress } from './copier.js';
import { decodePath, readManifest, RESTORE_MARK, type Manifest } from './manifest.js';
import { nativeFiles, storageError, Tree } from './native_files.js';

export interface RestoreOptions {
  /** The folder of the checkpoint. */
  from: string;
  /** The root to make: it must not exist, or be an empty folder. */
  root: string;
  /** The owner of the root, if this process may set it. Default: the owner of the checkpoint's root. */
  owner?: { uid: number; gid: number };
  /** Shares table files with the checkpoint where that is possible, instead of copying them. */
  link?: boolean;
  /** Called with the folder of the store when all is there, before the root counts as whole. */
  settle?: (tables: string) => Promise<void>;
  signal: AbortSignal;
  onProgress?(progress: Progress): void;
}

export interface RestoreSummary {
  root: string;
  guest: string;
  /** The moment that its tables are of. */
  madeAt: string;
  files: number;
  bytes: number;
  linked: { files: number; bytes: number };
}

/** Names that don't count as content: mkfs makes them in the root of a file system. */
const NO_CONTENT = new Set(['lost+found']);

/**
 * Makes a root from a checkpoint, and compares each file with its checksum on the way. A root that is not
 * whole is never served.
 * @throws VamosError BAD_REQUEST: the root is there already; CORRUPTION: the checkpoint is damaged;
 * DISK_FULL, STORAGE_FAILED
 */
export async function restoreCheckpoint(options: RestoreOptions): Promise<RestoreSummary> {
  const { from, root, settle } = options;
  const manifest = await readManifest(from);
  const wasThere = await claimRoot(from, root);
  try {
    const mark = path.join(root, RESTORE_MARK);
    await writeFile(mark, `of ${from}\n`, { flag: 'wx' });
    await syncFolder(root);
    const copier = await copyEntries(options, manifest);
    await settle?.(path.join(root, 'tables'));
    await setOwner(root, options.owner ?? manifest.owner);
    await nativeFiles().syncFileSystem(Buffer.from(root));
    await unlink(mark);
    await syncFolder(root);
    if (!wasThere) await syncFolder(path.dirname(root));
    const files = manifest.entries.filter((entry) => entry.kind === 'file');
    return {
      root,
      guest: manifest.guest,
      madeAt: manifest.madeAt,
      files: files.length,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      linked: copier.linked,
    };
  } catch (error) {
    await removeContent(root, wasThere);
    throw storageError(error, root);
  }
}

/**
 * Makes the root's folder.
 * @returns whether the folder was there, empty
 */
async function claimRoot(from: string, root: string): Promise<boolean> {
  const parent = await realpath(path.dirname(root)).catch(() => {
    throw new VamosError('BAD_REQUEST', `${path.dirname(root)}: no such folder; make it first`);
  });
  const source = await realpath(from);
  if (`${path.join(parent, path.basename(root))}/`.startsWith(`${source}/`)) {
    throw new VamosError('BAD_REQUEST', `${root}: a root lies outside of the checkpoint that it is made of`);
  }
  try {
    await mkdir(root, { mode: 0o700 });
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw storageError(error, root);
  }
  const names = await readdir(root).catch((error: unknown) => {
    throw storageError(error, root);
  });
  if (names.every((name) => NO_CONTENT.has(name))) return true;
  throw new VamosError(
    'BAD_REQUEST',
    names.includes(RESTORE_MARK)
      ? `${root}: a restore into it did not come to its end; remove the folder and restore again`
      : `${root} is there already, and not empty: a root is restored into a new folder only; move the old one away or name another`,
  );
}

async function copyEntries(options: RestoreOptions, manifest: Manifest): Promise<Copier> {
  const { from, root, link: isLinked, signal } = options;
  const tree = new Tree(from);
  let bytesDone = 0;
  const bytesTotal = manifest.entries.reduce(
    (sum, entry) => sum + (entry.kind === 'file' ? entry.bytes : 0),
    0,
  );
  const copier = new Copier(signal, (bytes) => {
    options.onProgress?.({ phase: 'restore', bytesDone: (bytesDone += bytes), bytesTotal });
  });
  const targetOf = (name: string) => Buffer.concat([Buffer.from(`${root}/`), decodePath(name)]);
  for (const entry of manifest.entries) {
    if (entry.kind === 'directory') await mkdir(targetOf(entry.path), { mode: 0o700, recursive: true });
  }
  await copier.each(manifest.entries, async (entry) => {
    if (entry.kind === 'link') await symlink(decodePath(entry.target), targetOf(entry.path));
    if (entry.kind !== 'file') return;
    const isShared = isLinked === true && entry.path.endsWith('.sst');
    await takeContent(tree, entry, targetOf(entry.path), entry.mode, copier, isShared);
  });
  // Modes of directories come last, since a directory may be read-only.
  for (const entry of manifest.entries.toReversed()) {
    if (entry.kind === 'directory') await chmod(targetOf(entry.path), entry.mode);
  }
  return copier;
}

/** Gives the root to a user, where this process may, but not the files that it shares with the checkpoint. */
async function setOwner(root: string, owner: { uid: number; gid: number }): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const pending = [Buffer.from(root)];
  for (let name = pending.pop(); name; name = pending.pop()) {
    const facts = await lstat(name);
    if (facts.isFile() && facts.nlink > 1) continue;
    await lchown(name, owner.uid, owner.gid);
    if (!facts.isDirectory()) continue;
    const within = Buffer.concat([name, Buffer.from('/')]);
    for (const child of await readdir(name, { encoding: 'buffer' })) {
      pending.push(Buffer.concat([within, child]));
    }
  }
}

/** Removes what a restore made, after a failure. The mark goes last. */
async function removeContent(root: string, wasThere: boolean): Promise<void> {
  for (const name of ['files', 'tables', RESTORE_MARK]) {
    await rm(path.join(root, name), { recursive: true, force: true }).catch(() => undefined);
  }
  if (!wasThere) await rmdir(root).catch(() => undefined);
}
