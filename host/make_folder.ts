import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';

/**
 * Makes a folder, and those above it that are missing, none of which a power loss takes away again: each has its name synced in
 * the folder above. What is stored in it later is durable only then.
 * @returns whether it was not there
 * @throws what node:fs does
 */
export function makeFolder(folder: string, mode = 0o777): boolean {
  const first = mkdirSync(folder, { recursive: true, mode });
  if (first === undefined) return false;
  const highest = path.dirname(first);
  for (let above = path.dirname(path.resolve(folder)); ; above = path.dirname(above)) {
    const descriptor = openSync(above, 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    if (above === highest || above === path.dirname(above)) return true;
  }
}
