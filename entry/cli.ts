#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../src/native.js';
import { VamosError } from '../src/protocol/errors.js';
import * as host from './commands/host.js';
import * as vm from './commands/vm.js';

/**
 * The commands, one file each. What a command needs beyond its options is imported by its action, so that
 * help stays quick.
 */
const COMMANDS: { register(program: Command): void }[] = [host, vm];

const HELP = `
VAMOS splits middleware between a VM guest and its host: what touches storage runs on the host, the rest stays in
the guest, and one channel carries batches of requests between the two.

Try it:
  On this machine, serve the folder ./data at a UNIX socket:
    $ vamos host --root ./data --channel unix:/tmp/vamos.sock
  In a program beside it, in a container or in a guest:
    import { connect } from 'vamos/guest';
    const { tables, files } = await connect('unix:/tmp/vamos.sock');
  Ask the daemon how it does:
    $ vamos host status

Channel addresses:
  unix:PATH            a UNIX socket: containers, tests
  virtio-serial:NAME   in the guest: the port /dev/virtio-ports/NAME
  virtio-serial:PATH   on the host: the UNIX socket of QEMU's chardev
  vsock:CID:PORT       AF_VSOCK
  local:DIR            no channel: the host half in the same process

Exit status: 0 done, 1 failed ('vamos: CODE: message' on stderr), 2 wrong usage.
'vamos help COMMAND' tells more of each command.`;

async function main(): Promise<void> {
  const program = new Command('vamos')
    .description('Virtualization-aware middleware')
    .version(packageVersion())
    .addHelpText('after', HELP)
    .showHelpAfterError("(add '--help' to see what it takes)")
    .exitOverride()
    // A subcommand's options are its own, even where its parent has options of the same name.
    .enablePositionalOptions();
  for (const command of COMMANDS) command.register(program);
  if (process.argv.length <= 2) program.help();
  await program.parseAsync();
}

// The reader of the output may stop early: `vamos --help | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    // Commander has printed it already.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    return;
  }
  const failure = VamosError.from(error);
  console.error(`vamos: ${failure.code}: ${failure.message}`);
  if (failure.code === 'INTERNAL' && failure.cause instanceof Error) console.error(failure.cause.stack);
  process.exitCode = 1;
});
