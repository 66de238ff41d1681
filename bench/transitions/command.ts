import path from 'node:path';
import { Option, type Command } from 'commander';
import { ENGINES, WORKLOADS } from './result.js';
import type { TransitionOptions } from './run.js';

const HELP = `
Boots one guest and runs the same workloads on each engine of MariaDB in it: InnoDB, Aria and MyISAM on a virtio-blk disk,
VAMOS over virtio-serial to a host daemon. Counts what crosses the line between guest and hypervisor, and what guest and
host work for it. Engines must give the same results. What is run alone replaces its rows of the file and leaves the others.
Exit status 1 if something failed or results differ; a target that is missed is printed and is no failure.`;

export function register(program: Command): void {
  program
    .command('transitions')
    .description('transitions, guest and host work of each workload, on VAMOS and on the engines of today')
    .option(
      '--json <file>',
      'where the figures go, table and plots beside them (default: bench/results/transitions.json; of a quick run bench/results/quick/transitions.json)',
    )
    .option('--quick', 'less of each workload')
    .option('--render', 'measure nothing: make table and plots of the figures again')
    .addOption(
      new Option('--workload <names...>', 'only these').choices(WORKLOADS).default([...WORKLOADS], 'all'),
    )
    .addOption(new Option('--engine <names...>', 'only these').choices(ENGINES).default([...ENGINES], 'all'))
    .option('--plugin <file>', "this ha_vamos.so in the guest instead of the package's")
    .addOption(
      new Option('--accelerator <name>', 'KVM where a guest boots under it, else TCG')
        .choices(['auto', 'kvm', 'tcg'])
        .default('auto'),
    )
    .addHelpText('after', HELP)
    .action(async (options: TransitionOptions & { render?: boolean }) => {
      const { resultsFile, runTransitions } = await import('./run.js');
      if (options.render) {
        const { renderResults } = await import('./render.js');
        const file = resultsFile(options);
        for (const made of await renderResults(file, path.dirname(file))) console.log(made);
        return;
      }
      process.exitCode = await runTransitions(options);
    });
}
