import { constants } from 'node:fs';
import * as node from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VamosError } from '../../src/protocol/errors.js';
import { failure, MODES, Place } from './place.js';

const MIB = 1024 * 1024;

function patterned(bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) data.writeUInt32LE((at * 2654435761) >>> 0, at);
  return data;
}

describe.each(MODES)('files, %s', (mode) => {
  let place: Place;
  beforeEach(async () => {
    place = await Place.make(mode);
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('writes and reads whole files of every size around a piece', async () => {
    const { files } = place;
    for (const bytes of [0, 1, 5000, MIB - 1, MIB, MIB + 1, 5 * MIB + 7]) {
      const data = patterned(bytes);
      await files.writeFile('file', data);
      expect((await node.readFile(place.on('file'))).equals(data)).toBe(true);
      expect((await files.readFile('file')).equals(data)).toBe(true);
    }
  });

  it('takes strings, encodings, iterables and async iterables to write', async () => {
    const { files } = place;
    await files.writeFile('text', 'grün');
    await files.appendFile('text', '6869', 'hex');
    await files.appendFile('text', ['-', Buffer.from('a'), new Uint16Array([0x6262])]);
    await files.appendFile(
      'text',
      (async function* () {
        for (let part = 0; part < 3; part++) yield await Promise.resolve(`${part}`);
      })(),
    );
    expect(await files.readFile('text', 'utf8')).toBe('grünhi-abb012');
    expect(await files.readFile('text', { encoding: 'base64' })).toBe(
      Buffer.from('grünhi-abb012').toString('base64'),
    );
  });

  it('reads and writes at positions and at its own position', async () => {
    await using handle = await place.files.open('file', 'w+');
    expect((await handle.write('hello world')).bytesWritten).toBe(11);
    expect((await handle.write(Buffer.from('xxWORLDxx'), 2, 5, 6)).bytesWritten).toBe(5);
    const buffer = Buffer.alloc(20, '.');
    expect(await handle.read(buffer, 3, 5, 6)).toEqual({ bytesRead: 5, buffer });
    expect(buffer.toString()).toBe('...WORLD............');
    expect((await handle.read(buffer)).bytesRead).toBe(0);
    await handle.write('!');
    expect((await handle.read(buffer, { position: 0 })).bytesRead).toBe(12);
    expect(buffer.toString()).toBe('hello WORLD!........');
  });

  it('reads into a buffer of its own, or one among the options, and line by line', async () => {
    await place.files.writeFile('lines', 'one\ntwo\r\nthree');
    const handle = await place.files.open('lines');
    const own = await handle.read();
    expect(own.buffer.toString('utf8', 0, own.bytesRead)).toBe('one\ntwo\r\nthree');
    const given = await handle.read({ buffer: Buffer.alloc(8), offset: 1, length: 3, position: 4 });
    expect(given.bytesRead).toBe(3);
    expect(given.buffer.toString('utf8', 1, 4)).toBe('two');
    const lines: string[] = [];
    for await (const line of handle.readLines({ start: 0 })) lines.push(line);
    expect(lines).toEqual(['one', 'two', 'three']);
    expect((await failure(handle.stat())).code).toBe('EBADF');
  });

  it('reads what was asked for in one turn in the order of the calls', async () => {
    await place.files.writeFile('file', 'abcdef');
    await using handle = await place.files.open('file');
    const reads = [0, 1, 2].map(() => handle.read(Buffer.alloc(2)));
    expect((await Promise.all(reads)).map((read) => read.buffer.toString())).toEqual(['ab', 'cd', 'ef']);
  });

  it('reads and writes many buffers and many ranges, larger than one request too', async () => {
    await using handle = await place.files.open('file', 'w+');
    const [one, two, three] = [patterned(100), patterned(3 * MIB), patterned(8)];
    expect((await handle.writev([one, two, three])).bytesWritten).toBe(3 * MIB + 108);
    const into = [Buffer.alloc(100), Buffer.alloc(0), Buffer.alloc(3 * MIB), Buffer.alloc(9)];
    expect((await handle.readv(into, 0)).bytesRead).toBe(3 * MIB + 108);
    expect(Buffer.concat(into).equals(Buffer.concat([one, two, three, Buffer.alloc(1)]))).toBe(true);

    const ranges = [
      { position: 3, data: Buffer.from('three') },
      { position: 5 * MIB, data: two },
      { position: 100, data: Buffer.alloc(0) },
      { position: 8, data: Buffer.from('eight') },
    ];
    await handle.writeRanges(ranges, { sync: 'data' });
    const asked = ranges.map(({ position, data }) => ({ position, length: data.length }));
    const read = await handle.readRanges([
      ...asked,
      { position: 8 * MIB - 2, length: 50 },
      { position: 3, length: 10 },
    ]);
    expect(read.slice(0, 4).map((data, index) => data.equals(ranges[index]!.data))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(read[4]).toEqual(two.subarray(-2));
    expect(read[5]!.toString()).toBe('threeeight');
  });

  it('appends wherever the position is', async () => {
    await place.files.writeFile('log', 'one\n');
    await using handle = await place.files.open('log', 'a+');
    await handle.write(Buffer.from('two\n'), 0, 4, 0);
    await handle.appendFile('three\n', { flush: true });
    expect(await node.readFile(place.on('log'), 'utf8')).toBe('one\ntwo\nthree\n');
  });

  it('streams a file in order and from a range', async () => {
    const data = patterned(7 * MIB + 3);
    await node.writeFile(place.on('file'), data);
    await using handle = await place.files.open('file');
    const windows: Uint8Array[] = [];
    for await (const window of handle.stream()) windows.push(window);
    expect(Buffer.concat(windows).equals(data)).toBe(true);
    expect(windows[0]!.length).toBeLessThan(windows[4]!.length);
    const part: Uint8Array[] = [];
    for await (const window of handle.stream({ start: 1000, end: 3 * MIB })) part.push(window);
    expect(Buffer.concat(part).equals(data.subarray(1000, 3 * MIB + 1))).toBe(true);
    for await (const window of handle.stream({ start: 0 })) {
      expect(window.length).toBeGreaterThan(0);
      break;
    }
    expect((await handle.stat()).size).toBe(data.length);
  });

  it('pipes a read stream into a write stream and closes both', async () => {
    const data = patterned(4 * MIB + 1);
    await node.writeFile(place.on('from'), data);
    const from = await place.files.open('from');
    const to = await place.files.open('to', 'w');
    await pipeline(from.createReadStream(), to.createWriteStream({ flush: true }));
    expect((await node.readFile(place.on('to'))).equals(data)).toBe(true);
    expect((await failure(from.stat())).code).toBe('EBADF');
    expect((await failure(to.stat())).code).toBe('EBADF');
  });

  it('lists directories, small and large, with and without types', async () => {
    const { files } = place;
    await node.mkdir(place.on('dir/sub'), { recursive: true });
    await node.writeFile(place.on('dir/ä'), '');
    await node.symlink('ä', place.on('dir/link'));
    expect(await files.readdir('dir')).toEqual(await node.readdir(place.on('dir')));
    const entries = await files.readdir('dir', { withFileTypes: true });
    expect(
      entries.map((entry) => [entry.name, entry.isDirectory(), entry.isFile(), entry.isSymbolicLink()]),
    ).toEqual([
      ['link', false, false, true],
      ['sub', true, false, false],
      ['ä', false, true, false],
    ]);
    expect(await files.readdir('dir/sub')).toEqual([]);
    const names = Array.from({ length: 300 }, (_, index) => `${index}-${'n'.repeat(200)}`);
    await Promise.all(names.map((name) => node.writeFile(place.on('dir/sub', name), '')));
    expect(await files.readdir('dir/sub')).toEqual(names.sort());
  });

  it('tells the same of a file as Node does', async () => {
    const { files } = place;
    await files.writeFile('file', 'x'.repeat(5000), { mode: 0o640 });
    await node.symlink('file', place.on('link'));
    await node.utimes(place.on('file'), 1.5, -2.25);
    for (const [mine, theirs] of [
      [await files.stat('link'), await node.stat(place.on('link'))],
      [await files.lstat('link'), await node.lstat(place.on('link'))],
      [await files.stat('.'), await node.stat(place.on('.'))],
    ] as const) {
      for (const field of [
        'dev',
        'ino',
        'mode',
        'nlink',
        'uid',
        'gid',
        'rdev',
        'size',
        'blksize',
        'blocks',
      ] as const) {
        expect([field, mine[field]]).toEqual([field, theirs[field]]);
      }
      for (const field of ['mtimeMs', 'ctimeMs', 'birthtimeMs'] as const) {
        expect(mine[field]).toBeCloseTo(theirs[field], 2);
      }
      expect(mine.isFile()).toBe(theirs.isFile());
      expect(mine.isSymbolicLink()).toBe(theirs.isSymbolicLink());
      expect(mine.mtime).toEqual(theirs.mtime);
    }
  });

  it('makes, renames and removes', async () => {
    const { files } = place;
    expect(await files.mkdir('a')).toBe(undefined);
    expect(await files.mkdir('a/b/c/d', { recursive: true, mode: '700' })).toBe('a/b');
    expect(await files.mkdir('a/b/c', { recursive: true })).toBe(undefined);
    expect((await node.stat(place.on('a/b/c'))).mode & 0o777).toBe(0o700);
    await files.writeFile('a/b/file', 'x');
    await files.rename('a/b/file', 'a/file');
    await files.truncate('a/file', 3);
    expect(await files.readFile('a/file', 'latin1')).toBe('x\0\0');
    await files.unlink('a/file');
    await files.rmdir('a/b/c/d');
    await files.rm('a', { recursive: true });
    await files.rm('a', { recursive: true, force: true });
    expect(await node.readdir(place.root)).toEqual([]);
  });

  it('removes a tree larger than one slice and leaves what links in it lead to', async () => {
    await node.mkdir(place.on('tree/deep/er'), { recursive: true });
    await Promise.all(
      Array.from({ length: 1200 }, (_, index) => node.writeFile(place.on('tree/deep/er', `${index}`), '')),
    );
    await node.writeFile(place.on('kept'), 'x');
    await node.symlink('../kept', place.on('tree/link'));
    await place.files.rm('tree', { recursive: true });
    expect(await node.readdir(place.root)).toEqual(['kept']);
  });

  it('syncs many files with one request', async () => {
    const handles = await Promise.all(['a', 'b', 'c'].map((name) => place.files.open(name, 'w')));
    expect(await place.frames(() => place.files.sync(handles, { dataOnly: true }))).toBe(1);
    await handles[1]!.close();
    expect((await failure(place.files.sync(handles))).code).toBe('EBADF');
    await place.files.close();
    expect((await failure(handles[0]!.sync())).code).toBe('EBADF');
  });

  it('takes one frame for a whole small read, a write of 1 MiB, and an append that is synced', async () => {
    const { files } = place;
    const data = patterned(MIB);
    expect(await place.frames(() => files.writeFile('file', data, { flush: true }))).toBe(1);
    expect(await place.frames(() => files.appendFile('file', 'more', { flush: true }))).toBe(1);
    await files.writeFile('small', 'small');
    expect(await place.frames(() => files.readFile('small'))).toBe(1);
    await using handle = await files.open('file', 'r+');
    expect(await place.frames(() => handle.write(data, { position: 7, sync: 'data' }))).toBe(1);
    expect(await place.frames(() => handle.read(Buffer.alloc(MIB), { position: 0 }))).toBe(1);
    expect(await place.frames(() => Promise.all([files.stat('file'), files.stat('small')]))).toBe(1);
    expect(await place.frames(() => files.readdir('.'))).toBe(1);
    expect(await place.frames(() => files.truncate('file', 5))).toBe(1);
  });

  it('fails with the fields of an error of Node', async () => {
    const { files } = place;
    const mine = await failure(files.rename('none', 'other'));
    const theirs = await failure(node.rename('/vamos-none/x', '/vamos-none/y'));
    expect(mine).toMatchObject({
      code: 'ENOENT',
      errno: theirs.errno,
      syscall: 'rename',
      path: 'none',
      dest: 'other',
    });
    expect(mine.message).toBe("ENOENT: no such file or directory, rename 'none' -> 'other'");
    expect(mine.cause).toBeInstanceOf(VamosError);
    expect((mine.cause as VamosError).code).toBe('FILE_FAILED');
    await files.mkdir('dir');
    expect((await failure(files.readFile('dir'))).message).toBe(
      'EISDIR: illegal operation on a directory, read',
    );
    expect((await failure(files.readdir('none'))).message).toBe(
      "ENOENT: no such file or directory, scandir 'none'",
    );
  });

  it('refuses arguments that make no sense, without asking the host', async () => {
    const { files } = place;
    await using handle = await files.open('file', 'w+');
    expect((await failure(files.open('a\0b'))).code).toBe('ERR_INVALID_ARG_VALUE');
    expect((await failure(files.open('a', 'q'))).code).toBe('ERR_INVALID_ARG_VALUE');
    expect((await failure(files.open('a', constants.O_RDWR | 0o20200000))).code).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect((await failure(files.open('a', 'w', 'rwx'))).code).toBe('ERR_INVALID_ARG_VALUE');
    expect((await failure(files.open('a'.repeat(5000)))).code).toBe('ENAMETOOLONG');
    const buffer = Buffer.alloc(8);
    expect((await failure(handle.read(buffer, 9))).code).toBe('ERR_OUT_OF_RANGE');
    expect((await failure(handle.read(buffer, 4, 5))).code).toBe('ERR_OUT_OF_RANGE');
    expect((await failure(handle.read(buffer, 0, 8, -2))).code).toBe('ERR_OUT_OF_RANGE');
    expect((await failure(handle.truncate(-1))).code).toBe('ERR_OUT_OF_RANGE');
  });

  it('gives up when its signal is aborted or its time is over, and leaves no handle behind', async () => {
    const { files } = place;
    await files.writeFile('file', 'x');
    const opening = new AbortController();
    const opened = files.open('file', 'r', 0o666, { signal: opening.signal });
    opening.abort();
    expect((await failure(opened)).code).toBe('CANCELLED');
    expect((await failure(files.readFile('file', { signal: AbortSignal.abort() }))).code).toBe('CANCELLED');
    async function* slow(): AsyncGenerator<Buffer> {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        yield Buffer.alloc(MIB);
      }
    }
    expect((await failure(files.writeFile('file', slow(), { timeoutMs: 100 }))).code).toBe(
      'DEADLINE_EXCEEDED',
    );
    await files.stat('file');
    if (place.module) expect(place.module.statistics().handlesOpen).toBe(0);
  });
});
