import * as node from 'node:fs/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { MODES, Place } from './place.js';

const { Method, OpenFlag } = vamos.files;
const READ_WRITE_NEW = OpenFlag.FOR_READ | OpenFlag.FOR_WRITE | OpenFlag.CREATE;
const FILE = Buffer.from('file');
/** Returns uint64's largest value, in a field of this tag. */
const largest = (tag: number): number[] => [tag, ...new Array<number>(9).fill(0xff), 1];

describe.each(MODES)('files, %s', (mode) => {
  let place: Place;
  beforeEach(async () => {
    place = await Place.make(mode, { maxHandles: 16 });
    await send(
      Method.OPEN,
      vamos.files.Open.encode({ handle: 1, path: FILE, flags: READ_WRITE_NEW, mode: 0o7777 }).finish(),
    );
  });
  afterEach(() => place[Symbol.asyncDispose]());

  function send(method: number, body: Uint8Array): Promise<Uint8Array> {
    return place.stream.call(method, body);
  }

  async function refusal(method: number, body: Uint8Array): Promise<string> {
    try {
      await send(method, body);
      return 'done';
    } catch (error) {
      const { code, detail } = error as VamosError;
      return code === 'FILE_FAILED' ? Buffer.from(detail).toString() : code;
    }
  }

  it('refuse handles that are not open, are of another stream, or are open already', async () => {
    const { Read, Write, Sync, Truncate, Handle, ReadDirectory, Close, Open } = vamos.files;
    const requests: [number, Uint8Array][] = [
      [Method.READ, Read.encode({ handle: 2, lengths: [1] }).finish()],
      [Method.WRITE, Write.encode({ handle: 2, data: FILE }).finish()],
      [Method.SYNC, Sync.encode({ handles: [1, 2], kind: 1 }).finish()],
      [Method.TRUNCATE, Truncate.encode({ handle: 2 }).finish()],
      [Method.STAT_HANDLE, Handle.encode({ handle: 0xffff_ffff }).finish()],
      [Method.READ_DIRECTORY, ReadDirectory.encode({ handle: 2, windowBytes: 4096 }).finish()],
      [Method.CLOSE, Close.encode({ handle: 2 }).finish()],
    ];
    for (const [method, body] of requests) expect(await refusal(method, body)).toBe('FILE_HANDLE_MISSING');
    const other = place.client.stream().call(Method.STAT_HANDLE, Handle.encode({ handle: 1 }).finish());
    await expect(other).rejects.toMatchObject({ code: 'FILE_HANDLE_MISSING' });
    const again = Open.encode({ handle: 1, path: FILE, flags: OpenFlag.FOR_READ }).finish();
    expect(await refusal(Method.OPEN, again)).toBe('BAD_REQUEST');
  });

  it('refuse offsets, lengths and counts out of their limits', async () => {
    const { Read, Write, Truncate, ReadDirectory, Sync } = vamos.files;
    const read = (fields: vamos.files.IRead): Uint8Array => Read.encode({ handle: 1, ...fields }).finish();
    const write = (fields: vamos.files.IWrite): Uint8Array =>
      Write.encode({ handle: 1, data: Buffer.alloc(8), ...fields }).finish();
    const window = (windowBytes: number): Uint8Array =>
      ReadDirectory.encode({ handle: 1, windowBytes }).finish();
    const requests: [number, Uint8Array][] = [
      [Method.READ, read({ offsets: [2 ** 63], lengths: [1] })],
      [Method.READ, read({ offsets: [2 ** 53], lengths: [1] })],
      [Method.READ, Buffer.concat([read({ lengths: [1] }), Buffer.from(largest(2 << 3))])],
      [Method.READ, read({ offsets: [0], lengths: [0xffff_ffff] })],
      [Method.READ, read({ lengths: [1024 * 1024, 1] })],
      [Method.READ, read({ lengths: [] })],
      [Method.READ, read({ offsets: [0, 1], lengths: [1] })],
      [Method.READ, read({ lengths: new Array<number>(1025).fill(1) })],
      [Method.WRITE, write({ offsets: [2 ** 63] })],
      [Method.WRITE, write({ lengths: [7] })],
      [Method.WRITE, write({ lengths: [0xffff_ffff, 9] })],
      [Method.WRITE, write({ offsets: [0, 8], lengths: [8] })],
      [Method.WRITE, write({ syncAfter: 3 as vamos.files.SyncKind })],
      [Method.WRITE, write({ lengths: new Array<number>(1025).fill(0), data: Buffer.alloc(0) })],
      [Method.TRUNCATE, Truncate.encode({ handle: 1, lengthBytes: 2 ** 63 }).finish()],
      [Method.TRUNCATE, Buffer.from([1 << 3, 1, ...largest(2 << 3)])],
      [Method.READ_DIRECTORY, window(0)],
      [Method.READ_DIRECTORY, window(0xffff_ffff)],
      [Method.SYNC, Sync.encode({ handles: [1], kind: 0 }).finish()],
      [Method.SYNC, Sync.encode({ handles: [1], kind: 9 as vamos.files.SyncKind }).finish()],
      [Method.SYNC, Sync.encode({ handles: new Array<number>(17).fill(1), kind: 1 }).finish()],
    ];
    for (const [index, [method, body]] of requests.entries()) {
      expect([index, await refusal(method, body)]).toEqual([index, 'BAD_REQUEST']);
    }
    expect((await node.stat(place.on('file'))).size).toBe(0);
    // It is up to the file system: those on disks refuse it, tmpfs has files of that size.
    expect(['EFBIG', 'done']).toContain(
      await refusal(Method.WRITE, write({ offsets: [Number.MAX_SAFE_INTEGER] })),
    );
  });

  it('refuse paths, modes, flags and kinds that are none', async () => {
    const { Open, StatPath, Access, Remove, Rename } = vamos.files;
    const open = (fields: vamos.files.IOpen): Uint8Array =>
      Open.encode({ handle: 2, path: FILE, ...fields }).finish();
    expect(await refusal(Method.OPEN, open({ path: Buffer.from('a\0b'), flags: 1 }))).toBe('BAD_REQUEST');
    expect(await refusal(Method.OPEN, open({ path: Buffer.alloc(4096, 'a'), flags: 1 }))).toBe(
      'ENAMETOOLONG',
    );
    expect(await refusal(Method.OPEN, open({ path: Buffer.alloc(0), flags: 1 }))).toBe('ENOENT');
    expect(await refusal(Method.OPEN, open({ flags: 0 }))).toBe('EINVAL');
    expect(await refusal(Method.OPEN, open({ flags: 0x8000_0001 }))).toBe('BAD_REQUEST');
    expect(await refusal(Method.OPEN, open({ flags: OpenFlag.DIRECTORY | OpenFlag.FOR_WRITE }))).toBe(
      'EINVAL',
    );
    expect(await refusal(Method.STAT, StatPath.encode({ path: Buffer.from('\0') }).finish())).toBe(
      'BAD_REQUEST',
    );
    expect(await refusal(Method.ACCESS, Access.encode({ path: FILE, mode: 8 }).finish())).toBe('BAD_REQUEST');
    const kind = 3 as vamos.files.RemoveKind;
    expect(await refusal(Method.REMOVE, Remove.encode({ path: FILE, kind }).finish())).toBe('BAD_REQUEST');
    const rename = Rename.encode({ from: FILE, to: Buffer.from('a\0') }).finish();
    expect(await refusal(Method.RENAME, rename)).toBe('BAD_REQUEST');
    expect((await node.stat(place.on('file'))).mode & 0o7000).toBe(0);
  });

  it('refuse bodies that are no messages and methods that are none', async () => {
    expect(await refusal(Method.OPEN, Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]))).toBe('BAD_REQUEST');
    expect(await refusal(Method.READ, Buffer.from([0x1a, 0x05, 0x80]))).toBe('BAD_REQUEST');
    expect(await refusal(512, FILE)).toBe('UNKNOWN_METHOD');
    expect(await refusal(767, FILE)).toBe('UNKNOWN_METHOD');
  });

  it('go on after any bytes, and change nothing outside of the root', async () => {
    await node.writeFile(`${place.base}/beside`, 'beside');
    const codes = ['done', 'BAD_REQUEST', 'FILE_HANDLE_MISSING', 'UNKNOWN_METHOD'];
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: Method.OPEN, max: Method.REMOVE + 1 }),
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          // A handle and then anything, so that more gets past the decoder.
          fc.uint8Array({ maxLength: 30 }).map((rest) => Uint8Array.of(1 << 3, 1, ...rest)),
          fc.uint8Array({ maxLength: 12 }).map((path) => Uint8Array.of((1 << 3) | 2, path.length, ...path)),
        ),
        async (method, body) => {
          const code = await refusal(method, body);
          expect(codes.includes(code) || /^E[A-Z0-9]+$/.test(code), code).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
    expect(await node.readFile(`${place.base}/beside`, 'utf8')).toBe('beside');
    expect(await node.readdir(place.base)).toEqual(
      expect.arrayContaining(mode === 'split' ? ['beside', 'root', 'socket'] : ['beside', 'root']),
    );
    await place.files.writeFile('still', 'serving');
  });
});

describe('files', () => {
  it('open no more handles than a session may have, and take new ones after a close', async () => {
    await using place = await Place.make('unsplit', { maxHandles: 3 });
    const opened = await Promise.allSettled(['a', 'b', 'c', 'd'].map((name) => place.files.open(name, 'w')));
    expect(opened.map((result) => result.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    await expect(place.files.open('d', 'w')).rejects.toMatchObject({ code: 'EMFILE' });
    await place.files.close();
    await using again = await place.files.open('d', 'w');
    expect((await again.stat()).size).toBe(0);
  });
});
