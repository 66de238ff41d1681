import { createReadStream, createWriteStream } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { VamosError } from '../../src/protocol/errors.js';
import type { Copier } from './copier.js';
import { decodePath, partPath, type FileEntry } from './manifest.js';
import { Tree } from './native_files.js';

/** Copies a file of a checkpoint, or gives it one more name, and compares it with its checksum. */
export async function takeContent(
  checkpoint: Tree,
  entry: FileEntry,
  target: Buffer,
  mode: number,
  copier: Copier,
  isLinked: boolean,
): Promise<void> {
  if (entry.parts) {
    await joinParts(checkpoint, entry, target, mode, copier);
    return;
  }
  await checkpoint.use(decodePath(entry.path), async (file, facts) => {
    const content =
      isLinked && (await copier.link(file, facts.bytes, target))
        ? await copier.checksum(file)
        : await copier.copy(file, undefined, target, mode);
    checkContent(checkpoint, entry, entry.path, content);
  });
}

/** Reads a file of a checkpoint, and compares it with its checksum. @throws VamosError CORRUPTION */
export async function checkEntry(checkpoint: Tree, entry: FileEntry, copier: Copier): Promise<void> {
  for (const { path, ...expected } of partsOf(entry)) {
    await checkpoint.use(decodePath(path), async (file) => {
      const content = await copier.checksum(file);
      copier.countRead(content.bytes);
      checkContent(checkpoint, expected, path, content);
    });
  }
}

/** Returns the files in which an entry's content lies, in order. */
export function partsOf(entry: FileEntry): { path: string; bytes: number; crc32c: string }[] {
  return entry.parts
    ? entry.parts.map((part, number) => ({ path: partPath(entry.path, number), ...part }))
    : [entry];
}

async function joinParts(
  checkpoint: Tree,
  entry: FileEntry,
  target: Buffer,
  mode: number,
  copier: Copier,
): Promise<void> {
  for (const [number, { path }] of partsOf(entry).entries()) {
    copier.check();
    await pipeline(
      createReadStream(`${checkpoint.folder}/${path}`),
      createWriteStream(target, { flags: number === 0 ? 'wx' : 'a' }),
    );
  }
  await chmod(target, mode);
  copier.countCopied(entry.bytes);
  const folder = new Tree('/');
  await folder.use(target.subarray(1), async (file) => {
    checkContent(checkpoint, entry, entry.path, await copier.checksum(file));
  });
}

function checkContent(
  checkpoint: Tree,
  expected: { bytes: number; crc32c: string },
  path: string,
  content: { bytes: number; crc32c: string },
): void {
  if (content.bytes === expected.bytes && content.crc32c === expected.crc32c) return;
  throw new VamosError(
    'CORRUPTION',
    `${checkpoint.folder}/${path} is not what the checkpoint says: it is damaged; use another checkpoint`,
  );
}
