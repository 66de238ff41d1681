import * as node from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FileHandle, Files } from '../../guest/files/index.js';
import { MODES, Place } from './place.js';

/** The calls that Node and VAMOS both have, on paths and on open handles. */
type Handle = Pick<FileHandle, 'write' | 'truncate' | 'close'> & {
  readFile(): Promise<Buffer>;
  stat(): Promise<Described>;
  sync(): Promise<void>;
  datasync(): Promise<void>;
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ bytesRead: number; buffer: Buffer }>;
};
type Face = Pick<
  Files,
  'writeFile' | 'appendFile' | 'rename' | 'unlink' | 'rmdir' | 'truncate' | 'access' | 'rm'
> & {
  open(path: string, flags: string): Promise<Handle>;
  readFile(path: string): Promise<Buffer>;
  readdir(path: string): Promise<string[]>;
  mkdir(path: string, options: { recursive: boolean }): Promise<string | undefined>;
  stat(path: string): Promise<Described>;
  lstat(path: string): Promise<Described>;
};
type Described = { size: number; isDirectory(): boolean; isFile(): boolean; isSymbolicLink(): boolean };
interface World {
  face: Face;
  handles: Handle[];
}
type Operation = (world: World) => Promise<unknown>;

/** Returns one of the two faces, beneath a directory. */
function beneath(fs: Face, root: string): Face {
  const at = (name: string | Uint8Array): string => (name === '' ? '' : `${root}/${name as string}`);
  return {
    open: (name, flags) => fs.open(at(name), flags),
    readFile: (name) => fs.readFile(at(name)),
    readdir: (name) => fs.readdir(at(name)),
    mkdir: async (name, options) => {
      const first = await fs.mkdir(at(name), options);
      return first === undefined ? undefined : path.relative(root, first);
    },
    stat: (name) => fs.stat(at(name)),
    lstat: (name) => fs.lstat(at(name)),
    writeFile: (name, data) => fs.writeFile(at(name), data),
    appendFile: (name, data) => fs.appendFile(at(name), data),
    rename: (from, to) => fs.rename(at(from), at(to)),
    unlink: (name) => fs.unlink(at(name)),
    rmdir: (name) => fs.rmdir(at(name)),
    rm: (name, options) => fs.rm(at(name), options),
    truncate: (name, lengthBytes) => fs.truncate(at(name), lengthBytes),
    access: (name, mode) => fs.access(at(name), mode),
  };
}

const describeStat = (stat: Described): unknown => [
  stat.isDirectory() ? 'directory' : stat.size,
  stat.isFile(),
  stat.isSymbolicLink(),
];

/** Returns the result of an operation, or the code of its failure. */
async function outcome(operation: Operation, world: World): Promise<unknown> {
  try {
    return { value: await operation(world) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { code: code === 'ERR_FS_EISDIR' ? 'EISDIR' : (code ?? message) };
  }
}

async function snapshot(root: string): Promise<unknown> {
  const entries = await node.readdir(root, { recursive: true, withFileTypes: true });
  const described = entries.map(async (entry) => {
    const name = path.join(entry.parentPath, entry.name);
    return [
      path.relative(root, name),
      entry.isFile() ? (await node.readFile(name)).toString('latin1') : 'other',
    ];
  });
  return (await Promise.all(described)).sort();
}

const plainPath = fc.constantFrom(
  'a',
  'b',
  'a/b',
  'a/c',
  'a/b/c',
  'b/a',
  'link',
  'link/b',
  'dangling',
  'loop',
  'c',
);
const anyPath = fc.oneof(
  { weight: 5, arbitrary: plainPath },
  fc.constantFrom(
    '',
    '.',
    'a/',
    'a/.',
    'a/../b',
    './/a//b',
    'a/b/',
    'link/',
    'x'.repeat(256),
    'a/..',
    'loop/b',
  ),
);
/** Paths to move, without links: mkdir -p beneath a link that was moved to a freshPath has another code than Node's. */
const movedPath = anyPath.filter((name) => !['link', 'dangling', 'loop'].includes(name));
/** No paths through symbolic links: beneath one that leads nowhere, mkdir -p of Node says ENOTDIR. */
const freshPath = fc.constantFrom('a', 'b', 'a/b', 'a/c', 'a/b/c', 'b/a', 'c', 'a/', 'a//b', 'b/c/d/e');
const flags = fc.constantFrom('r', 'r+', 'w', 'w+', 'wx', 'a', 'a+', 'ax', 'rs+', 'as');
const data = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.nat(70_000).map((bytes) => 'd'.repeat(bytes)),
);
const position = fc.oneof(fc.constant(null), fc.nat(40), fc.nat(200_000));

