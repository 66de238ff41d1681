import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A limit against hanging only: a machine that others use, too, may be ten times slower than a quiet one.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    // Native addons and real processes: separate processes, no more than the cores of a small machine.
    pool: 'forks',
    maxWorkers: 2,
  },
});
