import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { Folder, until, vamos } from '../../lab/daemon/daemon.js';
import { SmallDisk } from '../daemon/small_disk.js';
import {
  ACCOUNTS,
  BALANCE,
  accounts,
  address,
  checkpoint,
  heap,
  Load,
  makeBank,
  readRoot,
  restartWorker,
  startDaemon,
} from './bank.js';
import { measureDifferences } from './differences.js';

test('a checkpoint made under load has all that was acknowledged before it, no transaction in part, and is restored whole', async () => {
  using folder = new Folder();
  await using daemon = await startDaemon(folder);
  await using connector = await connect(address(folder));
  await makeBank(connector);
  await restartWorker(daemon);
  mkdirSync(folder.file('backup'));
  const load = new Load(connector);
  const rounds = [1, 2, 3];
  const before = new Map<number, number[]>();
  for (const round of rounds) {
    const least = load.acknowledged.size + 50;
    await until(() => load.acknowledged.size > least);
    before.set(round, [...load.acknowledged]);
    await checkpoint(daemon, folder.file(`backup/${round}`));
  }
  await load.stop();
  expect([...load.failures]).toEqual([]);
  // Table files are the root's own, which its worker may only read from now on.
  const tables = readdirSync(folder.file('backup/1/tables')).filter((name) => name.endsWith('.sst'));
  expect(tables.length).toBeGreaterThan(0);
  for (const name of tables) {
    const { ino, mode } = statSync(folder.file(`backup/1/tables/${name}`));
    expect(mode & 0o777).toBe(0o444);
    expect(statSync(folder.file(`backup/3/tables/${name}`)).ino).toBe(ino);
  }
  expect((await daemon.reporting('bank')).report.modules.tables!.filesHeld).toBe(0);

  for (const round of rounds) {
    const root = folder.file(`restored-${round}`);
    const run = await vamos('host', 'restore', folder.file(`backup/${round}`), root);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    const { sum, wrong, ids } = await readRoot(root);
    expect(sum).toBe(BigInt(ACCOUNTS * BALANCE));
    expect(wrong, 'accounts that are not as their transfers say').toEqual([]);
    expect(
      before.get(round)!.filter((id) => !ids.has(id)),
      'acknowledged transfers that are gone',
    ).toEqual([]);
  }
});

test('files are in a checkpoint with the tables, and later checkpoints share the unchanged ones', async () => {
  using folder = new Folder();
  await using daemon = await startDaemon(folder);
  await using connector = await connect(address(folder));
  const odd = Buffer.from([0x66, 0xff, 0x25]);
  await connector.files.mkdir('a/b', { recursive: true });
  await connector.files.writeFile('a/b/kept', 'kept');
  await connector.files.writeFile('changed', 'first');
  writeFileSync(Buffer.concat([Buffer.from(folder.file('root/files/')), odd]), 'odd name');
  mkdirSync(folder.file('backup'));
  await checkpoint(daemon, folder.file('backup/0'));
  // The file can be told from one that changed right after it was copied only after this time.
  await until(() => Date.now() - statSync(folder.file('root/files/a/b/kept')).ctimeMs > 2500);
  await checkpoint(daemon, folder.file('backup/1'));
  await connector.files.writeFile('changed', 'later');
  const summary = await checkpoint(daemon, folder.file('backup/2'));
  expect(summary.base).toBe(folder.file('backup/1'));

  const inode = (number: number, name: string) => statSync(folder.file(`backup/${number}/files/${name}`)).ino;
  expect(inode(2, 'a/b/kept')).toBe(inode(1, 'a/b/kept'));
  expect(inode(1, 'a/b/kept')).not.toBe(statSync(folder.file('root/files/a/b/kept')).ino);
  expect(inode(2, 'changed')).not.toBe(inode(1, 'changed'));
  const run = await vamos('host', 'restore', folder.file('backup/2'), folder.file('restored'));
  expect(run).toMatchObject({ code: 0 });
  await using restored = await connect(`local:${folder.file('restored')}`);
  expect(await restored.files.readFile('a/b/kept', 'utf8')).toBe('kept');
  expect(await restored.files.readFile('changed', 'utf8')).toBe('later');
  expect(readdirSync(folder.file('restored/files'), { encoding: 'buffer' })).toContainEqual(odd);
});

test.skipIf(SmallDisk.obstacle !== undefined)(
  'on another file system tables are copied once, and shared by the next checkpoint there',
  async () => {
    using folder = new Folder();
    using disk = new SmallDisk(folder.file('other'), 64);
    await using daemon = await startDaemon(folder);
    await using connector = await connect(address(folder));
    const table = await connector.tables.create(heap);
    await table.writeRows([{ id: 1, bytes: randomBytes(500_000) }]);
    const first = await checkpoint(daemon, `${disk.path}/1`);
    expect(first.linked.bytes).toBe(0);
    expect(first.copied.bytes).toBeGreaterThan(500_000);
    await table.writeRows([{ id: 2, bytes: randomBytes(100_000) }]);
    const second = await checkpoint(daemon, `${disk.path}/2`, { base: `${disk.path}/1` });
    expect(second.linked.bytes).toBeGreaterThan(500_000);
    expect(second.copied.bytes).toBeLessThan(150_000);
    // The second checkpoint stays whole without the first.
    await vamos('host', 'restore', `${disk.path}/2`, folder.file('restored'));
    await using restored = await connect(`local:${folder.file('restored')}`);
    expect((await (await restored.tables.open(heap)).get({ id: 1 }))!.bytes).toHaveLength(500_000);
  },
);

test('checkpoints of a root that changes take the room of their differences', async () => {
  using folder = new Folder();
  const { firstBytes, laterBytes } = await measureDifferences(folder, {
    steadyBytes: 8_000_000,
    changedBytes: 10_000,
    checkpoints: 20,
  });
  expect(firstBytes).toBeGreaterThan(8_000_000);
  // Beside the differences, each has a few small files of its own.
  expect(laterBytes).toBeLessThan(firstBytes / 2);
});

test('a checkpoint is refused where it would lie in the root, over something, or share with another root', async () => {
  using folder = new Folder();
  await using daemon = await startDaemon(folder);
  await using connector = await connect(address(folder));
  await connector.tables.create(accounts);
  mkdirSync(folder.file('full/x'), { recursive: true });
  const refusal = async (target: string, options: { base?: string } = {}) =>
    checkpoint(daemon, folder.file(target), options).then(
      () => 'made',
      (error: Error) => error.message,
    );
  expect(await refusal('root/backup')).toMatch(/BAD_REQUEST: .*neither in the guest's root .* nor around it/);
  expect(await refusal('full')).toMatch(/BAD_REQUEST: .*is there already: name a folder that is not there/);
  expect(await refusal('absent/one')).toMatch(/BAD_REQUEST: .*absent: no such folder; make it first/);
  expect(await refusal('one', { base: folder.file('full') })).toMatch(/is no complete checkpoint/);
  expect(readdirSync(folder.path).filter((name) => name.includes('incomplete'))).toEqual([]);
});
