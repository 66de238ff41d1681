import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { Daemon, Folder, until } from '../../lab/daemon/daemon.js';
import { METRICS } from '../../src/protocol/generated/metrics.js';
import { notes } from './rows.js';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const address = () => `unix:${folder.file('c')}`;

/** Parses Prometheus' text format, each sample by its name and labels; fails on a line that is none. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)$/.exec(line);
    if (comment) {
      if (comment[1] === 'TYPE') {
        expect(typed, `TYPE of ${comment[2]} is given twice`).not.toContain(comment[2]);
        typed.add(comment[2]!);
      }
      continue;
    }
    const sample = /^([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})? (\S+)$/.exec(line);
    expect(sample, `not a sample: ${line}`).not.toBeNull();
    const value = Number(sample![3]!.replace('Inf', 'Infinity').replace('Nan', 'NaN'));
    const labels = (sample![2] ?? '{}').slice(1, -1).split(',').sort().join(',');
    const key = sample![1]! + (labels && `{${labels}}`);
    expect(samples.has(key), line).toBe(false);
    samples.set(key, value);
  }
  return samples;
}

test('a scrape parses, its counts rise with the work done, and a gone worker shows as down', async () => {
  const args = ['--root', folder.file('a'), '--channel', address(), '--name', 'web', '--metrics', '0'];
  await using daemon = await Daemon.start(folder, args);
  const { metrics } = await daemon.status();
  expect(metrics).toMatch(/^127\.0\.0\.1:\d+$/);
  const scrape = async () => {
    const response = await fetch(`http://${metrics}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    return parse(await response.text());
  };

  await using connector = await connect(address());
  const table = await connector.tables.create(notes);
  const get = (samples: Map<string, number>, name: string) => samples.get(`${name}{guest="web"}`);
  // A worker that does not answer within a moment counts as down, too.
  const scrapeUp = () =>
    until(async () => {
      const samples = await scrape();
      return get(samples, 'vamos_guest_up') === 1 && samples;
    });
  const before = await scrapeUp();
  expect(get(before, 'vamos_sessions')).toBe(1);

  await Promise.all(
    Array.from({ length: 50 }, (_, id) => table.writeRow({ id, group: 0, text: 'x'.repeat(100) })),
  );
  await connector.files.writeFile('log', 'one line\n');
  const after = await scrapeUp();
  const rise = (name: string) => get(after, name)! - get(before, name)!;
  expect(rise('vamos_requests_total')).toBeGreaterThanOrEqual(51);
  expect(rise('vamos_request_frames_total')).toBeGreaterThanOrEqual(1);
  expect(rise('vamos_request_frames_total')).toBeLessThan(rise('vamos_requests_total'));
  expect(rise('vamos_bytes_received_total')).toBeGreaterThan(5000);
  expect(rise('vamos_bytes_sent_total')).toBeGreaterThan(0);
  expect(rise('vamos_tables_commits_total')).toBe(50);
  expect(rise('vamos_tables_syncs_total')).toBeGreaterThanOrEqual(1);
  expect(get(after, 'vamos_tables_block_cache_hits_total')).toBeGreaterThanOrEqual(0);
  expect(rise('vamos_worker_cpu_seconds_total')).toBeGreaterThan(0);
  expect(get(after, 'vamos_worker_resident_bytes')).toBeGreaterThan(1e7);
  expect(after.get('vamos_request_seconds_count{guest="web",method="insert",module="tables"}')).toBe(50);
  expect(
    after.get('vamos_request_seconds_bucket{guest="web",le="+Inf",method="insert",module="tables"}'),
  ).toBe(50);

  process.kill((await daemon.serving('web')).pid, 'SIGSTOP');
  const stuck = await scrape();
  expect(get(stuck, 'vamos_guest_up')).toBe(0);
  process.kill((await daemon.guest('web')).pid!, 'SIGCONT');
});

test('/healthz tells that the daemon lives; other paths and methods are refused', async () => {
  const args = ['--root', folder.file('a'), '--channel', address(), '--metrics', '127.0.0.1:0'];
  await using daemon = await Daemon.start(folder, args);
  const url = `http://${(await daemon.status()).metrics}`;
  const health = await fetch(`${url}/healthz`);
  expect([health.status, await health.text()]).toEqual([200, 'ok\n']);
  expect((await fetch(`${url}/other`)).status).toBe(404);
  expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405);
});

test('each count of a module is exposed, a gauge as a gauge and a counter as a counter', async () => {
  const args = ['--root', folder.file('a'), '--channel', address(), '--name', 'web', '--metrics', '0'];
  await using daemon = await Daemon.start(folder, args);
  const { metrics } = await daemon.status();
  // A worker that does not answer within a moment shows no counts.
  const text = await until(async () => {
    const scraped = await (await fetch(`http://${metrics}/metrics`)).text();
    return scraped.includes('vamos_guest_up{guest="web"} 1') && scraped;
  });
  const types = [...text.matchAll(/^# TYPE (vamos_(?:tables|files)_\S+) (\S+)$/gm)].map(
    ([, name, type]) => [name, type] as const,
  );
  const declared = Object.entries(METRICS).flatMap(([module, counts]) =>
    Object.entries(counts).map(([name, { type }]) => {
      const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      return [`vamos_${module}_${snake}${type === 'counter' ? '_total' : ''}`, type] as const;
    }),
  );
  expect(new Map(types)).toEqual(new Map(declared));
  // Both rise and fall.
  expect(types).toContainEqual(['vamos_tables_blobs_pending', 'gauge']);
  expect(types).toContainEqual(['vamos_tables_transactions_prepared', 'gauge']);
});
