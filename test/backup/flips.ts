import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '../../entry/guest.js';
import { verifyFolder } from '../../host/backup/verify_folder.js';
import type { Folder } from '../../lab/daemon/daemon.js';
import { accounts, makeBank } from './bank.js';

const ROWS = 300;

/** Makes a root with rows in a table file and in the log that is not closed, as a killed worker leaves it. */
async function makeRoot(folder: Folder): Promise<string> {
  const root = folder.file('flipped');
  const whole = folder.file('whole');
  for (const round of [0, 1]) {
    await using connector = await connect(`local:${root}`);
    if (round === 0) await makeBank(connector);
    const table = await connector.tables.open(accounts);
    const first = 1000 + round * ROWS;
    await table.writeRows(
      Array.from({ length: ROWS }, (_, id) => ({ id: first + id, balance: 1n, city: `city ${id}` })),
    );
    if (round === 1) cpSync(root, whole, { recursive: true });
  }
  rmSync(root, { recursive: true });
  return whole;
}

async function countRows(root: string): Promise<number> {
  await using connector = await connect(`local:${root}`);
  let rows = 0;
  for await (const row of (await connector.tables.open(accounts)).rndScan()) rows += row.id >= 0 ? 1 : 0;
  return rows;
}

export interface Flips {
  found: number;
  refused: number;
  harmless: number;
  /** Places of which neither the verification nor the opening said anything although rows were gone. */
  missed: string[];
}

/** Flips a bit at places all over the files of a root, one at a time, and notes what notices it. */
export async function flipBits(folder: Folder, places: number): Promise<Flips> {
  const whole = await makeRoot(folder);
  const control = folder.file('control');
  cpSync(whole, control, { recursive: true });
  const expected = await countRows(control);
  const tables = path.join(whole, 'tables');
  const files = readdirSync(tables).filter((name) => statSync(path.join(tables, name)).size > 0);
  const flips: Flips = { found: 0, refused: 0, harmless: 0, missed: [] };
  const root = folder.file('flipped');
  const perFile = Math.ceil(places / files.length);
  for (const name of files) {
    const bytes = readFileSync(path.join(tables, name));
    for (let number = 0; number < perFile; number++) {
      const offset = Math.floor(((number + 0.5) * bytes.length) / perFile);
      const bit = (number * 5 + offset) % 8;
      rmSync(root, { recursive: true, force: true });
      cpSync(whole, root, { recursive: true });
      const flipped = Buffer.from(bytes);
      flipped[offset]! ^= 1 << bit;
      writeFileSync(path.join(root, 'tables', name), flipped);
      const report = await verifyFolder(root, { signal: new AbortController().signal }).catch(
        () => undefined,
      );
      if (!report?.isSound) {
        flips.found++;
        continue;
      }
      const rows = await countRows(root).catch(() => undefined);
      if (rows === undefined) flips.refused++;
      else if (rows === expected) flips.harmless++;
      else flips.missed.push(`${name} at ${offset}, bit ${bit}: ${rows} rows of ${expected}`);
    }
  }
  return flips;
}
