import { InvalidArgumentError, type Command } from 'commander';
import type { GrowthOptions } from './run.js';

const HELP = `
One private mariadbd on this machine holds the same table in ENGINE=VAMOS and in InnoDB. The worker's block cache and InnoDB's
buffer pool have the same size. The table grows from 10 MB to twenty times that size; at each step both engines insert 5,000 rows, read
rows by their primary key, and read short ranges of a secondary index. A cliff would show as a step in VAMOS's line.
InnoDB reads past the page cache (O_DIRECT, its default); RocksDB reads through it.`;

export function register(program: Command): void {
  program
    .command('growth')
    .description('a table that grows to twenty times the cache, on ENGINE=VAMOS and on InnoDB')
    .option('--cache-mib <number>', "size of the block cache and of InnoDB's buffer pool", wholeNumber, 16)
    .option('--times <number>', 'how many times that size the table reaches', wholeNumber, 20)
    .option('--json <file>', 'write the figures to a file')
    .option('--plot <file>', 'draw them as an SVG')
    .addHelpText('after', HELP)
    .action(async (options: GrowthOptions) => {
      const { runGrowth } = await import('./run.js');
      await runGrowth(options);
    });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 4096) throw new InvalidArgumentError('1 to 4096.');
  return value;
}
