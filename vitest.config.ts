import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Native addons and real processes: separate processes, no more than the cores of a small machine.
    pool: 'forks',
    maxWorkers: 2,
  },
});
