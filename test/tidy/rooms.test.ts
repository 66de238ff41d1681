/** The order of the house: which room may import which, and how much a folder holds. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { ORDERS } from './rooms.js';
import { filesOfTree, importsOf, textOf, type Import } from './tree.js';

const MOST_FILES_A_FOLDER = 25;

const files = filesOfTree();
const imports = importsOf(files);

/** Returns the place of a file in an order, and its room; undefined where it is in none. */
function placeIn(
  order: readonly (readonly string[])[],
  file: string,
): { level: number; room: string } | undefined {
  const rooms = order
    .flatMap((line, level) => line.map((room) => ({ level, room })))
    .filter(({ room }) => file.startsWith(`${room}/`));
  return rooms.sort((one, other) => other.room.length - one.room.length)[0];
}

function goesUpward({ from, to }: Import): boolean {
  return ORDERS.some((order) => {
    const [user, used] = [placeIn(order, from), placeIn(order, to)];
    return user && used && user.room !== used.room && used.level >= user.level;
  });
}

/** Returns files that import one another, each group as a way round. */
function circles(): string[] {
  const edges = new Map<string, string[]>();
  for (const { from, to } of imports) if (from !== to) edges.set(from, [...(edges.get(from) ?? []), to]);
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (file: string, way: string[]): void => {
    const at = way.indexOf(file);
    if (at >= 0) found.add([...way.slice(at), file].join(' > '));
    if (at >= 0 || done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...way, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return [...found];
}

test('each room imports from rooms below it only', () => {
  expect(imports.length).toBeGreaterThan(1000);
  expect(imports.filter(goesUpward).map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test('no files import each other in a circle', () => {
  expect(circles()).toEqual([]);
});

test('the engine and the cache know nothing of RocksDB', () => {
  const apart = files.filter((file) => /^native\/(engine|cache)\//.test(file));
  expect(apart.length).toBeGreaterThan(10);
  expect(apart.filter((file) => /rocksdb::|<rocksdb/.test(textOf(file)))).toEqual([]);
});

test(`no folder has more than ${MOST_FILES_A_FOLDER} files`, () => {
  const counts = new Map<string, number>();
  // Examples that tests and fuzzers begin with are data.
  for (const file of files.filter((name) => !/^native\/fuzz\/seeds\/|^bench\/results\//.test(name))) {
    const folder = path.dirname(file);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  expect([...counts].filter(([, count]) => count > MOST_FILES_A_FOLDER)).toEqual([]);
});

test('the generated headers are what the contract says', () => {
  execFileSync(process.execPath, ['scripts/generate.mjs', '--check'], { cwd: packageRoot, stdio: 'pipe' });
});
