/** `local:` on a disk that fills: no answer is wrong, the process goes on, and the root opens again when there is room. */
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { connect, type Vamos } from '../../entry/guest.js';
import { defineTable, t } from '../../guest/tables/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import { Folder } from '../../lab/daemon/daemon.js';
import { SmallDisk } from '../daemon/small_disk.js';

const notes = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), text: t.bytes() },
  primaryKey: ['id'],
});

/**
 * Outcomes after which writing goes on. SESSION_LOST: the root could be opened again once more, and the
 * connector learned that the write was not done.
 */
const GOES_ON = new Set(['done', 'OUTCOME_UNKNOWN', 'SESSION_LOST']);

describe.skipIf(SmallDisk.obstacle !== undefined)('a full disk under local:', () => {
  let folder: Folder;
  let disk: SmallDisk | undefined;

  beforeEach(() => {
    folder = new Folder();
    return () => {
      disk?.[Symbol.dispose]();
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
        if (!GOES_ON.has(outcome)) return;
      }
    });
    await Promise.all(writers);
    return outcomes;
  }

  test.each([
    ['the log', 6],
    ['a file of the tables', 100],
  ])(
    'without room for %s: answers are true, closing works, and so does opening again later',
    async (_, mebibytes) => {
      disk = new SmallDisk(folder.file('root'), mebibytes);
      const address = `local:${disk.path}`;
      const vamos = await connect(address);
      const outcomes = await fill(vamos);
      for (const outcome of outcomes.values()) {
        if (!GOES_ON.has(outcome)) expect(outcome).toBe('DISK_FULL');
      }
      expect([...outcomes.values()]).toContain('done');
      const refusal = await vamos.tables.list().catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'DISK_FULL' });
      expect(String(refusal)).toContain('make room on it, close the connection and open it again');
      await vamos.close();

      disk.resize(2 * mebibytes + 64);
      await using again = await connect(address);
      const table = await again.tables.open(notes);
      for (const [id, outcome] of outcomes) {
        const isThere = (await table.get({ id })) !== undefined;
        if (outcome === 'done') expect(isThere, `row ${id}`).toBe(true);
        else if (outcome !== 'OUTCOME_UNKNOWN') expect(isThere, `row ${id}: ${outcome}`).toBe(false);
      }
      await table.writeRow({ id: 1_000_000, text: new Uint8Array(1) });
    },
  );
});
