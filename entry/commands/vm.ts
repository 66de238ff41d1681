import path from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import type { ImageOptions, Vm, VmChannel, VmOptions, VmProcess } from '../../host/vm/index.js';

interface MachineOptions {
  cpus: number;
  memory: number;
  disk?: string;
  diskSize: number;
  channel: VmChannel[];
  forward: { host: number; guest: number }[];
  package: string[];
  mariadb?: number;
  accelerator: 'auto' | 'kvm' | 'tcg';
  store?: boolean;
}

const HELP = `
Try VAMOS before touching a real VM:
  $ vamos vm up --channel vamos.0=/tmp/vamos.sock            boots a guest and leaves it running
  $ vamos host --root ./data --channel virtio-serial:/tmp/vamos.sock &
  $ vamos vm exec -- node --input-type=module -e "
      import { connect } from 'vamos/guest';
      const vamos = await connect('virtio-serial:vamos.0');
      await vamos.files.writeFile('hello', 'from the guest');
      vamos.close();"
  $ vamos vm exec -- sh -c 'cat > program.mjs' < program.mjs   takes a file into the guest
  $ vamos vm down
One command in a guest of its own:
  $ vamos vm run -- uname -a
MariaDB with ENGINE=VAMOS in the guest (in a checkout, after npm run package:mariadb):
  $ vamos vm up --mariadb 13306 --channel vamos.0=/tmp/vamos.sock --disk data.img
  $ vamos host --root ./data --channel virtio-serial:/tmp/vamos.sock &
  $ vamos vm exec -- vamos-doctor
  $ vamos vm exec -- mariadb -e "CREATE TABLE test.t (n INT PRIMARY KEY) ENGINE=VAMOS"
  Programs here reach it at 127.0.0.1:13306 as root without a password.
For a real libvirt domain:
  $ vamos vm snippet --name vamos.0 --socket /run/vamos/web.sock

The first start builds the guest image (Debian packages, half a minute and a network); it is kept in VAMOS_CACHE,
else in ~/.cache/vamos. KVM runs the guest where it can, else QEMU emulates the processor (TCG), several times slower.
In the guest: VAMOS in /opt/vamos, this machine's Node, the data disk (--disk) at /data.`;

const SNIPPET_HELP = `
Prints the <channel> element of a libvirt domain on standard output; where it goes, and what to start on both sides,
on standard error.`;

