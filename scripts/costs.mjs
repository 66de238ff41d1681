// Counts the processor instructions of requests to the store, under valgrind's callgrind: native/test/store/store_costs.cpp.
// Each figure is the median of some processes, since each process draws the heights of its memtables' skip lists. With --base, the
// program of an older tree, both take turns.
//   npm run costs
//   npm run costs -- --base some/older/store_costs --case "get a row"
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildNativeTests } from './cmake.mjs';
import { StepError, root } from './shared.mjs';

const { values } = parseArgs({
  options: { base: { type: 'string' }, case: { type: 'string' }, runs: { type: 'string', default: '5' } },
});
const program = path.join(root, 'build/test/store_costs');

try {
  if (spawnSync('valgrind', ['--version']).status !== 0) {
    throw new StepError('valgrind is missing: apt-get install valgrind');
  }
  await buildNativeTests(['store_costs']);
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

/** Instructions of one request, in a process of its own. */
function instructions(file, name) {
  const rounds = /\d{2,}/.test(name) ? 40 : 2000;
  const options = ['--tool=callgrind', '--instr-atstart=no', '--callgrind-out-file=/dev/null'];
  const { status, stderr } = spawnSync('valgrind', [...options, file, `--test-case=${name}`], {
    encoding: 'utf8',
    env: { ...process.env, VAMOS_ROUNDS: `${rounds}` },
  });
  const collected = /Collected : (\d+)/.exec(stderr)?.[1];
  if (status !== 0 || collected === undefined) throw new Error(`${name} failed:\n${stderr}`);
  return Number(collected) / rounds;
}

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const format = (number) => Math.round(number).toLocaleString('en').padStart(12);

const programs = values.base === undefined ? [program] : [path.resolve(values.base), program];
console.log(
  values.base === undefined ? '         now  request' : '        base          now   ratio  request',
);
for (const name of cases()) {
  const runs = programs.map(() => []);
  for (let run = 0; run < Number(values.runs); run++) {
    programs.forEach((file, at) => runs[at].push(instructions(file, name)));
  }
  const found = runs.map(median);
  const ratio = found.length < 2 ? '' : `  ${(found[1] / found[0]).toFixed(3)}`;
  console.log(`${found.map(format).join(' ')}${ratio}  ${name}`);
}
