import { expect, test } from 'vitest';
import { crashRounds } from './crash/rounds.js';

// The long run: npm run test:crash.
test.each([false, true])(
  'acknowledged commits outlive kill -9 of the server, of the worker and of both (binary log: %s)',
  async (binaryLog) => {
    const totals = await crashRounds({ rounds: 3, binaryLog });
    expect(totals.acknowledged).toBeGreaterThan(10);
  },
  180_000,
);
