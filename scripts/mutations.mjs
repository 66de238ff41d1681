// Breaks the program in known ways, one at a time, in a copy of the tree (build/mutations), and runs for each the test that
// has to notice it: scripts/mutations/list.mjs. One that no test notices shows what can be broken without anybody seeing.
// What each test printed is left in build/mutations/output.
//   npm run test:mutations                       all of them
//   npm run test:mutations -- --only 'sync'      those whose name, or whose test's, has this text
import { spawn } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { cmake } from './cmake.mjs';
import { MUTATIONS } from './mutations/list.mjs';
import { StepError, filesBelow, root, seconds } from './shared.mjs';

const SOURCES = ['native', 'src', 'guest', 'host', 'entry', 'lab', 'bench', 'test'];
const GENERATED = 'src/protocol/generated';
const SETTINGS = ['package.json', 'tsconfig.json', 'vitest.config.ts'];
const COPY = 'build/mutations';
const copy = path.join(root, COPY);
/** A test with a mutation hangs if it takes this many times as long as without one, and a minute more. */
const LIMIT_FACTOR = 5;
const LIMIT_MORE_MS = 60_000;
/** For a test without a mutation. */
const FIRST_LIMIT_MS = 600_000;

/**
 * Each mutation's text stands in its file, once.
 * @returns {number} of mutations
 * @throws StepError naming those that don't fit
 */
export function checkMutations() {
  const misfits = MUTATIONS.filter(({ file, text }) => occurrences(file, text) !== 1);
  if (misfits.length > 0) {
    const lines = misfits.map(
      ({ name, file, text }) =>
        `${file} has this ${occurrences(file, text)} times, not once: ${text} (${name})`,
    );
    throw new StepError(`scripts/mutations/list.mjs does not fit the tree any more:\n${lines.join('\n')}`);
  }
  return MUTATIONS.length;
}

function occurrences(file, text) {
  const whole = path.join(root, file);
  return existsSync(whole) ? readFileSync(whole, 'utf8').split(text).length - 1 : 0;
}

/** Brings the copy to where the tree is; what is equal keeps its time, so that little is built. */
function copyTree() {
  const files = [...filesBelow(SOURCES), ...filesBelow([GENERATED]), ...SETTINGS];
  for (const file of files) {
    const target = path.join(copy, file);
    const source = path.join(root, file);
    if (existsSync(target) && readFileSync(target).equals(readFileSync(source))) continue;
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(source, target);
  }
  const kept = new Set(files);
  const copies = filesBelow([...SOURCES, GENERATED].map((place) => path.join(COPY, place)));
  for (const file of copies) if (!kept.has(path.relative(COPY, file))) rmSync(path.join(root, file));
  mkdirSync(path.join(copy, 'build'), { recursive: true });
  for (const shared of ['node_modules', 'build/native', 'build/mariadb', 'build/plugin', 'dist']) {
    const link = path.join(copy, shared);
    if (!existsSync(link) && existsSync(path.join(root, shared))) symlinkSync(path.join(root, shared), link);
  }
}

/** What has to be undone if the run is interrupted: the test that runs, the file that is changed. */
let running;
let changed;

function interrupt(signal) {
  endTest();
  restore();
  console.error(`Interrupted by ${signal}: the test is ended, the copy is as the tree is`);
  process.exit(signal === 'SIGINT' ? 130 : 143);
}

