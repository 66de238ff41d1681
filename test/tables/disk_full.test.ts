/** `local:` on a disk that fills: no answer is wrong, the process goes on, and the root opens again when there is room. */
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { connect, type Vamos } from '../../entry/guest.js';
import { defineTable, t } from '../../guest/tables/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import { Folder } from '../daemon/daemon.js';
import { SmallDisk } from '../daemon/small_disk.js';

const notes = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), text: t.bytes() },
  primaryKey: ['id'],
});

describe.skipIf(SmallDisk.obstacle !== undefined)('a full disk under local:', () => {
  let folder: Folder;
  let disk: SmallDisk;
  let address: string;

  beforeEach(() => {
    folder = new Folder();
    disk = new SmallDisk(folder.file('root'), 6);
    address = `local:${disk.path}`;
    return () => {
      disk[Symbol.dispose]();
      folder[Symbol.dispose]();
    };
  });

  /** Writes rows with several calls under way until they fail for good. Returns what became of each. */
  async function fill(vamos: Vamos): Promise<Map<number, string>> {
    const table = await vamos.tables.create(notes);
    const outcomes = new Map<number, string>();
    let lastId = 0;
    const writers = Array.from({ length: 4 }, async () => {
      for (;;) {
        const id = ++lastId;
        const outcome = await table.writeRow({ id, text: randomBytes(32_768) }).then(
          () => 'done',
          (error: unknown) => (error instanceof VamosError ? error.code : String(error)),
        );
        outcomes.set(id, outcome);
        if (outcome === 'DISK_FULL') return;
      }
    });
    await Promise.all(writers);
    return outcomes;
  }

  test('what was written is there, what failed is not; closing works, and opening again once there is room', async () => {
    const vamos = await connect(address);
    const outcomes = await fill(vamos);
    const kinds = [...new Set(outcomes.values())];
    expect(kinds).toContain('done');
    // SESSION_LOST: the root could be opened again once more, and the connector learned that it was not done.
    expect(['done', 'OUTCOME_UNKNOWN', 'SESSION_LOST', 'DISK_FULL']).toEqual(expect.arrayContaining(kinds));
    const refusal = await vamos.tables.list().catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'DISK_FULL' });
    expect(String(refusal)).toContain('make room on it, close the connection and open it again');
    await vamos.close();

    disk.resize(64);
    await using again = await connect(address);
    const table = await again.tables.open(notes);
    for (const [id, outcome] of outcomes) {
      const isThere = (await table.get({ id })) !== undefined;
      if (outcome === 'done') expect(isThere, `row ${id}`).toBe(true);
      else if (outcome !== 'OUTCOME_UNKNOWN') expect(isThere, `row ${id}: ${outcome}`).toBe(false);
    }
    await table.writeRow({ id: 1_000_000, text: new Uint8Array(1) });
  });
});
