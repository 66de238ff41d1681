import path from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import type { DaemonStatus } from '../../host/daemon/daemon.js';
import type { Change, GuestReport } from '../../host/daemon/supervisor.js';
import { registerBackups } from './backups.js';
import { addControlOption, ask } from './control.js';
import type { RepairReport } from '../../host/modules/tables/binding.js';

interface GuestOptions {
  root?: string;
  channel: string[];
  channelOwner?: string;
  token?: string;
  tokenFile?: string;
  user?: string;
  limit: Record<string, string | number>;
}

interface HostOptions extends GuestOptions {
  config?: string;
  name: string;
  control?: string;
  metrics?: string;
  logLevel?: string;
  state?: string;
}

const HELP = `
Serve one guest without a file, until Ctrl-C:
  $ vamos host --root ./data --channel unix:/tmp/vamos.sock
Serve the guests of a file (host/daemon/example.yaml in the package shows every setting):
  $ vamos host --config /etc/vamos/host.yaml
While it runs:
  $ vamos host status
  $ vamos host add web --root /srv/web --channel virtio-serial:/run/web.sock
  $ vamos host remove web
  $ vamos host repair web  (what a damaged log cost; --accept-loss serves the guest without that)
  $ vamos host reload      (the same as SIGHUP: reads the file again)
  $ vamos host stop        (the same as SIGTERM: drains, syncs, closes)
Backups ('vamos help host checkpoint' tells more of each):
  $ vamos host checkpoint web /backup/web/monday
  $ vamos host restore /backup/web/monday /srv/web-restored

Logs are JSON lines on standard error. 'vamos: serving ...' on standard output says that each guest was tried.`;

export function register(program: Command): void {
  const host = program
    .command('host')
    .description('serve guests: the daemon on the host, one worker process a guest')
    .enablePositionalOptions()
    .option('--config <file>', 'YAML file with the guests and all settings')
    .option('--name <name>', 'name of the guest that --root and --channel give', 'guest')
    .option('--metrics <host:port>', 'serve Prometheus metrics at /metrics, health at /healthz')
    .option('--log-level <level>', 'trace, debug, info, warn, error or fatal')
    .option('--state <directory>', 'keeps guests that are added while the daemon runs')
    .addHelpText('after', HELP)
    .action(serve);
  addGuestOptions(host);
  addControlOption(host);

  const subcommand = (usage: string, description: string) =>
    addControlOption(host.command(usage).description(description));

  subcommand('status', 'show the guests of a running daemon')
    .option('--json', 'as JSON')
    .action(async ({ json, control }: { json?: boolean; control?: string }) => {
      const status = (await ask(control, { command: 'status' })) as DaemonStatus;
      const { formatStatus } = await import('../../host/daemon/status.js');
      console.log(json ? JSON.stringify(status, undefined, 2) : formatStatus(status));
    });

  addGuestOptions(subcommand('add <name>', 'serve one guest more')).action(
    async (name: string, options: GuestOptions & { control?: string }, command: Command) => {
      const guest = guestOf(options, command);
      const added = (await ask(options.control, { command: 'add', name, guest })) as GuestReport;
      console.log(`vamos: guest ${name} is ${added.state}`);
    },
  );

  subcommand('remove <name>', 'stop serving a guest; its data stay').action(
    async (name: string, { control }: { control?: string }) => {
      await ask(control, { command: 'remove', name });
      console.log(`vamos: guest ${name} is removed`);
    },
  );

  subcommand('repair [guest]', "say what a guest's damaged log has lost, and serve it without that")
    .option('--root <directory>', "the guest's root, where no daemon serves it")
    .option('--accept-loss', 'give up the commits from the damaged place on; the log as it was is kept')
    .option('--json', 'as JSON')
    .action(repair);

  subcommand('reload', "read the daemon's configuration file again").action(
    async ({ control }: { control?: string }) => {
      const change = (await ask(control, { command: 'reload' })) as Change;
      const list = (names: string[]) => names.join(', ') || 'none';
      console.log(
        `vamos: added: ${list(change.added)}; changed: ${list(change.changed)}; removed: ${list(change.removed)}`,
      );
    },
  );

  subcommand('stop', 'let all workers drain, sync and close, then end the daemon').action(
    async ({ control }: { control?: string }) => {
      await ask(control, { command: 'stop' });
      console.log('vamos: the daemon has stopped');
    },
  );

  registerBackups(host);
}

