// Opens a store's files as power losses leave them, some ten thousand times: native/test/durability/power_loss_test.cpp, of which
// `npm test` runs a short version.
//   npm run test:power-loss -- --points 50000 --seed 7
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildNativeTests } from './cmake.mjs';
import { StepError, root } from './shared.mjs';

const { values } = parseArgs({
  options: { points: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
for (const [name, value] of Object.entries(values)) {
  if (!/^\d+$/.test(value)) {
    console.error(`--${name} ${value}: a number is wanted`);
    process.exit(2);
  }
}
try {
  await buildNativeTests(['power_loss_test']);
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(error.message);
  process.exit(1);
}
const { status } = spawnSync(path.join(root, 'build/test/power_loss_test'), {
  stdio: 'inherit',
  env: { ...process.env, VAMOS_POWER_LOSS_POINTS: values.points, VAMOS_POWER_LOSS_SEED: values.seed },
});
process.exitCode = status === 0 ? 0 : 1;
