// Breaks the program in known ways, one at a time, in a copy of the tree (build/mutations), and runs for each the test that
// has to notice it: scripts/mutations/list.mjs. One that no test notices shows what can be broken without anybody seeing.
//   npm run test:mutations                       all of them
//   npm run test:mutations -- --only 'sync'      those whose name, or whose test's, has this text
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { cmake } from './cmake.mjs';
import { MUTATIONS } from './mutations/list.mjs';
import { StepError, filesBelow, root, seconds } from './shared.mjs';

const SOURCES = ['native', 'src', 'guest', 'host', 'entry', 'bench', 'test'];
const SETTINGS = ['package.json', 'tsconfig.json', 'vitest.config.ts'];
const copy = path.join(root, 'build/mutations');
const LIMIT_MS = 600_000;

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
  for (const file of [...filesBelow(SOURCES), ...filesBelow(['src/protocol/generated']), ...SETTINGS]) {
    const target = path.join(copy, file);
    const source = path.join(root, file);
    if (existsSync(target) && readFileSync(target).equals(readFileSync(source))) continue;
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(source, target);
  }
  mkdirSync(path.join(copy, 'build'), { recursive: true });
  for (const shared of ['node_modules', 'build/native', 'build/mariadb', 'build/plugin', 'dist']) {
    const link = path.join(copy, shared);
    if (!existsSync(link) && existsSync(path.join(root, shared))) symlinkSync(path.join(root, shared), link);
  }
}

/** Whether the test passes. @throws StepError where the program can't be built */
async function passes({ native, vitest, environment = {} }) {
  if (native)
    await cmake('build/mutations/build/test', ['-DVAMOS_TESTS=ON'], [native], 'build/mutations/native');
  const [command, args] = native
    ? [path.join(copy, 'build/test', native), []]
    : [process.execPath, [path.join(root, 'node_modules/vitest/vitest.mjs'), 'run', vitest]];
  const env = { ...process.env, ...environment };
  const { status } = spawnSync(command, args, { cwd: copy, env, stdio: 'ignore', timeout: LIMIT_MS });
  return status === 0;
}

async function tryMutation(mutation) {
  const file = path.join(copy, mutation.file);
  const whole = readFileSync(file, 'utf8');
  if (whole.split(mutation.text).length !== 2) return 'TEXT NOT FOUND';
  writeFileSync(
    file,
    whole.replace(mutation.text, () => mutation.replacement),
  );
  try {
    return (await passes(mutation)) ? 'SURVIVED' : 'caught';
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    return `DOES NOT BUILD: ${error.message}`;
  } finally {
    writeFileSync(file, whole);
  }
}

async function main() {
  const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
  const chosen = MUTATIONS.filter(
    ({ name, native, vitest }) => name.includes(values.only) || (native ?? vitest).includes(values.only),
  );
  copyTree();
  // What fails without a mutation proves nothing with one.
  const tests = new Map(chosen.map((mutation) => [mutation.native ?? mutation.vitest, mutation]));
  for (const [name, { native, vitest }] of tests) {
    if (!(await passes({ native, vitest }))) throw new StepError(`${name} fails on the tree as it is`);
  }
  const counts = {};
  for (const mutation of chosen) {
    const started = Date.now();
    const result = await tryMutation(mutation);
    const [kind] = result.split(':');
    counts[kind] = (counts[kind] ?? 0) + 1;
    console.log(
      `${result.padEnd(8)}  ${mutation.name}  (${mutation.native ?? mutation.vitest}, ${seconds(started)})`,
    );
  }
  const { caught = 0 } = counts;
  console.log(`${caught} of ${chosen.length} mutations caught`);
  process.exitCode = caught === chosen.length && caught > 0 ? 0 : 1;
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
