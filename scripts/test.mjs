// All checks and tests of the project, in the order in which they are cheap to fail; the first step that fails stops the
// run and shows its log. `--only STEP...` runs some of them; what follows `vitest` there goes to vitest:
//   npm test -- --only lint tidy
//   npm test -- --only vitest test/rpc
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { clangFormat, clangTidy } from './clang.mjs';
import { NATIVE_TESTS, cmake } from './cmake.mjs';
import { ENGINE, clangVersion, isReference, leftOut } from './debian.mjs';
import { buildPlugin } from './mariadb.mjs';
import { checkMutations } from './mutations.mjs';
import { packageMariadb } from './package_mariadb.mjs';
import { StepError, filesBelow, root, run, seconds } from './shared.mjs';

const FUZZ_SECONDS = 20;
/** Tests of what runs over any source of rows: once more, over one in memory that doesn't know all of them. */
const OVER_MEMORY = /\/(transaction|cursor|changes|lock_wait|filter|aggregate)_test\.cpp$/;
/** The store's tests, once more with rows in a cache; but for those of what RocksDB does where there is none. */
const OVER_CACHE = /\/store\/(?!compactor|block_cache|write_order|cached_store)\w+_test\.cpp$/;
/** A cache that is always full, and one that never is. */
const CACHE_BYTES = [64 << 10, 8 << 20];
const node = (script, ...args) => [process.execPath, [path.join(root, 'node_modules', script), ...args]];

/** Tests in TypeScript that start a server with the engine. */
const ENGINE_TESTS = ['test/mariadb', 'test/order_entry'];
const hasEngine = leftOut()[ENGINE] === undefined;
const SKIPPED = { passed: 0, failed: 0, skipped: 1 };

/** Each step runs something and returns how many tests passed, failed and were skipped, or throws StepError. */
const STEPS = {
  format: prettierAndClangFormat,
  lint: eslint,
  mutations: () => ({ passed: checkMutations(), failed: 0 }),
  native: () => nativeTests('build/test'),
  sanitize: () =>
    nativeTests(
      'build/sanitize',
      '-DVAMOS_SANITIZE=ON',
      '-DCMAKE_BUILD_TYPE=Debug',
      '-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1',
    ),
  plugin: () => (hasEngine ? storageEngine() : SKIPPED),
  threads: threadTests,
  tidy: () => (isReference ? clangTidyAll() : SKIPPED),
  fuzz: fuzzers,
  mtr: () => (hasEngine ? mtr() : SKIPPED),
  vitest,
};

const { steps, vitestArguments } = parseArguments(process.argv.slice(2));
const started = Date.now();
let passed = 0;
let failed = 0;
let skipped = 0;
for (const name of steps) {
  const stepStarted = Date.now();
  console.log(`${name} …`);
  let count;
  try {
    count = await STEPS[name]();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.log(error.message);
    count = { passed: 0, failed: 1 };
  }
  passed += count.passed;
  failed += count.failed;
  skipped += count.skipped ?? 0;
  console.log(
    `${name}: ${count.failed === 0 ? 'passed' : 'FAILED'} (${count.passed}, ${seconds(stepStarted)})`,
  );
  if (count.failed > 0) break;
}
console.log(
  `${steps.length === Object.keys(STEPS).length ? 'All steps' : steps.join(', ')}: ${seconds(started)}`,
);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
for (const [what, reason] of Object.entries(leftOut()))
  console.log(`Left out: ${what}. ${reason.split('\n')[0]}`);
process.exitCode = failed === 0 ? 0 : 1;

function parseArguments(args) {
  const names = Object.keys(STEPS);
  if (args.length === 0) return { steps: names, vitestArguments: [] };
  const steps = [];
  let index = 1;
  while (index < args.length && names.includes(args[index]) && steps.at(-1) !== 'vitest')
    steps.push(args[index++]);
  const vitestArguments = args.slice(index);
  if (
    args[0] !== '--only' ||
    steps.length === 0 ||
    (vitestArguments.length > 0 && steps.at(-1) !== 'vitest')
  ) {
    console.error(
      `usage: npm test [-- --only STEP... [VITEST ARGUMENTS]], a STEP being one of ${names.join(', ')}`,
    );
    process.exit(2);
  }
  return { steps, vitestArguments };
}

async function prettierAndClangFormat() {
  await run(...node('prettier/bin/prettier.cjs', '--check', '.'), { title: 'prettier' });
  if (!isReference) return { passed: 1, failed: 0, skipped: 1 };
  await clangFormat('check');
  return { passed: 2, failed: 0 };
}

async function eslint() {
  await run(...node('eslint/bin/eslint.js', '.', '--max-warnings', '0'), { title: 'eslint' });
  return { passed: 1, failed: 0 };
}

async function nativeTests(folder, ...options) {
  await cmake(folder, [...NATIVE_TESTS, ...options]);
  const overRocks = await runNativeTests(folder, testNames(/_test\.cpp$/));
  const overMemory = await runNativeTests(folder, testNames(OVER_MEMORY), [
    'env',
    'VAMOS_TEST_SOURCE=memory',
  ]);
  const counts = [overRocks, overMemory];
  for (const bytes of CACHE_BYTES) {
    const environment = ['env', `VAMOS_TEST_CACHE_BYTES=${bytes}`];
    counts.push(await runNativeTests(folder, testNames(OVER_CACHE), environment));
  }
  const sum = (key) => counts.reduce((total, count) => total + count[key], 0);
  return { passed: sum('passed'), failed: sum('failed') };
}

