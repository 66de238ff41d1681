import { Command } from 'commander';
import { sanitized } from './sanitize.js';
import { MariadbServer } from './server.js';

interface RunOptions {
  /** False with --no-vamos. */
  vamos: boolean;
  plugin?: string[];
  sanitized?: boolean;
}

const command = new Command('mariadb')
  .description('A private MariaDB with the engine and its host, until Ctrl-C. Prints where it listens.')
  .usage('[options] [-- ARGUMENTS OF MARIADBD]')
  .option('--no-vamos', 'without the engine and its host')
  .option('--plugin <names...>', "load plugins of Debian's packages, too, such as ha_rocksdb.so")
  .option('--sanitized', 'the plugin of npm run build:mariadb -- --sanitize')
  .argument('[arguments...]', 'for mariadbd')
  .parse();
const options = command.opts<RunOptions>();
const say = (text: string) => process.stdout.write(`${text}\n`);

await using server = await MariadbServer.start({
  ...(options.sanitized && sanitized()),
  ...(!options.vamos && { host: 'none' }),
  plugins: options.plugin ?? [],
  args: command.args,
});
say(`socket: ${server.socket}`);
say(`data: ${server.dataFolder}`);
if (server.host) say(`host: ${server.host.root} behind ${server.host.channel}`);
say(`pid: ${server.pid}`);
say(`A client: ${server.client}`);
say('Ctrl-C ends it and removes what it wrote.');
await new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, resolve);
});
