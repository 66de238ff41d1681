import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { Daemon, Folder, vamos } from '../../lab/daemon/daemon.js';
import { address, checkpoint, makeBank, readRoot, restartWorker, startDaemon } from './bank.js';

let folder: Folder;
beforeAll(async () => {
  folder = new Folder();
  await using daemon = await startDaemon(folder);
  await using connector = await connect(address(folder));
  await makeBank(connector);
  await connector.files.writeFile('note', 'a note');
  await restartWorker(daemon);
  await checkpoint(daemon, folder.file('checkpoint'));
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const restore = (root: string, from = 'checkpoint') =>
  vamos('host', 'restore', folder.file(from), folder.file(root));

test('a root that is there is never touched', async () => {
  mkdirSync(folder.file('there'));
  writeFileSync(folder.file('there/x'), 'x');
  const run = await restore('there');
  expect(run).toMatchObject({ code: 1 });
  expect(run.stderr).toMatch(/BAD_REQUEST: .*is there already, and not empty/);
  expect(readdirSync(folder.file('there'))).toEqual(['x']);
});

test('an empty folder becomes the root', async () => {
  mkdirSync(folder.file('empty'));
  expect(await restore('empty')).toMatchObject({ code: 0 });
  expect((await readRoot(folder.file('empty'))).wrong).toEqual([]);
});

test.each([
  ['a table file', (name: string) => name.endsWith('.sst'), 'tables'],
  ['the manifest of the tables', (name: string) => name.startsWith('MANIFEST'), 'tables'],
  ['a file', (name: string) => name === 'note', 'files'],
])('a flipped bit in %s fails the restore, which leaves nothing', async (what, isIt, within) => {
  const copy = folder.file(`damaged-${within}`);
  rmSync(copy, { recursive: true, force: true });
  cpSync(folder.file('checkpoint'), copy, { recursive: true });
  const name = readdirSync(`${copy}/${within}`).find(isIt)!;
  const bytes = readFileSync(`${copy}/${within}/${name}`);
  bytes[Math.floor(bytes.length / 2)]! ^= 4;
  rmSync(`${copy}/${within}/${name}`);
  writeFileSync(`${copy}/${within}/${name}`, bytes);
  const run = await vamos('host', 'restore', copy, folder.file('from-damaged'));
  expect(run.code, what).toBe(1);
  expect(run.stderr).toMatch(/CORRUPTION: .* is not what the checkpoint says: it is damaged/);
  expect(existsSync(folder.file('from-damaged'))).toBe(false);
});

test('a checkpoint whose list is damaged is refused', async () => {
  mkdirSync(folder.file('listless'));
  const text = readFileSync(folder.file('checkpoint/checkpoint.json'), 'utf8');
  writeFileSync(folder.file('listless/checkpoint.json'), text.replace('"bank"', '"bang"'));
  expect((await restore('never', 'listless')).stderr).toMatch(/CORRUPTION: .*its checksum does not match/);
  writeFileSync(folder.file('listless/checkpoint.json'), text.slice(0, -20));
  expect((await restore('never', 'listless')).stderr).toMatch(/CORRUPTION: .*it is no JSON/);
  expect(existsSync(folder.file('never'))).toBe(false);
});

test('neither a checkpoint nor a root whose restore did not end is served', async () => {
  using other = new Folder();
  await using daemon = new Daemon(other, [
    ...['--root', folder.file('checkpoint'), '--channel', `unix:${other.file('c')}`],
  ]);
  expect((await daemon.exited).code).toBe(1);
  expect(daemon.stderr).toMatch(/BAD_CONFIGURATION: .*is a checkpoint, which stays as it is/);
  await expect(connect(`local:${folder.file('checkpoint')}`)).rejects.toMatchObject({
    code: 'BAD_CONFIGURATION',
  });

  await restore('half');
  renameSync(folder.file('half/files'), folder.file('half/restore.incomplete'));
  await expect(connect(`local:${folder.file('half')}`)).rejects.toThrow(/did not come to its end/);
  expect((await restore('half')).stderr).toMatch(/did not come to its end; remove the folder/);
});
