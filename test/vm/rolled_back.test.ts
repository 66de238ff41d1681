/** Guests whose memory is put back to a snapshot (QEMU's savevm and loadvm). With MariaDB: npm run test:rollback. */
import { expect, test } from 'vitest';
import { BOOT_HOOK_TIMEOUT_MS } from './guest.js';
import { Rollback } from './rollback.js';
import { NOTES, TALLIES, WRITERS } from './writers.js';

test(
  'a guest under load that is put back to a snapshot, by its own QEMU or by another one, loses and doubles no commit and goes on',
  { timeout: BOOT_HOOK_TIMEOUT_MS },
  async () => {
    await using rollback = new Rollback({
      machine: { memoryMiB: 384 },
      program: 'writers-main.js',
      notes: NOTES.name,
      tallies: TALLIES.name,
      prepare: async (_, { tables }) => {
        await tables.create(NOTES);
        const tallies = await tables.create(TALLIES);
        for (let writer = 0; writer < WRITERS; writer++) await tallies.writeRow({ writer, counted: 0 });
      },
    });
    expect(await rollback.run()).toEqual([]);
  },
);
