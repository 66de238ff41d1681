import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The folder for images and payloads: VAMOS_CACHE, else the user's cache folder. */
export function cacheDirectory(): string {
  const { VAMOS_CACHE, XDG_CACHE_HOME } = process.env;
  return path.resolve(VAMOS_CACHE ?? path.join(XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'vamos'));
}

/**
 * Returns the cached folder of these contents, which `build` makes where it is missing. `build` fills a
 * folder of its own that gets its name only when all is there, so an entry is whole or absent; of several
 * processes one builds and the others wait.
 * @param kind entries of one kind make room for each other: only the `keep` entries used last stay
 * @param key a hash of all that decides the contents
 * @param options.rebuild builds although there is an entry, which is removed
 */
export async function cached(
  kind: string,
  key: string,
  options: { keep: number; rebuild?: boolean },
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const directory = cacheDirectory();
  await mkdir(directory, { recursive: true });
  const entry = path.join(directory, `${kind}-${key}`);
  if (!options.rebuild && (await touch(entry))) return entry;
  await using _lock = await lockFile(`${entry}.lock`);
  if (!options.rebuild && (await touch(entry))) return entry;
  const folder = await mkdtemp(path.join(directory, `building-${kind}-`));
  try {
    await build(folder);
    if (options.rebuild) await rm(entry, { recursive: true, force: true });
    await rename(folder, entry).catch(async (error: unknown) => {
      if (!(await touch(entry))) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await makeRoom(directory, kind, options.keep);
  return entry;
}

/** Marks an entry as used just now; false if there is none. */
async function touch(entry: string): Promise<boolean> {
  const now = new Date();
  return utimes(entry, now, now).then(
    () => true,
    () => false,
  );
}

async function makeRoom(directory: string, kind: string, keep: number): Promise<void> {
  const names = (await readdir(directory)).filter((name) => new RegExp(`^${kind}-[0-9a-f]+$`).test(name));
  const entries = await Promise.all(
    names.map(async (name) => {
      const entry = path.join(directory, name);
      return { entry, usedMs: (await stat(entry)).mtimeMs };
    }),
  );
  entries.sort((a, b) => b.usedMs - a.usedMs);
  // A running QEMU keeps its open files.
  for (const { entry } of entries.slice(keep)) await rm(entry, { recursive: true, force: true });
}

/** Waits until no living process holds the lock file, then holds it. */
async function lockFile(file: string): Promise<AsyncDisposable> {
  for (;;) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(file, 'utf8').catch(() => ''));
    const isNew = await stat(file).then(
      ({ mtimeMs }) => Date.now() - mtimeMs < 2000,
      () => true,
    );
    if (!isNew && !isAlive(holder)) await rm(file, { force: true });
    await sleep(200);
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Makes a key for `cached` from texts. */
export function hashTexts(...texts: string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${Buffer.byteLength(text)}:`).update(text);
  return hash.digest('hex').slice(0, 20);
}

export async function hashFile(file: string, hash: Hash = createHash('sha256')): Promise<string> {
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
