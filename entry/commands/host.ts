import type { Command } from 'commander';

export function register(program: Command): void {
  program.command('host').description('serve guests: the daemon on the host');
}
