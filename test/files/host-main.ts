// A host process with the module `files` alone: SOCKET ROOT MAX-HANDLES. Says 'ready' to its parent.
import { openFilesModule } from '../../host/modules/files/module.js';
import { listenChannel } from '../../src/channel/index.js';
import { RpcServer } from '../../src/rpc/host/server.js';

const [socket, root, maxHandles] = process.argv.slice(2) as [string, string, string];
const server = new RpcServer([await openFilesModule({ root, maxHandles: Number(maxHandles) })]);
await listenChannel(`unix:${socket}`, (channel) => {
  server.accept(channel);
});
process.send!('ready');
process.once('disconnect', () => process.exit());
