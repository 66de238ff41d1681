import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderResults } from '../../bench/transitions/render.js';
import { renderReport } from '../../bench/transitions/report.js';
import type { TransitionReport, TransitionRow } from '../../bench/transitions/result.js';
import { sampleReport, sampleRow } from './transitions_sample.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-test-render-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Returns what is made of a report, by the names of the files. */
async function render(name: string, report: unknown): Promise<Record<string, string>> {
  const file = path.join(folder, `${name}.json`);
  await writeFile(file, JSON.stringify(report));
  const output = path.join(folder, name);
  const files = await renderResults(file, output);
  expect(files.map((each) => path.basename(each)).sort()).toEqual((await readdir(output)).sort());
  const texts = await Promise.all(files.map((each) => readFile(each, 'utf8')));
  return Object.fromEntries(files.map((each, index) => [path.basename(each), texts[index]!]));
}

const withRows = (...rows: TransitionRow[]): TransitionReport => ({ ...sampleReport(), rows });

test('the same results give the same table and plots, in whatever order their rows stand', async () => {
  const report = sampleReport();
  const once = await render('once', report);
  expect(Object.keys(once).sort()).toEqual([
    'improvement.svg',
    'switches.svg',
    'transitions.md',
    'transitions.svg',
    'work-W1.svg',
    'work-W3.svg',
    'work-W5.svg',
    'work-W6.svg',
  ]);
  expect(await render('again', { ...report, rows: [...report.rows].reverse() })).toEqual(once);
});

test('each plot is an SVG that says what it shows, its units and the accelerator', async () => {
  const files = await render('plots', sampleReport());
  for (const [name, text] of Object.entries(files).filter(([file]) => file.endsWith('.svg'))) {
    expect(text.startsWith('<svg '), name).toBe(true);
    expect(text, name).not.toMatch(/NaN|undefined|Infinity/);
    expect(text, name).toContain('Guest under TCG, 2026-11-22.');
  }
  expect(files['transitions.svg']).toContain('transitions a statement (kicks and interrupts, logarithmic)');
  expect(files['work-W1.svg']).toMatch(/CPU time a statement, ms/);
  expect(files['improvement.svg']).toContain('A model: a cycle for each instruction');
  expect(files['switches.svg']).toContain('4 MiB');
});

test("the table holds the median and spread of each engine's transitions, and the target of VAMOS", () => {
  const row = { ...sampleRow('W1', 'vamos'), statements: 10, kicks: [20, 25, 22], interrupts: [10, 10, 10] };
  const text = renderReport(withRows(sampleRow('W1', 'aria'), row));
  expect(text).toContain('| W1 1 KiB |');
  expect(text).toContain('| 3.20 (3.00 to 3.50) | <= 3 (missed) |');
  expect(text).toContain('All engines gave the same results');
});

test('engines that gave different results are named', () => {
  const text = renderReport(
    withRows(sampleRow('W3', 'vamos'), { ...sampleRow('W3', 'aria'), checksum: 'other' }),
  );
  expect(text).toContain('**Engines gave different results:**');
  expect(text).toMatch(/W3.*aria other/);
});

test('some workloads on one engine are shown as far as they go', async () => {
  const files = await render('one', withRows(sampleRow('W1', 'vamos'), sampleRow('W13', 'vamos', 188)));
  expect(Object.keys(files).sort()).toEqual([
    'switches.svg',
    'transitions.md',
    'transitions.svg',
    'work-W1.svg',
  ]);
  expect(files['transitions.md']).toContain('Not measured: it takes VAMOS and another engine.');
});

test('nothing measured makes a table and no plot', async () => {
  expect(Object.keys(await render('nothing', withRows()))).toEqual(['transitions.md']);
});

test('without instructions and host times their panels and columns stay away or empty', async () => {
  const bare = (engine: TransitionRow['engine'], rowBytes: number): TransitionRow => ({
    ...sampleRow('W1', engine, rowBytes),
    guestInstructions: [],
    guestKernelInstructions: [],
    guestUserInstructions: [],
    hostCpuMs: { vcpu: [], devices: [], worker: [] },
  });
  const rows = [bare('vamos', 64), bare('aria', 64), bare('vamos', 1024), bare('aria', 1024)];
  const files = await render('kvm', { ...withRows(...rows), accelerator: 'kvm' });
  expect(Object.keys(files)).not.toContain('work-W1.svg');
  expect(files['improvement.svg']).toContain('Measured time.');
  expect(files['transitions.md']).toContain('Guest under KVM');
});

test('an engine without a single transition is drawn, too', async () => {
  const none = { ...sampleRow('W10', 'innodb-tuned'), kicks: [0, 0, 0], interrupts: [0, 0, 0] };
  const { 'transitions.svg': text } = await render('zero', withRows(none, sampleRow('W10', 'vamos')));
  expect(text).toContain('0 InnoDB, tuned');
  expect(text).not.toMatch(/NaN|Infinity/);
});

test('quick runs are said to be quick', () => {
  const quick = (row: TransitionRow): TransitionRow => ({ ...row, scale: 'quick' });
  const rows = [sampleRow('W1', 'vamos'), sampleRow('W3', 'vamos')] as const;
  expect(renderReport(withRows(quick(rows[0]), quick(rows[1])))).toContain(', quick run.');
  expect(renderReport(withRows(quick(rows[0]), rows[1]))).toContain(', in part from a quick run.');
});

test('a file that is not what the benchmark writes is refused, with the place of each fault', async () => {
  const report = sampleReport();
  const [first, second] = report.rows;
  const broken = {
    ...report,
    accelerator: 'xen',
    rows: [
      { ...first, kicks: [1, -1, 1.5], engine: 'oracle' },
      { ...second, interrupts: [1, 2], hostCpuMs: { vcpu: [1], devices: [], worker: [] } },
      second,
    ],
  };
  const failure = await render('broken', broken).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'BAD_CONFIGURATION' });
  const { message } = failure as Error;
  for (const place of ['accelerator', 'rows.0.kicks.1', 'rows.0.kicks.2', 'rows.0.engine']) {
    expect(message).toContain(`broken.json: ${place}: `);
  }
  const lengths = { ...report, rows: [broken.rows[1], second] };
  await expect(render('lengths', lengths)).rejects.toMatchObject({
    code: 'BAD_CONFIGURATION',
    message: expect.stringMatching(
      /rows\.0\.hostCpuMs\.vcpu: 1 values for 3 repetitions\n.*rows\.0\.interrupts: 2 values for 3 repetitions/,
    ) as string,
  });
  await expect(render('twice', { ...report, rows: [second, second] })).rejects.toThrow(
    /rows\.1: W1 with rows of 64 bytes on innodb-tuned twice/,
  );
});

test('a file that is absent or no JSON is refused by name', async () => {
  await expect(renderResults(path.join(folder, 'absent.json'), folder)).rejects.toMatchObject({
    code: 'BAD_CONFIGURATION',
    message: expect.stringContaining('absent.json') as string,
  });
  const file = path.join(folder, 'half.json');
  await writeFile(file, '{"rows": [');
  await expect(renderResults(file, folder)).rejects.toMatchObject({
    code: 'BAD_CONFIGURATION',
    message: expect.stringContaining('half.json: ') as string,
  });
});
