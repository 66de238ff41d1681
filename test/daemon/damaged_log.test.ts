/** A guest whose log is damaged: it is refused, nothing is changed, and its owner may accept what is lost. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { defineTable, t } from '../../guest/tables/index.js';
import type { RepairReport } from '../../host/modules/tables/binding.js';
import { Daemon, Folder, until, vamos } from '../../lab/daemon/daemon.js';

const notes = defineTable({ name: 'notes', columns: { id: t.uint32(), text: t.text() }, primaryKey: ['id'] });
const ROWS = 400;

/** Makes a root with ROWS synced rows, and returns its log. */
async function makeRoot(root: string): Promise<string> {
  const connector = await connect(`local:${root}`);
  const table = await connector.tables.create(notes);
  for (let id = 1; id <= ROWS; id++) await table.writeRow({ id, text: `row ${id}` });
  await connector.close();
  const tables = path.join(root, 'tables');
  const logs = readdirSync(tables).filter((file) => file.endsWith('.log'));
  return path.join(tables, logs.at(-1)!);
}

function flipBit(file: string, share: number): void {
  const bytes = readFileSync(file);
  bytes[Math.floor(bytes.length * share)]! ^= 1;
  writeFileSync(file, bytes);
}

function filesBelow(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    files
      .map((entry) => path.join(entry.parentPath, entry.name))
      .map((file) => [file, readFileSync(file).toString('base64')]),
  );
}

test(
  'a guest with a damaged log is refused, and served without what was lost once that is accepted',
  { timeout: 120_000 },
  async () => {
    using folder = new Folder();
    const log = await makeRoot(folder.file('bad'));
    flipBit(log, 0.25);
    const before = filesBelow(folder.file('bad'));
    writeFileSync(
      folder.file('host.yaml'),
      `restart: {failedMs: 1000}
guests:
  good: {root: good, channels: ["unix:${folder.file('c')}"]}
  bad: {root: bad, channels: ["unix:${folder.file('d')}"]}
`,
    );
    await using daemon = await Daemon.start(folder, ['--config', folder.file('host.yaml')]);
    const bad = await until(async () => {
      const guest = await daemon.guest('bad');
      return guest.state === 'failed' && guest.restarts >= 1 && guest;
    });
    expect(bad.error).toMatchObject({ code: 'CORRUPTION' });
    expect(bad.error!.message).toContain(`${path.basename(log)} is damaged at byte`);
    expect(bad.error!.message).toContain('vamos host repair');
    expect(daemon.log).toContainEqual(
      expect.objectContaining({ msg: 'guest: cannot serve', guest: 'bad', code: 'CORRUPTION' }),
    );
    await until(async () => {
      const { stdout } = await vamos('host', 'status', '--control', daemon.control);
      return stdout.includes(`bad: CORRUPTION: ${bad.error!.message}`);
    });
    const good = await daemon.serving('good');

    const repair = (...args: string[]) => vamos('host', 'repair', ...args, '--control', daemon.control);
    const told = await repair('bad');
    expect(told).toMatchObject({ code: 0, stderr: '' });
    expect(told.stdout).toMatch(/lost, if that is accepted: \d+ commits that can still be read/);
    expect(told.stdout).toContain('vamos host repair bad --accept-loss');
    expect(filesBelow(folder.file('bad'))).toEqual(before);
    expect((await daemon.guest('bad')).state).not.toBe('serving');
    expect(await repair('good')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('only one that failed') as unknown,
    });

    const accepted = await repair('bad', '--accept-loss', '--json');
    const report = JSON.parse(accepted.stdout) as RepairReport;
    expect(report.lostCommits).toBeGreaterThan(ROWS / 2);
    expect(readFileSync(path.join(report.keptIn, path.basename(log))).toString('base64')).toBe(
      before.get(log),
    );
    expect(daemon.log).toContainEqual(
      expect.objectContaining({
        msg: 'guest: the loss of commits was accepted',
        guest: 'bad',
        lostCommits: report.lostCommits,
      }),
    );
    await daemon.serving('bad');
    await using connector = await connect(`unix:${folder.file('d')}`);
    const table = await connector.tables.open('notes');
    const { count } = await table.aggregate({});
    expect(count).toBeGreaterThan(ROWS / 10);
    expect(count).toBeLessThan(ROWS / 2);
    // Every row is there or was counted, except the one that was hit.
    expect(count + report.lostCommits).toBeGreaterThanOrEqual(ROWS - 1);
    expect(await daemon.serving('good')).toMatchObject({ pid: good.pid, restarts: 0 });
  },
);

test(
  'a daemon whose only guest is refused tells why, repairs it, and serves it then',
  { timeout: 120_000 },
  async () => {
    using folder = new Folder();
    const log = await makeRoot(folder.file('root'));
    flipBit(log, 0.25);
    const args = ['--root', folder.file('root'), '--channel', `unix:${folder.file('c')}`];
    await using daemon = await Daemon.start(folder, args);
    expect(daemon.stdout).toContain('vamos: serving no guests');
    expect(daemon.stderr).toMatch(/vamos: guest guest is not served: CORRUPTION: .* is damaged at byte/);
    const { stdout } = await vamos('host', 'status', '--control', daemon.control);
    expect(stdout).toMatch(/guest +failed/);
    expect(stdout).toMatch(/guest: CORRUPTION: .* is damaged at byte/);
    const repair = ['host', 'repair', 'guest', '--accept-loss', '--control', daemon.control];
    expect(await vamos(...repair)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('lost') as unknown,
    });
    await daemon.serving('guest');
    expect(daemon.process.exitCode).toBe(null);
  },
);

test('a root that no daemon serves is repaired by its folder', async () => {
  using folder = new Folder();
  const log = await makeRoot(folder.file('root'));
  const root = ['--root', folder.file('root')];
  expect(await vamos('host', 'repair', ...root)).toMatchObject({
    code: 0,
    stdout: 'vamos: nothing is damaged\n',
  });
  flipBit(log, 0.9);
  await expect(connect(`local:${folder.file('root')}`)).rejects.toMatchObject({ code: 'CORRUPTION' });
  expect((await vamos('host', 'repair', ...root)).stdout).toContain(
    `vamos host repair --root ${root[1]} --accept-loss`,
  );
  const { stdout } = await vamos('host', 'repair', ...root, '--accept-loss');
  expect(stdout).toMatch(/the logs as they were are kept in .*lost-\d+T\d+Z/);
  await using connector = await connect(`local:${folder.file('root')}`);
  const { count } = await (await connector.tables.open('notes')).aggregate({});
  expect(count).toBeGreaterThan(ROWS / 2);
});

test("the end of a log that was lost unsynced is told in the daemon's log", async () => {
  using folder = new Folder();
  const log = await makeRoot(folder.file('root'));
  writeFileSync(log, Buffer.concat([readFileSync(log), Buffer.alloc(100, 7)]));
  const args = ['--root', folder.file('root'), '--channel', `unix:${folder.file('c')}`];
  await using daemon = await Daemon.start(folder, args);
  await daemon.serving('guest');
  expect(daemon.log).toContainEqual(
    expect.objectContaining({
      msg: 'store: message',
      message: expect.stringContaining('100 bytes that were never synced') as unknown,
    }),
  );
});
