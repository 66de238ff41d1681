import fc from 'fast-check';
import type { MariadbServer } from '../../../lab/mariadb/server.js';
import { Sides, type Run } from './compare.js';
import { PRELUDE, TRACES } from './routines.js';
import { createTable, makeTable } from './schema.js';
import { inspection, program, statementOf, type Program, type World } from './statements.js';

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
  /** Where among the seed's sequences it begins, as a failure says it. */
  path?: string;
  /** The two that must agree; the second one is right. */
  engines?: [string, string];
  progress?: (runs: number, statements: number) => void;
}

/**
 * Random sequences of statements mean the same on all sides.
 * @throws Error with the smallest script that was found for which they don't
 */
export async function checkSequences(server: MariadbServer, options: DifferentialOptions): Promise<void> {
  const { engines = ['VAMOS', 'InnoDB'] } = options;
  const sides = engines.map((name) => ({ name }));
  await check(new Sides(server, sides), program, runProgram, options);
}

/** Random sequences of one kind. */
export async function check<Sequence>(
  sides: Sides,
  sequences: fc.Arbitrary<Sequence>,
  run: (sequence: Sequence, run: Run) => Promise<void>,
  { runs, seed, path, progress }: DifferentialOptions,
): Promise<void> {
  let done = 0;
  let statements = 0;
  let failedAt: number | undefined;
  const property = fc.asyncProperty(sequences, async (each) => {
    if (failedAt !== undefined && Date.now() - failedAt > SHRINK_MS) return;
    try {
      statements += await sides.run((send) => run(each, send));
      if (failedAt === undefined) progress?.(++done, statements);
    } catch (error) {
      failedAt ??= Date.now();
      throw error;
    }
  });
  const details = await fc.check(property, { numRuns: runs, seed, ...(path !== undefined && { path }) });
  if (details.failed) {
    const { errorInstance, counterexamplePath } = details;
    const text = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
    throw new Error(`seed ${seed}, path ${counterexamplePath}, sequence ${done + 1}:\n${text}`);
  }
}

async function runProgram({ tables, steps }: Program, run: Run): Promise<void> {
  const world: World = { tables: [], names: 0 };
  for (const text of PRELUDE) await run({ text, anyCount: true });
  for (const [index, spec] of tables.entries()) {
    const table = makeTable(`t${index}`, spec);
    await run({ text: createTable(table), anyCount: true, effect: () => world.tables.push(table) });
  }
  for (const step of steps) {
    const sql = world.tables.length > 0 ? statementOf(step, world) : undefined;
    if (sql) await run(sql);
  }
  await run({ text: 'COMMIT' });
  for (const sql of [...TRACES, ...inspection(world)]) await run(sql);
}
