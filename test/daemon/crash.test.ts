import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { Daemon, Folder, until } from '../../lab/daemon/daemon.js';
import { notes } from './rows.js';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const ROUNDS = 5;
const STREAMS = 8;
const GROUP_ROWS = 5;

/**
 * Each group of rows is one transaction: by chain, by a batch, or step by step. Ids tell group and place in it, so a
 * group that is there in part shows.
 */
const idsOf = (group: number) => Array.from({ length: GROUP_ROWS }, (_, place) => group * GROUP_ROWS + place);
const textOf = (id: number) => `${id}:`.repeat(1 + (id % 40));

test('kill -9 of a worker in the middle of a load loses no acknowledged commit and leaves none in part', async () => {
  const address = `unix:${folder.file('c')}`;
  writeFileSync(
    folder.file('host.yaml'),
    `restart: {firstMs: 20, longestMs: 20}\nguests:\n  guest: {root: root, channels: ["${address}"]}\n`,
  );
  await using daemon = await Daemon.start(folder, ['--config', folder.file('host.yaml')]);
  const acknowledged = new Set<number>();
  const attempted = new Set<number>();
  const failures = new Set<string>();
  let nextGroup = 0;

  for (let round = 0; round < ROUNDS; round += 1) {
    const { pid } = await daemon.serving('guest');
    await using connector = await connect(address);
    if (round === 0) await connector.tables.create(notes);
    let isKilled = false;
    const streams = Array.from({ length: STREAMS }, async (_, number) => {
      const { tables } = connector.stream();
      const table = await tables.open(notes);
      while (!isKilled) {
        const group = nextGroup++;
        const rows = idsOf(group).map((id) => ({ id, group, text: textOf(id) }));
        attempted.add(group);
        try {
          if (number % 3 === 0) {
            await table.writeRows(rows);
          } else if (number % 3 === 1) {
            await tables.chain((chain) => {
              for (const row of rows) chain.writeRow(table, row);
              chain.commit();
            });
          } else {
            const transaction = tables.begin();
            for (const row of rows) await transaction.table(table).writeRow(row);
            await transaction.commit();
          }
          acknowledged.add(group);
        } catch (error) {
          failures.add((error as { code: string }).code);
          return;
        }
      }
    });
    const before = acknowledged.size;
    await until(() => acknowledged.size > before + 20);
    await delay(Math.random() * 150);
    process.kill(pid, 'SIGKILL');
    isKilled = true;
    await Promise.all(streams);
    await until(async () => (await daemon.guest('guest')).pid !== pid);
  }

  const guest = await daemon.serving('guest');
  expect(guest.restarts).toBe(ROUNDS);
  await using connector = await connect(address);
  const table = await connector.tables.open(notes);
  const ids = [...acknowledged].flatMap(idsOf);
  const read = await table.getMany(ids);
  expect(
    ids.filter((_, index) => read[index] === undefined),
    'acknowledged rows that are gone',
  ).toEqual([]);
  const found = new Map<number, number>();
  for await (const row of table.rndScan()) {
    expect(row.text).toBe(textOf(row.id));
    expect(Math.floor(row.id / GROUP_ROWS)).toBe(row.group);
    found.set(row.group, (found.get(row.group) ?? 0) + 1);
  }
  const lost = [...acknowledged].filter((group) => !found.has(group));
  expect(lost, 'acknowledged groups that a scan does not find').toEqual([]);
  const partial = [...found].filter(([, rows]) => rows !== GROUP_ROWS);
  expect(partial, 'groups that are there in part').toEqual([]);
  expect([...found.keys()].filter((group) => !attempted.has(group))).toEqual([]);
  for (const code of failures) expect(['SESSION_LOST', 'OUTCOME_UNKNOWN']).toContain(code);
  expect(acknowledged.size).toBeGreaterThan(ROUNDS * 20);
}, 120_000);
