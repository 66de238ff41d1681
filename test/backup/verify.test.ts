import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import type { FolderReport } from '../../host/backup/verify_folder.js';
import type { GuestVerification } from '../../host/daemon/supervisor.js';
import { Daemon, Folder, until, vamos } from '../../lab/daemon/daemon.js';
import { ACCOUNTS, address, checkpoint, Load, makeBank, restartWorker, startDaemon } from './bank.js';

async function verify<Report>(...args: string[]): Promise<{ code: unknown; report: Report }> {
  const { code, stdout, stderr } = await vamos('host', 'verify', '--json', ...args);
  if (stdout === '') throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as Report };
}

function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[Math.floor(bytes.length / 2)]! ^= 16;
  writeFileSync(file, bytes);
}

test('a guest is verified while it goes on, and so are its checkpoint and its root', async () => {
  using folder = new Folder();
  {
    await using daemon = await startDaemon(folder);
    await using connector = await connect(address(folder));
    await makeBank(connector);
    await restartWorker(daemon);
    const load = new Load(connector);
    await until(() => load.acknowledged.size > 50);
    const { code, report } = await verify<GuestVerification>('bank', '--control', daemon.control);
    expect(report).toMatchObject({ isSound: true, findings: [], tables: 2 });
    expect(report.totals.files).toBeGreaterThan(0);
    expect(report.totals.filesWithChecksum).toBe(report.totals.files);
    expect(report.totals.rows).toBeGreaterThan(ACCOUNTS);
    expect(report.totals.entries).toBe(report.totals.rows);
    expect(code).toBe(0);
    await checkpoint(daemon, folder.file('checkpoint'));
    await until(() => load.acknowledged.size > 200);
    await checkpoint(daemon, folder.file('second'));
    await load.stop();
    const used = await vamos('host', 'verify', folder.file('root'));
    expect(used).toMatchObject({ code: 2 });
    expect(used.stderr).toContain('ROOT_IN_USE');
  }
  for (const what of ['checkpoint', 'second', 'root']) {
    const { code, report } = await verify<FolderReport>(folder.file(what));
    expect(report).toMatchObject({ isSound: true, findings: [], tables: 2 });
    expect(report.totals!.entries).toBe(report.totals!.rows);
    expect(code).toBe(0);
  }

  cpSync(folder.file('root'), folder.file('damaged'), { recursive: true });
  const tables = folder.file('damaged/tables');
  // The catalogue lies in the damaged block, too: where that is not in the cache a round ends there, and says so.
  flip(
    path.join(
      tables,
      readdirSync(tables).find((name) => name.endsWith('.sst'))!,
    ),
  );
  const { code, report } = await verify<FolderReport>(folder.file('damaged'));
  expect(report.isSound).toBe(false);
  expect(report.findingCount).toBeGreaterThan(0);
  expect(code).toBe(1);
  expect(await vamos('host', 'verify', folder.file('absent'))).toMatchObject({ code: 2 });
});

test('scrub finds in the background what a disk did to a table file, and says so in status, log and metrics', async () => {
  using folder = new Folder();
  const file = folder.file('host.yaml');
  writeFileSync(
    file,
    `metrics: 127.0.0.1:0\nguests:\n  bank: {root: root, channels: ["${address(folder)}"], scrub: {intervalHours: 0.0001}}\n`,
  );
  await using daemon = await Daemon.start(folder, ['--config', file]);
  await using connector = await connect(address(folder));
  await makeBank(connector);
  await restartWorker(daemon);
  const counters = async () => (await daemon.reporting('bank')).report.modules.tables!;
  const { scrubRounds } = await counters();
  await until(async () => (await counters()).scrubRounds! > scrubRounds! + 1);
  expect((await counters()).scrubFindings).toBe(0);

  const tables = folder.file('root/tables');
  // The catalogue lies in the damaged block, too: where that is not in the cache a round ends there, and says so.
  flip(
    path.join(
      tables,
      readdirSync(tables).find((name) => name.endsWith('.sst'))!,
    ),
  );
  await until(async () => (await counters()).scrubFindings! > 0);
  await until(() => daemon.log.some(({ msg }) => String(msg).startsWith('scrub: stored data are damaged')));
  const { stdout } = await vamos('host', 'status', '--control', daemon.control);
  expect(stdout).toMatch(/bank: scrub found \d+ faults: vamos host verify bank names them/);
  const { metrics } = await daemon.status();
  const text = await (await fetch(`http://${metrics}/metrics`)).text();
  expect(text).toMatch(/^vamos_tables_scrub_findings\{guest="bank"\} [1-9]/m);
});