export function register(program: Command): void {
  const vm = program
    .command('vm')
    .description('QEMU guests to try VAMOS in, and the configuration of a real one')
    .addHelpText('after', HELP);

  vm.command('build')
    .description('build the guest image, if it is not there')
    .option('--package <name>', 'a Debian package more, may be given again', collect, [])
    .option('--mariadb', 'with MariaDB and ENGINE=VAMOS')
    .option('--rebuild', 'build anew, with the newest packages')
    .action(
      guarded(async (options: { package: string[]; mariadb?: boolean; rebuild?: boolean }) => {
        const { buildImage } = await import('../../host/vm/index.js');
        const image = await buildImage({
          ...(await imageParts(options.package, options.mariadb ?? false)),
          rebuild: options.rebuild ?? false,
          onProgress: report,
        });
        console.log(image.folder);
      }),
    );

  addMachineOptions(vm.command('run').argument('<command...>'))
    .description("boot a guest, run one command in it, stop it; the exit status is the command's")
    .action(
      guarded(async (command: string[], options: MachineOptions) => {
        const { startVm } = await import('../../host/vm/index.js');
        await using machine = await startVm(await vmOptions(options));
        await serveMariadb(machine, options);
        await runCommand(machine, command);
      }),
    );

  addMachineOptions(addName(vm.command('up')))
    .description('boot a guest and leave it running')
    .action(
      guarded(async (options: MachineOptions & { name: string }) => {
        const [{ startVm }, background] = await Promise.all([
          import('../../host/vm/index.js'),
          import('../../host/vm/background.js'),
        ]);
        await background.requireNone(options.name);
        const machine = await startVm({ ...(await vmOptions(options)), detached: true });
        await serveMariadb(machine, options).catch(async (error: unknown) => {
          await machine.stop();
          throw error;
        });
        await background.remember(options.name, machine.state);
        machine.detach();
        console.log(`vamos: guest ${options.name} is up; 'vamos vm exec -- COMMAND' runs commands in it`);
      }),
    );

  addName(vm.command('exec').argument('<command...>'))
    .description("run a command in the running guest; the exit status is the command's")
    .action(
      guarded(async (command: string[], { name }: { name: string }) => {
        const { attach } = await import('../../host/vm/background.js');
        const machine = await attach(name);
        try {
          await runCommand(machine, command);
        } finally {
          machine.detach();
        }
      }),
    );

  addName(vm.command('down'))
    .alias('stop')
    .description('switch the running guest off, its disk written')
    .action(
      guarded(async ({ name }: { name: string }) => {
        const background = await import('../../host/vm/background.js');
        await (await background.attach(name)).stop();
        await background.forget(name);
        console.log(`vamos: guest ${name} is down`);
      }),
    );

  vm.command('status')
    .description('list the running guests')
    .option('--json', 'as JSON')
    .action(
      guarded(async ({ json }: { json?: boolean }) => {
        const guests = await (await import('../../host/vm/background.js')).list();
        if (json) return console.log(JSON.stringify(guests, undefined, 2));
        if (guests.length === 0) return console.log('no guest is running');
        for (const { name, state } of guests) {
          const channels = state.channels.map((channel) => `${channel.name}=${channel.socketPath}`);
          console.log(`${name}: up under ${state.accelerator.toUpperCase()} (${state.acceleratorReason})`);
          console.log(`  process ${state.pid}, channels: ${channels.join(', ') || 'none'}`);
        }
      }),
    );

  vm.command('snippet')
    .description('print the configuration of a channel for a real libvirt domain')
    .requiredOption('--name <name>', "the port's name in the guest, for instance vamos.0")
    .requiredOption('--socket <path>', 'the UNIX socket on the host, for instance /run/vamos/web.sock')
    .addHelpText('after', SNIPPET_HELP)
    .action(
      guarded(async ({ name, socket }: { name: string; socket: string }) => {
        const { libvirtSnippet } = await import('../../host/vm/libvirt.js');
        const { xml, guide } = libvirtSnippet({ name, socketPath: path.resolve(socket) });
        console.log(xml);
        console.error(`\n${guide}`);
      }),
    );
}

function addName(command: Command): Command {
  return command.option('--name <name>', 'name of the guest', parseName, 'guest');
}

function addMachineOptions(command: Command): Command {
  return command
    .option(
      '--channel <name=socket>',
      'a virtio-serial port and its socket here, may be given again',
      channels,
      [],
    )
    .option('--disk <file>', 'raw disk, mounted at /data; made if missing')
    .option('--disk-size <MiB>', 'size of a disk that is made', integer, 1024)
    .option('--cpus <number>', 'processors', integer, 2)
    .option('--memory <MiB>', 'memory', integer, 1024)
    .option(
      '--forward <host:guest>',
      'TCP port of 127.0.0.1 that leads into the guest, may be given again',
      forwards,
      [],
    )
    .option('--package <name>', 'a Debian package in the guest, may be given again', collect, [])
    .option(
      '--mariadb <port>',
      'MariaDB with ENGINE=VAMOS in the guest, on this port of 127.0.0.1; its files are on --disk if there is one',
      integer,
    )
    .option('--accelerator <which>', 'auto, kvm or tcg', accelerator, 'auto')
    .option('--store', 'with the store and RocksDB in the guest, for unsplit runs');
}

