import { expect, test } from 'vitest';
import { PUSHDOWN_SERVER, checkPushdown } from '../differential/pushdown/property.js';
import { useServer } from '../suite.js';

// The same statements each time; the long run takes others: npm run test:differential -- --pushdown.
const RUNS = 40;
const seed = Number(process.env['VAMOS_SEED'] ?? 1);
const server = useServer(PUSHDOWN_SERVER);

test(`random statements mean the same where their work is pushed to the data (VAMOS_SEED=${seed})`, async () => {
  let sequences = 0;
  const progress = () => void sequences++;
  const pushed = await checkPushdown(server(), { runs: RUNS, seed, progress });
  expect(sequences).toBe(RUNS);
  // Each kind of work was pushed: else nothing has been compared.
  expect(Object.keys(pushed).length).toBeGreaterThan(0);
  expect(Object.entries(pushed).filter(([, times]) => times === 0)).toEqual([]);
}, 600_000);
