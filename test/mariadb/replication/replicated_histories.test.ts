import { expect, test } from 'vitest';
import { checkReplicated } from '../differential/replicated.js';

// The same histories each time; the long run takes others: npm run test:differential -- --replica.
const RUNS = 6;
const seed = Number(process.env['VAMOS_SEED'] ?? 1);

test(`parallel replicas have the rows of their source after random histories (VAMOS_SEED=${seed})`, async () => {
  let histories = 0;
  const progress = () => void histories++;
  await checkReplicated({ runs: RUNS, seed, progress });
  expect(histories).toBe(RUNS);
}, 600_000);

test('a replica that looks for rows by their primary keys reads each of them anew', async () => {
  await checkReplicated({ runs: 1, seed: 1, path: '132' });
}, 600_000);
