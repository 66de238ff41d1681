// Counts the processor instructions of requests to the store, under valgrind's callgrind: native/test/store/store_costs.cpp.
// They vary less than times, but not little: each process draws the heights of its memtables' skip lists. Take several runs.
//   npm run costs
//   npm run costs -- --program some/older/store_costs --case "get a row"
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildNativeTests } from './cmake.mjs';
import { StepError, root } from './shared.mjs';

const { values } = parseArgs({ options: { program: { type: 'string' }, case: { type: 'string' } } });
const program = path.resolve(values.program ?? path.join(root, 'build/test/store_costs'));

try {
  if (spawnSync('valgrind', ['--version']).status !== 0) {
    throw new StepError('valgrind is missing: apt-get install valgrind');
  }
  if (values.program === undefined) await buildNativeTests(['store_costs']);
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(error.message);
  process.exit(1);
}

function cases() {
  const list = execFileSync(program, ['--list-test-cases', '--no-intro', '--no-version'], {
    encoding: 'utf8',
  });
  const names = list.split('\n').filter((line) => /^[a-z]/.test(line));
  return values.case === undefined ? names : names.filter((name) => name === values.case);
}

function instructions(name, rounds) {
  const options = ['--tool=callgrind', '--callgrind-out-file=/dev/null', program, `--test-case=${name}`];
  const { status, stderr } = spawnSync('valgrind', options, {
    encoding: 'utf8',
    env: { ...process.env, VAMOS_ROUNDS: `${rounds}` },
  });
  const collected = /Collected : (\d+)/.exec(stderr)?.[1];
  if (status !== 0 || collected === undefined) throw new Error(`${name} failed:\n${stderr}`);
  return Number(collected);
}

for (const name of cases()) {
  const rounds = /\d{2,}/.test(name) ? 20 : 1000;
  const request = (instructions(name, 3 * rounds) - instructions(name, rounds)) / (2 * rounds);
  console.log(`${Math.round(request).toLocaleString('en').padStart(12)}  ${name}`);
}
