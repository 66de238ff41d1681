import { InvalidArgumentError, Option, type Command } from 'commander';
import { ENGINES } from './report.js';
import type { SysbenchOptions } from './run.js';
import { TESTS } from './sysbench.js';

const HELP = `
One private mariadbd on this machine holds the same tables in each engine, on the same disk, every commit synced. The
engines take turns, test by test and round by round, so that whatever else the machine does hits all alike. ENGINE=VAMOS
reaches its host daemon, a process of its own, over a unix: channel; there is no VM. Errors other than deadlocks and lock
timeouts fail the run; those are counted.`;

const THREADS = [1, 8, 64];

export function register(program: Command): void {
  const tests = Object.keys(TESTS);
  program
    .command('sysbench')
    .description('sysbench over ENGINE=VAMOS, InnoDB and MyRocks, side by side')
    .option('--json <file>', 'write the figures to a file')
    .option('--quick', 'one short round over smaller tables')
    .addOption(new Option('--test <names...>', 'only these').choices(tests).default(tests, 'all'))
    .addOption(new Option('--engine <names...>', 'only these').choices(ENGINES).default([...ENGINES], 'all'))
    .addOption(
      new Option('--threads <numbers...>', 'simultaneous connections')
        .argParser((text: string, before: number[] | undefined) => [
          ...(before === THREADS ? [] : (before ?? [])),
          threadCount(text),
        ])
        .default(THREADS),
    )
    .addHelpText('after', HELP)
    .action(async (options: SysbenchOptions) => {
      const { runSysbench } = await import('./run.js');
      await runSysbench(options);
    });
}

function threadCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1000) {
    throw new InvalidArgumentError('1 to 1000.');
  }
  return count;
}
