import fc from 'fast-check';
import type { MariadbServer } from '../server.js';
import { Pair } from './compare.js';
import { program } from './statements.js';

/** How long a failing sequence is made smaller. */
const SHRINK_MS = 60_000;

/** What is compared needs no disk. */
export const SERVER = {
  args: [
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-flush-method=nosync',
    '--skip-innodb-doublewrite',
    '--sync-frm=0',
  ],
};

export interface DifferentialOptions {
  runs: number;
  seed: number;
  /** The two that must agree; the second one is right. */
  engines?: [string, string];
  progress?: (runs: number, statements: number) => void;
}

/**
 * Random sequences of statements mean the same on both engines.
 * @throws Error with the smallest script that was found for which they don't
 */
export async function checkSequences(
  server: MariadbServer,
  { runs, seed, engines = ['VAMOS', 'InnoDB'], progress }: DifferentialOptions,
): Promise<void> {
  const pair = new Pair(server, engines);
  let done = 0;
  let statements = 0;
  let failedAt: number | undefined;
  const property = fc.asyncProperty(program, async (each) => {
    if (failedAt !== undefined && Date.now() - failedAt > SHRINK_MS) return;
    try {
      statements += await pair.run(each);
      if (failedAt === undefined) progress?.(++done, statements);
    } catch (error) {
      failedAt ??= Date.now();
      throw error;
    }
  });
  const details = await fc.check(property, { numRuns: runs, seed });
  if (details.failed) {
    const { errorInstance, counterexamplePath } = details;
    const text = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
    throw new Error(`seed ${seed}, path ${counterexamplePath}, sequence ${done + 1}:\n${text}`);
  }
}
