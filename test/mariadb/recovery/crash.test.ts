import { expect, test } from 'vitest';
import { SETTINGS, crashRounds } from '../crash/rounds.js';

// The long run: npm run test:crash.
test.each(SETTINGS.map((setting, number) => [setting.name, setting, number] as const))(
  'acknowledged commits outlive what is done to server, host and channel, each once and whole (%s)',
  { timeout: 600_000 },
  async (_, setting, number) => {
    const report = await crashRounds({ setting, rounds: 13, seed: 11 + number });
    expect(report.total.acknowledged).toBeGreaterThan(1000);
  },
);