async function repair(
  name: string | undefined,
  options: { root?: string; acceptLoss?: boolean; json?: boolean; control?: string },
  command: Command,
): Promise<void> {
  const { root, acceptLoss = false, json, control } = options;
  if ((name === undefined) === (root === undefined)) {
    command.error('error: give either the name of a guest, or --root DIR');
  }
  let report: RepairReport;
  if (name === undefined) {
    const { repairTables } = await import('../../host/modules/tables/module.js');
    report = repairTables(path.resolve(root!, 'tables'), acceptLoss);
  } else {
    report = (await ask(control, { command: 'repair', name, acceptLoss })) as RepairReport;
  }
  const { formatRepair } = await import('../../host/daemon/status.js');
  const again = `vamos host repair ${name ?? `--root ${root}`} --accept-loss`;
  console.log(json ? JSON.stringify(report, undefined, 2) : formatRepair(report, again));
}

function addGuestOptions(command: Command): Command {
  return command
    .option('--root <directory>', "folder that holds the guest's data; made if missing")
    .option('--channel <address>', 'address to serve, may be given again', collect, [])
    .option('--channel-owner <side>', "who makes a virtio-serial socket: 'qemu' or 'daemon'")
    .option('--token <token>', 'what connectors must present; other users of this machine may see it in ps')
    .option('--token-file <file>', 'the same from a file')
    .option('--user <user>', 'run the worker as this user (needs root)')
    .option(
      '--limit <key=value>',
      'a limit, for instance memoryBytes=1GiB; may be given again',
      collectLimit,
      {},
    );
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

function collectLimit(
  value: string,
  previous: Record<string, string | number>,
): Record<string, string | number> {
  const [key, setting] = value.split('=', 2);
  if (!key || !setting) throw new InvalidArgumentError('Expected key=value.');
  return { ...previous, [key]: /^\d+$/.test(setting) ? Number(setting) : setting };
}

async function serve(options: HostOptions, command: Command): Promise<void> {
  const { config, control, metrics, logLevel, state, name } = options;
  const isAlone = options.root !== undefined || options.channel.length > 0;
  if ((config !== undefined) === isAlone) {
    command.error('error: give either --config FILE, or --root DIR and --channel ADDRESS for one guest');
  }
  const { loadConfiguration, makeConfiguration } = await import('../../host/daemon/configuration.js');
  const { runDaemon } = await import('../../host/daemon/daemon.js');
  const settings = {
    ...(control !== undefined && { control: path.resolve(control) }),
    ...(metrics !== undefined && { metrics }),
    ...(logLevel !== undefined && { logLevel }),
    ...(state !== undefined && { stateDirectory: path.resolve(state) }),
  };
  const read =
    config === undefined
      ? () => makeConfiguration({ ...settings, guests: { [name]: guestOf(options, command) } })
      : // Options override the file.
        () => loadConfiguration(config, settings);
  await runDaemon(read(), config === undefined ? undefined : read, (status) => {
    const serving = status.guests.filter((guest) => guest.state === 'serving').map((guest) => guest.name);
    for (const { name, error } of status.guests) {
      if (error) console.error(`vamos: guest ${name} is not served: ${error.code}: ${error.message}`);
    }
    console.log(`vamos: serving ${serving.join(', ') || 'no guests'}; control socket ${status.control}`);
  });
}

/**
 * Makes a guest as the configuration file has it, with absolute paths: the daemon may run in another
 * directory.
 */
function guestOf(options: GuestOptions, command: Command) {
  const { root, channel, channelOwner, token, tokenFile, user, limit } = options;
  if (root === undefined || channel.length === 0) command.error('error: a guest needs --root and --channel');
  return {
    root: path.resolve(root),
    channels: channel.map((address) =>
      channelOwner === undefined ? address : { address, own: channelOwner },
    ),
    ...(token !== undefined && { token }),
    ...(tokenFile !== undefined && { tokenFile: path.resolve(tokenFile) }),
    ...(user !== undefined && { user }),
    limits: limit,
  };
}
