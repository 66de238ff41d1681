/** A guest whose disk is full: the daemon says so, tries again, and its connectors go on when there is room. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { defineTable, t } from '../../guest/tables/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import { connectImpatient, Daemon, Folder, until, vamos } from '../../lab/daemon/daemon.js';
import { SmallDisk } from './small_disk.js';

const notes = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), text: t.bytes() },
  primaryKey: ['id'],
});

test.skipIf(SmallDisk.obstacle !== undefined)(
  'a worker whose log meets a full disk ends, and one that can open the root follows',
  { timeout: 120_000 },
  async () => {
    using folder = new Folder();
    using disk = new SmallDisk(folder.file('root'), 6);
    const address = `unix:${folder.file('c')}`;
    writeFileSync(
      folder.file('host.yaml'),
      `restart: {firstMs: 20, longestMs: 20, failedMs: 100}\nguests:\n  guest: {root: root, channels: ["${address}"]}\n`,
    );
    await using daemon = await Daemon.start(folder, ['--config', folder.file('host.yaml')]);
    await using connector = await connectImpatient(address, 500);
    const table = await connector.tables.create(notes);
    const outcomes = new Map<number, string>();
    const messages = new Set<string>();
    const write = async (id: number): Promise<string> => {
      let outcome = 'done';
      try {
        await table.writeRow({ id, text: randomBytes(32_768) });
      } catch (error) {
        outcome = error instanceof VamosError ? error.code : String(error);
        messages.add((error as Error).message);
      }
      outcomes.set(id, outcome);
      return outcome;
    };

    let id = 0;
    // Its worker ends, and the next one finds no room to open the root.
    const failed = await until(async () => {
      await write(++id);
      const guest = await daemon.guest('guest');
      return guest.state === 'failed' && guest;
    });
    expect(failed).toMatchObject({
      error: { code: 'DISK_FULL', message: `${disk.path}/tables: the disk is full; make room on it` },
    });
    expect(daemon.log).toContainEqual(
      expect.objectContaining({ msg: 'store: cannot write its log', guest: 'guest', code: 'DISK_FULL' }),
    );
    expect(daemon.log).toContainEqual(
      expect.objectContaining({ msg: 'guest: worker ended unasked', reason: 'DISK_FULL (exit code 74)' }),
    );
    await until(async () => {
      const { stdout } = await vamos('host', 'status', '--control', daemon.control);
      return stdout.includes('the disk is full; make room on it');
    });
    await until(async () => {
      await write(++id);
      return [...messages].some((message) => message.includes('make room on it; the worker starts again'));
    });

    disk.resize(64);
    await until(async () => (await write(++id)) === 'done');
    for (const [id, outcome] of outcomes) {
      const isThere = (await table.get({ id })) !== undefined;
      if (outcome === 'done') expect(isThere, `row ${id}`).toBe(true);
      else if (outcome !== 'OUTCOME_UNKNOWN') expect(isThere, `row ${id}: ${outcome}`).toBe(false);
    }
    await daemon.serving('guest');
  },
);
