import { Option, type Command } from 'commander';
import type { DemoOptions } from './demo.js';

const HELP = `
Boots a guest and runs one program in it twice: split, with its tables and files on the host, and unsplit on the guest's
own disk. Compares the results byte for byte and counts the transitions of both. Then MariaDB in the same guest takes
orders, on ENGINE=VAMOS and on InnoDB: transitions by transaction, and TPC-C's consistency conditions at the end. Exit
status 1 if results differ or a condition does not hold.`;

export function register(program: Command): void {
  program
    .command('demo')
    .description('the same work split and unsplit in a real guest, with its transitions counted')
    .option('--json <file>', 'write the figures to a file')
    .option('--quick', 'a tenth of the work')
    .addOption(
      new Option('--accelerator <name>', 'KVM where a guest boots under it, else TCG')
        .choices(['auto', 'kvm', 'tcg'])
        .default('auto'),
    )
    .addHelpText('after', HELP)
    .action(async (options: DemoOptions) => {
      const { runDemo } = await import('./demo.js');
      process.exitCode = await runDemo(options);
    });
}
