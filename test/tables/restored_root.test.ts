/** A host whose data is put back to an earlier state (a restored backup) while a guest goes on. */
import { cpSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import { Place } from './place.js';
import { SilentGuest } from './silent_guest.js';

const notes = defineTable({ name: 'notes', columns: { id: t.uint32() }, primaryKey: ['id'] });

/** Returns the code of a call's failure, or `done`. */
async function code(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'done',
    (error: unknown) => (error instanceof VamosError ? error.code : String(error)),
  );
}

describe('a commit that is lost while the host is put back to a state without earlier commits', () => {
  let place: Place;
  let guest: SilentGuest;
  let table: Table<typeof notes>;

  beforeEach(async () => {
    place = await Place.make('split');
    guest = await SilentGuest.start(place);
    table = await guest.tables.create(notes);
  });
  afterEach(async () => {
    await guest.client.close();
    await place[Symbol.asyncDispose]();
  });

  /**
   * Loses the last commit: the host comes back as it was before what `acknowledged` does.
   * @param last calls its argument before it sends its commit
   */
  async function lose(
    acknowledged: () => Promise<unknown>,
    last: (loseCommit: () => void) => Promise<unknown>,
  ): Promise<string> {
    await place.kill((directory) => {
      cpSync(directory, `${directory}.backup`, { recursive: true });
    });
    // The first attempt may meet the session's end.
    while ((await code(acknowledged())) !== 'done') continue;
    const outcome = code(
      last(() => {
        guest.fallSilent();
      }),
    );
    await guest.hasSent(1);
    guest.loseConnection();
    await place.kill((directory) => {
      rmSync(directory, { recursive: true });
      cpSync(`${directory}.backup`, directory, { recursive: true });
    });
    guest.comeBack();
    return outcome;
  }

  const ids = async (): Promise<number[]> => (await table.rndScan().all()).map(({ id }) => id);

  it.each([
    [
      'a write of its own',
      (id: number, beforeCommit: () => void) => {
        beforeCommit();
        return table.writeRow({ id });
      },
    ],
    [
      'a transaction',
      (id: number, beforeCommit: () => void) =>
        guest.tables.transaction(async (transaction) => {
          await transaction.table(table).writeRow({ id });
          beforeCommit();
        }),
    ],
    [
      'a chain',
      (id: number, beforeCommit: () => void) =>
        guest.tables.chain((chain) => {
          chain.writeRow(table, { id });
          chain.commit();
          beforeCommit();
        }),
    ],
  ])('has an outcome that is not known, and is not made again: %s', async (_, write) => {
    const nothing = () => undefined;
    await write(1, nothing);
    const outcome = await lose(
      () => write(2, nothing),
      (loseCommit) => write(3, loseCommit),
    );
    expect(outcome).toBe('OUTCOME_UNKNOWN');
    expect(await ids()).toEqual([1]);
    await write(4, nothing);
    expect(await ids()).toEqual([1, 4]);
  });

  it('is told as not done where the host has all that it acknowledged', async () => {
    await table.writeRow({ id: 1 });
    const outcome = await lose(ids, (loseCommit) => {
      loseCommit();
      return table.writeRow({ id: 2 });
    });
    expect(outcome).toBe('SESSION_LOST');
    expect(await ids()).toEqual([1]);
  });
});
