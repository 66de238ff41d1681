/** Runs each program of examples/, unsplit and split: it succeeds, and prints the same. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { Daemon, Folder } from '../../lab/daemon/daemon.js';
import { packageRoot } from '../../src/native.js';

const EXPECTED: Record<string, string[]> = {
  orders: [
    'customer 7: green tea, 480 cents',
    'customer 7: teapot, 3100 cents',
    'less than 10: green tea',
    'less than 10: coffee',
    'customer 7: 2 orders, 3580 cents',
  ],
  queue: ['20 jobs were done, 20 of them different', '0 jobs are left'],
  journal: ['OPENED', 'ONE ORDER', 'TWO ORDERS', 'THREE ORDERS', '41 bytes'],
  batches: [
    'one after the other: 10 requests, 10 frames',
    'in one turn: 10 requests, 1 frames',
    'in one request: 1 requests, 1 frames',
    'summed up on the host: 1 requests, 1 frames',
  ],
};

async function run(example: string, address: string): Promise<string[]> {
  const program = path.join(packageRoot, `dist/examples/${example}.js`);
  const { stdout } = await promisify(execFile)(process.execPath, [program, address], { timeout: 100_000 });
  return stdout.trimEnd().split('\n');
}

test('each example has its expected output here', () => {
  const programs = readdirSync(path.join(packageRoot, 'examples')).filter((name) => name.endsWith('.ts'));
  expect(programs.map((name) => path.parse(name).name).sort()).toEqual(Object.keys(EXPECTED).sort());
});

test.each(Object.entries(EXPECTED))('%s prints the same, unsplit and split', async (example, lines) => {
  using folder = new Folder();
  expect(await run(example, `local:${folder.file('data')}`)).toEqual(lines);

  const address = `unix:${folder.file('c')}`;
  await using daemon = await Daemon.start(folder, [
    '--root',
    folder.file('root'),
    '--channel',
    address,
    '--name',
    'examples',
  ]);
  await daemon.serving('examples');
  expect(await run(example, address)).toEqual(lines);
});