/** Makes an operation that prints as its name and arguments where a run fails. */
function operation<Arguments>(
  name: string,
  given: fc.Arbitrary<Arguments>,
  run: (given: Arguments, world: World) => Promise<unknown>,
): fc.Arbitrary<Operation> {
  return given.map((values) =>
    Object.assign((world: World) => run(values, world), {
      [fc.toStringMethod]: () => `${name}(${fc.stringify(values).slice(0, 100)})`,
    }),
  );
}

function onHandle<Arguments>(
  name: string,
  given: fc.Arbitrary<Arguments>,
  run: (handle: Handle, given: Arguments) => Promise<unknown>,
): fc.Arbitrary<Operation> {
  return operation(name, fc.tuple(fc.nat(20), given), async ([index, values], { handles }) => {
    const handle = handles[index % Math.max(handles.length, 1)];
    return handle && run(handle, values);
  });
}

const nothing = fc.constant(null);
const lengthBytes = fc.nat(100_000);

const step = fc.oneof(
  operation('open', fc.tuple(anyPath, flags), async ([name, flag], { face, handles }) => {
    handles.push(await face.open(name, flag));
  }),
  operation('close', fc.nat(20), async (index, { handles }) => {
    const [handle] = handles.splice(index % Math.max(handles.length, 1), 1);
    await handle?.close();
  }),
  onHandle('read', fc.tuple(lengthBytes, position), async (handle, [length, at]) => {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await handle.read(buffer, 0, length, at);
    return [bytesRead, buffer.toString('latin1')];
  }),
  onHandle('write', fc.tuple(data, position), async (handle, [text, at]) => {
    return (await handle.write(Buffer.from(text), 0, null, at)).bytesWritten;
  }),
  onHandle('handle.readFile', nothing, async (handle) => (await handle.readFile()).toString('latin1')),
  onHandle('handle.truncate', lengthBytes, (handle, length) => handle.truncate(length)),
  onHandle('handle.stat', nothing, async (handle) => describeStat(await handle.stat())),
  onHandle('sync', nothing, (handle) => handle.sync()),
  onHandle('datasync', nothing, (handle) => handle.datasync()),
  operation('writeFile', fc.tuple(anyPath, data), ([name, text], { face }) => face.writeFile(name, text)),
  operation('appendFile', fc.tuple(anyPath, data), ([name, text], { face }) => face.appendFile(name, text)),
  operation('readFile', anyPath, async (name, { face }) => (await face.readFile(name)).toString('latin1')),
  operation('readdir', anyPath, async (name, { face }) => (await face.readdir(name)).sort()),
  operation('mkdir', anyPath, (name, { face }) => face.mkdir(name, { recursive: false })),
  operation('mkdir -p', freshPath, (name, { face }) => face.mkdir(name, { recursive: true })),
  operation('rename', fc.tuple(movedPath, anyPath), ([from, to], { face }) => face.rename(from, to)),
  operation('unlink', anyPath, (name, { face }) => face.unlink(name)),
  operation('rmdir', anyPath, (name, { face }) => face.rmdir(name)),
  operation('rm', fc.tuple(plainPath, fc.boolean(), fc.boolean()), ([name, recursive, force], { face }) =>
    face.rm(name, { recursive, force }),
  ),
  operation('truncate', fc.tuple(anyPath, lengthBytes), ([name, length], { face }) =>
    face.truncate(name, length),
  ),
  operation('access', fc.tuple(anyPath, fc.nat(7)), ([name, mode], { face }) => face.access(name, mode)),
  operation('stat', anyPath, async (name, { face }) => describeStat(await face.stat(name))),
  operation('lstat', anyPath, async (name, { face }) => describeStat(await face.lstat(name))),
);

async function plant(root: string): Promise<void> {
  await node.mkdir(root, { recursive: true });
  await node.symlink('a', path.join(root, 'link'));
  await node.symlink('nowhere', path.join(root, 'dangling'));
  await node.symlink('loop', path.join(root, 'loop'));
}

describe.each(MODES)('files, %s', (mode) => {
  it('do and answer what node:fs/promises does and answers', { timeout: 120_000 }, async () => {
    await using place = await Place.make(mode);
    const theirs = path.join(place.base, 'theirs');
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
        const name = `${run++}`;
        await plant(place.on(name));
        await plant(path.join(theirs, name));
        const mine: World = { face: beneath(place.files, name), handles: [] };
        const model: World = { face: beneath(node as unknown as Face, path.join(theirs, name)), handles: [] };
        for (const next of steps) {
          expect(await outcome(next, mine)).toEqual(await outcome(next, model));
        }
        for (const { handles } of [mine, model]) await Promise.all(handles.map((handle) => handle.close()));
        expect(await snapshot(place.on(name))).toEqual(await snapshot(path.join(theirs, name)));
      }),
      { numRuns: 150 },
    );
  });
});
