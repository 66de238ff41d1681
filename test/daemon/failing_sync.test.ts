/** A disk that takes writes and then can't sync them: the worker says so and ends, and the next one reads what the disk has. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { defineTable, t } from '../../guest/tables/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import { connectImpatient, Daemon, Folder, until } from './daemon.js';
import { FailingDisk } from './failing_disk.js';

const notes = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), text: t.bytes() },
  primaryKey: ['id'],
});

test.skipIf(FailingDisk.obstacle !== undefined)(
  'a worker whose sync fails ends with exit code 74, and no acknowledged row is lost',
  { timeout: 120_000 },
  async () => {
    using folder = new Folder();
    using disk = new FailingDisk(folder.file('root'), 24);
    const address = `unix:${folder.file('c')}`;
    writeFileSync(
      folder.file('host.yaml'),
      `restart: {firstMs: 20, longestMs: 20, failedMs: 100}\nguests:\n  guest: {root: root, channels: ["${address}"]}\n`,
    );
    await using daemon = await Daemon.start(folder, ['--config', folder.file('host.yaml')]);
    await using connector = await connectImpatient(address, 500);
    const table = await connector.tables.create(notes);
    const outcomes = new Map<number, string>();
    const write = async (id: number): Promise<string> => {
      let outcome = 'done';
      try {
        await table.writeRow({ id, text: randomBytes(32_768) });
      } catch (error) {
        outcome = error instanceof VamosError ? error.code : String(error);
      }
      outcomes.set(id, outcome);
      return outcome;
    };

    let id = 0;
    const ended = await until(async () => {
      await write(++id);
      return daemon.log.find(({ msg }) => msg === 'guest: worker ended unasked');
    });
    expect(ended.reason).toMatch(/^(STORAGE_FAILED|DISK_FULL) \(exit code 74\)$/);
    expect(daemon.log).toContainEqual(
      expect.objectContaining({ msg: 'store: cannot write its log', guest: 'guest' }),
    );
    expect(daemon.stderr).not.toContain('Assertion');

    disk.resize(512);
    await until(async () => (await write(++id)) === 'done');
    for (const [id, outcome] of outcomes) {
      const isThere = (await table.get({ id })) !== undefined;
      if (outcome === 'done') expect(isThere, `row ${id}`).toBe(true);
      else if (outcome !== 'OUTCOME_UNKNOWN') expect(isThere, `row ${id}: ${outcome}`).toBe(false);
    }
  },
);
