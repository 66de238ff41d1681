import { Option, type Command } from 'commander';
import { ENGINES, WORKLOADS } from '../transitions/result.js';
import type { ProfileOptions } from './run.js';

const HELP = `
Runs one workload of 'transitions' on each engine in a guest under TCG, which counts each block of instructions that the
guest executes, and prints where they go: functions of the kernel and of mariadbd. A stripped file's functions that are
not exported are one line.`;

export function register(program: Command): void {
  program
    .command('profile')
    .description("where the guest's instructions of a workload go")
    .addOption(new Option('--workload <name>', 'which').choices(WORKLOADS).default('W1'))
    .addOption(new Option('--engine <names...>', 'which').choices(ENGINES).default(['innodb-tuned', 'vamos']))
    .option('--row-bytes <number>', 'one of its row sizes (default: 1024 where it has that)')
    .option('--lines <number>', 'how many functions', '40')
    .option('--plugin <file>', "this ha_vamos.so in the guest instead of the package's")
    .addHelpText('after', HELP)
    .action(async (options: ProfileOptions) => {
      const { runProfile } = await import('./run.js');
      await runProfile(options);
    });
}
