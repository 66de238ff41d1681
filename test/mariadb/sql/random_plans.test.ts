import { expect, test } from 'vitest';
import { PLANS_SERVER, checkPlans } from '../differential/plans.js';
import { useServer } from '../suite.js';

// The same cases each time; the long run takes others: npm run test:differential -- --plans.
const RUNS = 12;
const seed = Number(process.env['VAMOS_SEED'] ?? 1);
const server = useServer(PLANS_SERVER);

test(`random joins read no more rows than on InnoDB (VAMOS_SEED=${seed})`, async () => {
  const [own] = await checkPlans(server(), { runs: RUNS, seed });
  expect(own).toBeGreaterThan(0);
}, 600_000);
