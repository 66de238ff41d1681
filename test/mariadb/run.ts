/**
 * A private server for people and for other programs, until Ctrl-C: `npm run mariadb -- [options] [-- ARGUMENTS OF
 * MARIADBD]`. Prints where it listens.
 *   --no-vamos          without the engine and its host
 *   --plugin NAME.so    loads one of Debian's plugins, too (may be given again)
 *   --sanitized         the plugin of `npm run build:mariadb -- --sanitize`
 */
import { parseArgs } from 'node:util';
import { sanitized } from './sanitize.js';
import { MariadbServer } from './server.js';

const own = process.argv.slice(2);
const split = own.indexOf('--');
const { values } = parseArgs({
  args: split < 0 ? own : own.slice(0, split),
  options: {
    'no-vamos': { type: 'boolean', default: false },
    sanitized: { type: 'boolean', default: false },
    plugin: { type: 'string', multiple: true, default: [] },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);

await using server = await MariadbServer.start({
  ...(values.sanitized && sanitized()),
  ...(values['no-vamos'] && { host: 'none' }),
  plugins: values.plugin,
  args: split < 0 ? [] : own.slice(split + 1),
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