function endTest() {
  if (running === undefined) return;
  try {
    process.kill(-running.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function restore() {
  if (changed !== undefined) writeFileSync(changed.file, changed.whole);
  changed = undefined;
}

const testOf = ({ native, vitest }) => native ?? vitest;

/**
 * Runs a test in a group of processes of its own, all of which end with it.
 * @returns {Promise<'passed'|'failed'|'hung'>}
 * @throws StepError where the program can't be built
 */
async function runTest({ native, vitest, environment = {} }, { limitMs, output }) {
  if (native) await cmake(`${COPY}/build/test`, ['-DVAMOS_TESTS=ON'], [native], `${COPY}/native`);
  const [command, args] = native
    ? [path.join(copy, 'build/test', native), []]
    : [process.execPath, [path.join(root, 'node_modules/vitest/vitest.mjs'), 'run', vitest]];
  const env = { ...process.env, ...environment };
  const log = openSync(output, 'w');
  const child = spawn(command, args, { cwd: copy, env, stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  running = child;
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    endTest();
  }, limitMs);
  try {
    const status = await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', resolve);
    });
    if (isLate) return 'hung';
    return status === 0 ? 'passed' : 'failed';
  } finally {
    clearTimeout(limit);
    // Servers that a failed test left.
    endTest();
    running = undefined;
  }
}

/** @returns {Promise<string>} `caught` or, in capitals, why not */
async function tryMutation(mutation, options) {
  const file = path.join(copy, mutation.file);
  const whole = readFileSync(file, 'utf8');
  if (whole.split(mutation.text).length !== 2) return 'TEXT NOT FOUND';
  changed = { file, whole };
  writeFileSync(
    file,
    whole.replace(mutation.text, () => mutation.replacement),
  );
  try {
    const end = await runTest(mutation, options);
    if (end === 'passed') return 'SURVIVED';
    if (end === 'failed') return 'caught';
    return mutation.mayHang ? 'caught, the test hangs' : 'THE TEST HANGS';
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    return `DOES NOT BUILD: ${error.message}`;
  } finally {
    restore();
  }
}

/** The first test case that failed, as doctest and vitest print it. */
function failedCase(output) {
  const text = readFileSync(output, 'utf8').replaceAll(/\x1b\[[0-9;]*m/g, '');
  return /^TEST CASE:\s+(.*)$/m.exec(text)?.[1] ?? /^\s*FAIL\s+\S+ > (.*)$/m.exec(text)?.[1];
}

async function main() {
  const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
  const chosen = MUTATIONS.filter(
    (mutation) => mutation.name.includes(values.only) || testOf(mutation).includes(values.only),
  );
  if (chosen.length === 0)
    throw new StepError(`no mutation, and no test of one, has "${values.only}" in its name`);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, interrupt);
  const started = Date.now();
  checkMutations();
  copyTree();
  const outputs = path.join(copy, 'output');
  rmSync(outputs, { recursive: true, force: true });
  mkdirSync(outputs, { recursive: true });

  // What fails without a mutation proves nothing with one.
  const keyOf = (mutation) => `${testOf(mutation)} ${JSON.stringify(mutation.environment ?? {})}`;
  const tests = new Map(chosen.map((mutation) => [keyOf(mutation), mutation]));
  const limits = new Map();
  for (const [key, mutation] of tests) {
    console.log(`Without a mutation, ${limits.size + 1} of ${tests.size}: ${testOf(mutation)} …`);
    const output = path.join(outputs, `unchanged-${limits.size + 1}.txt`);
    // Built first, so that the time is the test's alone.
    const { native } = mutation;
    if (native) await cmake(`${COPY}/build/test`, ['-DVAMOS_TESTS=ON'], [native], `${COPY}/native`);
    const testStarted = Date.now();
    const end = await runTest(mutation, { limitMs: FIRST_LIMIT_MS, output });
    if (end !== 'passed')
      throw new StepError(`${testOf(mutation)} ${end} on the tree as it is: ${path.relative(root, output)}`);
    limits.set(key, (Date.now() - testStarted) * LIMIT_FACTOR + LIMIT_MORE_MS);
    console.log(`  passed (${seconds(testStarted)})`);
  }

  let caught = 0;
  for (const [index, mutation] of chosen.entries()) {
    const number = index + 1;
    console.log(`${number} of ${chosen.length}: ${mutation.name} (${testOf(mutation)}) …`);
    const mutationStarted = Date.now();
    const output = path.join(outputs, `${number}.txt`);
    const result = await tryMutation(mutation, { limitMs: limits.get(keyOf(mutation)), output });
    const isCaught = result.startsWith('caught');
    if (isCaught) caught++;
    const by = isCaught ? failedCase(output) : undefined;
    console.log(`  ${result}${by ? ` by "${by}"` : ''} (${seconds(mutationStarted)})`);
  }
  console.log(`${caught} of ${chosen.length} mutations caught in ${seconds(started)}`);
  process.exitCode = caught === chosen.length ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