/** What has threads of its own, under ThreadSanitizer. */
async function threadTests() {
  const names = testNames(/(client_\w+|cache_threads)_test\.cpp$/);
  const options = ['-DCMAKE_BUILD_TYPE=Debug', '-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1'];
  await cmake('build/threads', ['-DVAMOS_TESTS=ON', '-DVAMOS_SANITIZE_THREADS=ON', ...options], names);
  return runNativeTests('build/threads', names);
}

function testNames(pattern) {
  return filesBelow(['native/test'], pattern).map((source) => path.basename(source, '.cpp'));
}

/** @param before a command with arguments that each test's file goes to */
async function runNativeTests(folder, names, before = []) {
  const count = { passed: 0, failed: 0 };
  for (const name of names) {
    const [command, ...args] = [...before, path.join(root, folder, name)];
    const { output } = await run(command, args, { title: [...before, `${folder}/${name}`].join(' ') });
    count.passed += Number(/test cases:\s+\d+ \|\s+(\d+) passed/.exec(output)?.[1] ?? 0);
  }
  return count;
}

/** The storage engine builds without a warning, and so does its Debian package. */
async function storageEngine() {
  await buildPlugin('build/plugin', [], ['ha_vamos', 'vamos-doctor']);
  await packageMariadb();
  return { passed: 2, failed: 0 };
}

/**
 * All but the tests' own: sources of the addons and of the storage engine as their builds compile them, the rest as the
 * native tests' build does.
 */
async function clangTidyAll() {
  const sources = filesBelow(['native', 'guest'], /\.cpp$/).filter(
    (file) => !file.startsWith('native/test/'),
  );
  const compiledBy = (folder) => {
    const file = path.join(root, folder, 'compile_commands.json');
    if (!existsSync(file))
      throw new StepError(`${folder} is not built: run the step \`native\` before \`tidy\``);
    return new Set(JSON.parse(readFileSync(file, 'utf8')).map((entry) => path.relative(root, entry.file)));
  };
  // clang can't read the headers that g++ compiled beforehand: the plugin's commands without them, nothing is built.
  const plugin = 'build/plugin-tidy';
  const options = [
    '-DVAMOS_ADDONS=OFF',
    '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON',
    '-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON',
    `-DVAMOS_MARIADB=${path.join(root, 'build/mariadb/headers')}`,
  ];
  await run('cmake', ['-S', 'native', '-B', plugin, ...options], { title: 'cmake' });
  let left = sources;
  for (const folder of ['build/native', 'build/test', plugin]) {
    const compiled = compiledBy(folder);
    await clangTidy(
      folder,
      left.filter((file) => compiled.has(file)),
    );
    left = left.filter((file) => !compiled.has(file));
  }
  return { passed: sources.length - left.length, failed: 0 };
}

/** A short run of each fuzzer from its committed seeds; a finding is left in build/fuzz for `FUZZER FILE`. */
async function fuzzers() {
  const names = filesBelow(['native/fuzz'], /_fuzzer\.cpp$/).map((file) => path.basename(file, '.cpp'));
  if (names.length === 0) return { passed: 0, failed: 0 };
  const options = [
    '-DVAMOS_FUZZERS=ON',
    '-DVAMOS_SANITIZE=ON',
    `-DCMAKE_CXX_COMPILER=clang++-${clangVersion}`,
  ];
  await cmake('build/fuzz', options, names);
  for (const name of names) {
    const corpus = path.join(root, 'build/fuzz', `corpus-${name}`);
    mkdirSync(corpus, { recursive: true });
    const seeds = path.join(root, 'native/fuzz/seeds', name.replace(/_fuzzer$/, ''));
    const args = [
      `-max_total_time=${FUZZ_SECONDS}`,
      '-timeout=10',
      '-rss_limit_mb=2048',
      '-print_final_stats=1',
      `-artifact_prefix=${path.join(root, 'build/fuzz')}/`,
      corpus,
      ...(existsSync(seeds) ? [seeds] : []),
    ];
    await run(path.join(root, 'build/fuzz', name), args, { title: name });
  }
  return { passed: names.length, failed: 0 };
}

/** A fixed part of the server's own suites on the storage engine; `npm run test:mtr` runs all of them. */
async function mtr() {
  const { output } = await run(process.execPath, ['scripts/mtr.mjs', '--fast'], { title: 'mtr' });
  const counts = [...output.matchAll(/^\S+: (\d+) of \d+$/gm)].map(([, passed]) => Number(passed));
  return { passed: counts.reduce((sum, count) => sum + count, 0), failed: 0 };
}

async function vitest() {
  const report = path.join(root, 'build/test/vitest.json');
  rmSync(report, { force: true });
  const [command, args] = node(
    'vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...(hasEngine ? [] : ENGINE_TESTS.map((folder) => `--exclude=${folder}/**`)),
    ...vitestArguments,
  );
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (!existsSync(report)) throw new StepError(`vitest ended with ${status} and left no report`);
  const { numPassedTests, numFailedTests, numFailedTestSuites, numPendingTests } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  // A file that does not load, or an error outside any test, fails no test and all the same fails the run.
  const unseen = status === 0 ? 0 : 1;
  return {
    passed: numPassedTests,
    failed: Math.max(numFailedTests, numFailedTestSuites > 0 ? 1 : 0, unseen),
    // Files that were left out count as one test each.
    skipped: numPendingTests + (hasEngine ? 0 : filesBelow(ENGINE_TESTS, /\.test\.ts$/).length),
  };
}
