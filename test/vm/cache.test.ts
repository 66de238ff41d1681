import { access, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cached } from '../../host/vm/cache.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-test-cache-'));
  vi.stubEnv('VAMOS_CACHE', folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const fill = (text: string) => (target: string) => writeFile(path.join(target, 'file'), text);
const read = (entry: string) => readFile(path.join(entry, 'file'), 'utf8');

test('contents are built once, also for callers at the same time', async () => {
  let builds = 0;
  const build = async (target: string) => {
    builds++;
    await sleep(50);
    await fill('contents')(target);
  };
  const entries = await Promise.all([1, 2, 3].map(() => cached('thing', 'ab', { keep: 2 }, build)));
  expect(new Set(entries).size).toBe(1);
  expect(await read(entries[0] as string)).toBe('contents');
  expect(builds).toBe(1);
});

test('a build that fails leaves nothing, and the next one may succeed', async () => {
  const failing = cached('thing', 'ab', { keep: 2 }, async (target) => {
    await fill('half')(target);
    throw new Error('no space');
  });
  await expect(failing).rejects.toThrow('no space');
  expect(await readdir(folder)).toEqual([]);
  expect(await read(await cached('thing', 'ab', { keep: 2 }, fill('whole')))).toBe('whole');
});

test('a lock that a dead process left behind holds nobody up', async () => {
  const lock = path.join(folder, 'thing-ab.lock');
  await writeFile(lock, '2147483646');
  await utimes(lock, 0, 0);
  expect(await read(await cached('thing', 'ab', { keep: 2 }, fill('contents')))).toBe('contents');
});

test('entries used least recently make room, each kind for itself', async () => {
  const other = await cached('other', 'ab', { keep: 1 }, fill('other'));
  for (const key of ['a1', 'a2']) {
    await cached('thing', key, { keep: 2 }, fill(key));
    await sleep(20);
  }
  await cached('thing', 'a1', { keep: 2 }, fill('not built again'));
  await sleep(20);
  await cached('thing', 'a3', { keep: 2 }, fill('a3'));
  expect((await readdir(folder)).sort()).toEqual(['other-ab', 'thing-a1', 'thing-a3']);
  expect(await read(path.join(folder, 'thing-a1'))).toBe('a1');
  await access(other);
});

test('a rebuild replaces what is there', async () => {
  await cached('thing', 'ab', { keep: 2 }, fill('old'));
  const entry = await cached('thing', 'ab', { keep: 2, rebuild: true }, fill('new'));
  expect(await read(entry)).toBe('new');
});
