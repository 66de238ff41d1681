import { Command, CommanderError } from 'commander';
import { VamosError } from '../src/protocol/errors.js';
import * as channel from './channel/command.js';
import * as demo from './demo/command.js';
import * as growth from './growth/command.js';
import * as profile from './profile/command.js';
import * as restore from './restore/command.js';
import * as sysbench from './sysbench/command.js';
import * as transitions from './transitions/command.js';

/** The benchmarks, a folder each. */
const BENCHMARKS: { register(program: Command): void }[] = [
  channel,
  demo,
  growth,
  profile,
  restore,
  sysbench,
  transitions,
];

const program = new Command('bench')
  .description('Benchmarks of VAMOS, each beside what it is measured against')
  .showHelpAfterError("(add '--help' to see what it takes)")
  .exitOverride();
for (const benchmark of BENCHMARKS) benchmark.register(program);

try {
  if (process.argv.length <= 2) program.help();
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    const failure = VamosError.from(error);
    console.error(`bench: ${failure.code}: ${failure.message}`);
    if (failure.code === 'INTERNAL' && failure.cause instanceof Error) console.error(failure.cause.stack);
    process.exitCode = 1;
  }
}