async function imageParts(packages: string[], withMariadb: boolean): Promise<ImageOptions> {
  if (!withMariadb) return { packages };
  const { mariadbPackages } = await import('../../host/vm/index.js');
  const parts = await mariadbPackages();
  return { ...parts, packages: [...packages, ...parts.packages] };
}

async function serveMariadb(machine: Vm, options: MachineOptions): Promise<void> {
  if (options.mariadb === undefined) return;
  const { startMariadb } = await import('../../host/vm/index.js');
  report('starting MariaDB');
  await startMariadb(machine);
  report(`MariaDB serves on 127.0.0.1:${options.mariadb}`);
}

async function vmOptions(options: MachineOptions): Promise<VmOptions> {
  const { buildImage, buildPayload, MARIADB_PORT } = await import('../../host/vm/index.js');
  const parts = await imageParts(options.package, options.mariadb !== undefined);
  const image = await buildImage({ ...parts, onProgress: report });
  const forMariadb = options.mariadb === undefined ? [] : [{ host: options.mariadb, guest: MARIADB_PORT }];
  return {
    image,
    payload: await buildPayload({ store: options.store ?? false }),
    cpus: options.cpus,
    memoryMiB: options.memory,
    channels: options.channel,
    forwardPorts: [...options.forward, ...forMariadb],
    accelerator: options.accelerator,
    ...(options.disk === undefined
      ? {}
      : { dataDisk: { path: path.resolve(options.disk), sizeMiB: options.diskSize } }),
    onProgress: report,
  };
}

/** Runs a command with this process's streams, and takes over its exit status. */
async function runCommand(machine: Vm, argv: string[]): Promise<void> {
  const command = machine.spawn(argv);
  process.stdin.pipe(command.stdin);
  command.stdout.pipe(process.stdout, { end: false });
  command.stderr.pipe(process.stderr, { end: false });
  const release = forwardSignals(command);
  try {
    const { code, signal } = await command.exited;
    const { constants } = await import('node:os');
    // Shells report it as 128 and the signal's number.
    process.exitCode = code ?? 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
  } finally {
    release();
    process.stdin.unpipe(command.stdin);
    process.stdin.destroy();
  }
}

function forwardSignals(command: VmProcess): () => void {
  const forward = (signal: NodeJS.Signals) => command.kill(signal);
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  return () => {
    for (const signal of signals) process.off(signal, forward);
  };
}

/** Reports failures of machines as those of VAMOS are reported. */
function guarded<Args extends unknown[]>(
  action: (...args: Args) => Promise<void>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const { VmError } = await import('../../host/vm/errors.js');
    try {
      await action(...args);
    } catch (error) {
      if (!(error instanceof VmError)) throw error;
      console.error(`vamos: ${error.code}: ${error.message}`);
      process.exitCode = 1;
    }
  };
}

function report(message: string): void {
  console.error(`vamos: ${message}`);
}

function collect(text: string, previous: string[]): string[] {
  return [...previous, text];
}

function channels(text: string, previous: VmChannel[]): VmChannel[] {
  const [, name, socketPath] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || socketPath === undefined) throw new InvalidArgumentError('Expected NAME=SOCKET.');
  return [...previous, { name, socketPath: path.resolve(socketPath) }];
}

function forwards(text: string, previous: { host: number; guest: number }[]) {
  const [, host, guest] = /^(\d+):(\d+)$/.exec(text) ?? [];
  if (host === undefined) throw new InvalidArgumentError('Expected HOST-PORT:GUEST-PORT.');
  return [...previous, { host: Number(host), guest: Number(guest) }];
}

function integer(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

function accelerator(text: string): string {
  if (!['auto', 'kvm', 'tcg'].includes(text)) throw new InvalidArgumentError('Expected auto, kvm or tcg.');
  return text;
}

function parseName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text)) {
    throw new InvalidArgumentError("Expected letters, digits, '_', '.' and '-'.");
  }
  return text;
}
