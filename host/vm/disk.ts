import { readdir, rm, truncate, writeFile, lstat } from 'node:fs/promises';
import path from 'node:path';
import { runTool } from './tools.js';

const MIB = 1 << 20;

/**
 * Makes a file with an ext4 file system, without mounting anything.
 * @param options.from folder whose contents it starts with
 * @param options.sizeMiB default: what the contents take and a little more
 * @param options.journal false for disks that are only read
 */
export async function makeDisk(
  file: string,
  options: { from?: string; sizeMiB?: number; journal: boolean; signal?: AbortSignal },
): Promise<void> {
  const sizeMiB = options.sizeMiB ?? Math.ceil((await folderBytes(options.from as string)) / MIB) + 16;
  await rm(file, { force: true });
  await writeFile(file, '');
  await truncate(file, sizeMiB * MIB);
  const mke2fs = [
    'mke2fs',
    ...['-q', '-F', '-t', 'ext4', '-m', '0', '-b', '4096'],
    // Tables that are written now need not be written later, in the background of a measurement.
    ...['-E', 'lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0'],
    ...(options.journal ? [] : ['-O', '^has_journal']),
    ...(options.from === undefined ? [] : ['-d', options.from]),
    file,
  ];
  // In a user namespace of its own an ordinary user's files belong to root, and so they do in the image.
  const isMapped = options.from !== undefined && process.getuid?.() !== 0;
  const [program, ...args] = isMapped ? ['unshare', '--map-root-user', ...mke2fs] : mke2fs;
  await runTool(program as string, args, options.signal ? { signal: options.signal } : {});
}

/** An upper bound of the room that a folder's contents take in ext4. */
async function folderBytes(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const { size } = await lstat(path.join(entry.parentPath, entry.name));
    // Each file takes whole blocks, an inode, and a share of the tables.
    total += Math.ceil(size / 4096) * 4096 * 1.03 + 1024;
  }
  return total;
}
