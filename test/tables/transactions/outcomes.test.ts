import { describe, expect, it } from 'vitest';
import { defineTable, t } from '../../../guest/tables/index.js';
import { VamosError } from '../../../src/protocol/errors.js';
import { Place } from '../place.js';

const notes = defineTable({ name: 'notes', columns: { id: t.uint32() }, primaryKey: ['id'] });

describe('writes under way when the host is killed', () => {
  it.each([
    ['a write of its own', 1, []],
    ['a transaction', 8, []],
    ['a chain', 8, []],
    // A commit that failed before a later one of its stream was done can't be told from one that was done.
    ['a write of its own', 8, ['OUTCOME_UNKNOWN']],
  ])(
    'of %s, from %d writers, are there where they were acknowledged and gone where the session is lost',
    { timeout: 120_000 },
    async (kind, writerCount, undecided) => {
      await using place = await Place.make('split');
      const table = await place.tables.create(notes);
      const outcomes = new Map<number, string>();
      let lastId = 0;
      let isStopped = false;
      const write = async (id: number): Promise<unknown> => {
        if (kind === 'a write of its own') return table.writeRow({ id });
        if (kind === 'a chain') {
          return place.tables.chain((chain) => {
            chain.writeRow(table, { id });
            chain.commit();
          });
        }
        return place.tables.transaction((each) => each.table(table).writeRow({ id }), { retries: 0 });
      };
      const writers = Array.from({ length: writerCount }, async () => {
        while (!isStopped) {
          const id = ++lastId;
          const outcome = await write(id).then(
            () => 'done',
            (error: unknown) => (error instanceof VamosError ? error.code : String(error)),
          );
          outcomes.set(id, outcome);
        }
      });
      for (let kill = 0; kill < 3; kill++) {
        const from = lastId;
        while (lastId < from + 60) await new Promise(setImmediate);
        await place.kill();
      }
      isStopped = true;
      await Promise.all(writers);
      const found = new Set((await table.rndScan().all()).map((row) => row.id));
      for (const [id, outcome] of outcomes) {
        if (outcome === 'done') expect(found.has(id), `row ${id}`).toBe(true);
        else if (outcome === 'SESSION_LOST') expect(found.has(id), `row ${id}`).toBe(false);
        else expect(undecided).toContain(outcome);
      }
      expect([...outcomes.values()].some((outcome) => outcome !== 'done')).toBe(true);
    },
  );
});
