// Processor time of transactions like those of sysbench's read_write in the store, with and without a cache of rows, which take
// turns in one process: native/test/store/cache_costs.cpp. Rounds are printed as the cache fills.
//   npm run costs:cache
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { buildNativeTests } from './cmake.mjs';
import { StepError, root } from './shared.mjs';

try {
  await buildNativeTests(['cache_costs']);
  const { status } = spawnSync(path.join(root, 'build/test/cache_costs'), { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
