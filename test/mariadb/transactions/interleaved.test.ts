import { expect, test } from 'vitest';
import { checkInterleaved } from '../differential/interleaved.js';
import { SERVER } from '../differential/property.js';
import { useServer } from '../suite.js';

// The same statements each time; the long run takes others: npm run test:differential -- --interleaved.
const RUNS = 10;
const seed = Number(process.env['VAMOS_SEED'] ?? 1);
const server = useServer(SERVER);

test(`statements of three connections wait for one another as on InnoDB (VAMOS_SEED=${seed})`, async () => {
  const { statements } = await checkInterleaved(server(), { runs: RUNS, seed });
  expect(statements).toBeGreaterThan(RUNS);
}, 600_000);
