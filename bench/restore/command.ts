import { InvalidArgumentError, type Command } from 'commander';
import type { RestoreOptions } from './run.js';

const HELP = `
A schema of a few tables with foreign keys left out (people, their positions, and many small payments with three indexes) is filled
and dumped with mariadb-dump. Then the dump is restored with the client \`mariadb\`, into ENGINE=VAMOS and InnoDB in turns, both in one
private mariadbd, with a block cache and a buffer pool of the same size.`;

export function register(program: Command): void {
  program
    .command('restore')
    .description('a dump that is restored, into ENGINE=VAMOS and into InnoDB')
    .option('--megabytes <number>', 'size of the dump, about', wholeNumber, 43)
    .option('--cache-mib <number>', "size of the block cache and of InnoDB's buffer pool", wholeNumber, 64)
    .option('--repetitions <number>', 'how often each engine restores it', wholeNumber, 3)
    .addHelpText('after', HELP)
    .action(async (options: RestoreOptions) => {
      const { runRestore } = await import('./run.js');
      await runRestore(options);
    });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 4096) throw new InvalidArgumentError('1 to 4096.');
  return value;
}
