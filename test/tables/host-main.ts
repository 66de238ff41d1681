// A host process with the module `tables` alone: SOCKET DIRECTORY OPTIONS. Says 'ready' to its parent, and its
// statistics when asked.
import { openTablesModule, type TablesModuleOptions } from '../../host/modules/tables/module.js';
import { listenChannel } from '../../src/channel/index.js';
import { RpcServer } from '../../src/rpc/host/server.js';

const [socket, path, options] = process.argv.slice(2) as [string, string, string];
const module = await openTablesModule({ ...(JSON.parse(options) as Partial<TablesModuleOptions>), path });
const server = new RpcServer([module]);
await listenChannel(`unix:${socket}`, (channel) => {
  server.accept(channel);
});
process.send!('ready');
process.on('message', (message) => {
  if (message === 'statistics') process.send!(module.statistics());
  else void server.stop().then(() => process.exit());
});
process.once('disconnect', () => process.exit());
