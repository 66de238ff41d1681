import { expect, test } from 'vitest';
import { SERVER, checkSequences } from './differential/property.js';
import { useServer } from './suite.js';

// The same statements each time; the long run takes others: npm run test:differential.
const RUNS = 15;
const seed = Number(process.env['VAMOS_SEED'] ?? 1);
const server = useServer(SERVER);

test(`random statements mean the same on VAMOS and on InnoDB (VAMOS_SEED=${seed})`, async () => {
  let sequences = 0;
  const progress = () => void sequences++;
  await checkSequences(server(), { runs: RUNS, seed, progress });
  expect(sequences).toBe(RUNS);
}, 600_000);
