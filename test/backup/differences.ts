import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { connect } from '../../entry/guest.js';
import type { Folder } from '../../lab/daemon/daemon.js';
import { address, checkpoint, heap, startDaemon } from './bank.js';

const ROW_BYTES = 100_000;

/**
 * Measures what checkpoints of a root take on the disk: the first one, and all later ones together, before
 * each of which something was written. All lie beside the root and share none of its files.
 */
export async function measureDifferences(
  folder: Folder,
  sizes: { steadyBytes: number; changedBytes: number; checkpoints: number },
  onCheckpoint?: (number: number, usedBytes: number) => void,
): Promise<{ firstBytes: number; laterBytes: number }> {
  const { steadyBytes, changedBytes, checkpoints } = sizes;
  await using daemon = await startDaemon(folder);
  await using connector = await connect(address(folder));
  const table = await connector.tables.create(heap);
  let id = 0;
  const write = async (bytes: number) => {
    for (let left = bytes; left > 0; left -= ROW_BYTES) {
      await table.writeRow({ id: id++, bytes: randomBytes(Math.min(left, ROW_BYTES)) });
    }
  };
  await write(steadyBytes);
  mkdirSync(folder.file('backup'));
  let firstBytes = 0;
  for (let number = 0; number < checkpoints; number++) {
    if (number > 0) await write(changedBytes);
    await checkpoint(daemon, folder.file(`backup/${number}`), { copy: true });
    const bytes = usedBytes(folder.file('backup'));
    onCheckpoint?.(number, bytes);
    if (number === 0) firstBytes = bytes;
  }
  return { firstBytes, laterBytes: usedBytes(folder.file('backup')) - firstBytes };
}

/** What a folder takes on its disk; a file with several names counts once. */
function usedBytes(folder: string): number {
  const blocks = new Map<number, number>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const stat = statSync(`${entry.parentPath}/${entry.name}`);
    blocks.set(stat.ino, stat.blocks);
  }
  return [...blocks.values()].reduce((sum, count) => sum + count * 512, 0);
}
