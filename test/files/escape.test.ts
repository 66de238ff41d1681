import { execFileSync } from 'node:child_process';
import * as node from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failure, MODES, Place } from './place.js';

const SECRET = 'secret outside of the root';

describe.each(MODES)('files, %s', (mode) => {
  let place: Place;
  beforeEach(async () => {
    place = await Place.make(mode);
    await node.mkdir(`${place.base}/outside`);
    await node.writeFile(`${place.base}/outside/file`, SECRET);
    await node.mkdir(place.on('dir'));
    await node.writeFile(place.on('inside'), 'inside');
    await node.symlink('../outside', place.on('up'));
    await node.symlink('../outside/file', place.on('upfile'));
    await node.symlink('../outside/new', place.on('upnew'));
    await node.symlink(`${place.base}/outside`, place.on('absolute'));
    await node.symlink('/proc/self/root', place.on('magic'));
    await node.symlink('../../outside', place.on('dir/up'));
  });
  afterEach(async () => {
    expect(await node.readdir(`${place.base}/outside`)).toEqual(['file']);
    expect(await node.readFile(`${place.base}/outside/file`, 'utf8')).toBe(SECRET);
    await place[Symbol.asyncDispose]();
  });

  it.each([
    '../outside/file',
    'dir/../../outside/file',
    'up/file',
    'upfile',
    'absolute/file',
    'dir/up/file',
    'magic/etc/passwd',
    '/etc/passwd',
    '//etc/passwd',
  ])('refuse whatever would use %s outside of the root', async (path) => {
    const { files } = place;
    const calls = [
      () => files.readFile(path),
      () => files.writeFile(path, 'changed'),
      () => files.appendFile(path, 'changed'),
      () => files.open(path, 'r+'),
      () => files.open(path, 'wx'),
      () => files.truncate(path),
      () => files.stat(path),
      () => files.access(path),
      () => files.readdir(path),
      () => files.mkdir(`${path}/x`, { recursive: true }),
    ];
    // The link itself lies inside: it may be looked at, renamed and removed.
    if (path !== 'upfile') {
      calls.push(
        () => files.lstat(path),
        () => files.unlink(path),
        () => files.rmdir(path),
        () => files.rm(path, { recursive: true }),
        () => files.rename(path, 'stolen'),
        () => files.rename('inside', path),
        () => files.mkdir(path),
      );
    }
    for (const call of calls) {
      const error = await failure(call());
      expect([call.toString(), error.code]).toEqual([
        call.toString(),
        path === 'upfile' && error.code === 'EEXIST' ? 'EEXIST' : 'EXDEV',
      ]);
    }
  });

  it('make no file through a link that leads to nothing outside', async () => {
    expect((await failure(place.files.writeFile('upnew', 'x'))).code).toBe('EXDEV');
    expect((await failure(place.files.writeFile('upnew', 'x', { flag: 'wx' }))).code).toBe('EEXIST');
  });

  it('treat a link as itself where names are changed', async () => {
    await place.files.rename('up', 'moved');
    expect((await place.files.lstat('moved')).isSymbolicLink()).toBe(true);
    await place.files.unlink('moved');
    await place.files.rm('absolute', { recursive: true });
    expect((await node.readdir(place.root)).sort()).toEqual(['dir', 'inside', 'magic', 'upfile', 'upnew']);
  });

  it('open neither FIFOs nor devices, and are not held up by them', async () => {
    execFileSync('mkfifo', [place.on('fifo')]);
    for (const flags of ['r', 'r+', 'a'])
      expect((await failure(place.files.open('fifo', flags))).code).toBe('ENXIO');
    expect((await place.files.stat('fifo')).isFIFO()).toBe(true);
    try {
      execFileSync('mknod', [place.on('zero'), 'c', '1', '5'], { stdio: 'ignore' });
    } catch {
      return; // this is not allowed here
    }
    for (const flags of ['r', 'r+', 'a'])
      expect((await failure(place.files.open('zero', flags))).code).toBe('ENXIO');
  });

  it('show nothing of outside while a directory is swapped for a link to there', async () => {
    await node.mkdir(place.on('real'));
    await node.writeFile(place.on('real/file'), 'inside');
    await node.symlink('../outside', place.on('evil'));
    let isOver = false;
    const swapping = (async () => {
      while (!isOver) {
        for (const [from, to] of [
          ['real', 'kept'],
          ['evil', 'real'],
          ['real', 'evil'],
          ['kept', 'real'],
        ] as const) {
          await node.rename(place.on(from), place.on(to));
        }
      }
    })();
    const seen = new Set<string>();
    const isComplete = (): boolean => seen.has('inside') && seen.has('EXDEV');
    const end = performance.now() + 60_000;
    for (let round = 0; round < 200 || (!isComplete() && performance.now() < end); round++) {
      const tries = await Promise.allSettled([
        place.files.readFile('real/file', 'utf8'),
        place.files.readFile('real/../real/file', 'utf8'),
        place.files.writeFile('real/written', 'x'),
        place.files.unlink('real/written'),
        place.files.mkdir('real/made').then(() => 'made'),
        place.files.rmdir('real/made'),
      ]);
      for (const result of tries) {
        seen.add(
          result.status === 'fulfilled'
            ? (result.value ?? 'done')
            : (result.reason as NodeJS.ErrnoException).code!,
        );
      }
    }
    isOver = true;
    await swapping;
    expect(seen).toContain('inside');
    expect(seen).toContain('EXDEV');
    expect(seen).not.toContain(SECRET);
  });
});
