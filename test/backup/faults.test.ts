/**
 * Checkpoints during which something goes wrong: nothing half made remains that looks whole, and the guest
 * goes on.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connect, type Vamos } from '../../entry/guest.js';
import { type Daemon, Folder, until, vamos } from '../../lab/daemon/daemon.js';
import { SmallDisk } from '../daemon/small_disk.js';
import { accounts, address, checkpoint, heap, makeBank, readRoot, startDaemon } from './bank.js';

const HEAP_ROWS = 40;

async function fillHeap(connector: Vamos): Promise<void> {
  const table = await connector.tables.create(heap);
  for (let id = 0; id < HEAP_ROWS; id++) await table.writeRow({ id, bytes: randomBytes(500_000) });
}

async function goesOn(connector: Vamos): Promise<void> {
  const table = await connector.tables.open(accounts);
  await until(() => table.get({ id: 1 }).catch(() => undefined));
}

/**
 * Makes a checkpoint, and does something as soon as it copies tables. Resolves to its failure; undefined: it
 * was made.
 */
async function interrupted(
  daemon: Daemon,
  folder: Folder,
  interrupt: () => void,
): Promise<Error | undefined> {
  let isOver = false;
  const made = checkpoint(daemon, folder.file('backup/one'), { copy: true })
    .then(
      () => undefined,
      (error: unknown) => error as Error,
    )
    .finally(() => (isOver = true));
  while (!existsSync(folder.file('backup/one.incomplete/tables')) && !isOver) await turn();
  interrupt();
  return await made;
}

test.skipIf(SmallDisk.obstacle !== undefined)(
  'a checkpoint that meets a full disk leaves nothing, and its guest goes on',
  async () => {
    using folder = new Folder();
    using disk = new SmallDisk(folder.file('backup'), 4);
    await using daemon = await startDaemon(folder);
    await using connector = await connect(address(folder));
    await makeBank(connector);
    await fillHeap(connector);
    await expect(checkpoint(daemon, `${disk.path}/one`)).rejects.toThrow(/DISK_FULL: .*make room on it/);
    expect(readdirSync(disk.path)).toEqual([]);
    expect((await daemon.reporting('bank')).report.modules.tables!.filesHeld).toBe(0);
    await goesOn(connector);
    disk.resize(64);
    await checkpoint(daemon, `${disk.path}/one`);
    expect((await daemon.guest('bank')).restarts).toBe(0);
  },
);

test('a worker that is killed while its files are copied fails the checkpoint, which leaves nothing', async () => {
  using folder = new Folder();
  await using daemon = await startDaemon(folder);
  await using connector = await connect(address(folder));
  await makeBank(connector);
  await fillHeap(connector);
  mkdirSync(folder.file('backup'));
  let failure: Error | undefined;
  // The checkpoint may have been quicker than the kill.
  while (!failure) {
    const { pid } = await daemon.serving('bank');
    failure = await interrupted(daemon, folder, () => process.kill(pid, 'SIGKILL'));
    if (!failure) rmSync(folder.file('backup/one'), { recursive: true });
    await until(async () => (await daemon.serving('bank')).pid !== pid);
  }
  expect(failure.message).toMatch(/HOST_STOPPING: the worker of guest bank ended meanwhile; try again/);
  expect(readdirSync(folder.file('backup'))).toEqual([]);
  await goesOn(connector);
  await checkpoint(daemon, folder.file('backup/two'));
  expect((await daemon.reporting('bank')).report.modules.tables!.filesHeld).toBe(0);
});

test('a daemon that is killed in the middle leaves no checkpoint, and the next one makes it', async () => {
  using folder = new Folder();
  mkdirSync(folder.file('backup'));
  {
    await using daemon = await startDaemon(folder);
    await using connector = await connect(address(folder));
    await makeBank(connector);
    await fillHeap(connector);
    expect((await daemon.guest('bank')).restarts).toBe(0);
  }
  for (let failure: Error | undefined; !failure;) {
    await using daemon = await startDaemon(folder);
    await daemon.serving('bank');
    // The checkpoint may have been quicker than the kill.
    rmSync(folder.file('backup/one'), { recursive: true, force: true });
    failure = await interrupted(daemon, folder, () => daemon.process.kill('SIGKILL'));
  }
  expect(readdirSync(folder.file('backup'))).toEqual(['one.incomplete']);
  const run = await vamos('host', 'restore', folder.file('backup/one.incomplete'), folder.file('restored'));
  expect(run.stderr).toMatch(/BAD_REQUEST: .* is no complete checkpoint/);
  await using daemon = await startDaemon(folder);
  await daemon.serving('bank');
  await checkpoint(daemon, folder.file('backup/one'));
  expect(readdirSync(folder.file('backup'))).toEqual(['one']);
  await vamos('host', 'restore', folder.file('backup/one'), folder.file('restored'));
  expect((await readRoot(folder.file('restored'))).wrong).toEqual([]);
});
