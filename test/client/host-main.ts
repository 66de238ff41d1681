// A host process with the probe module at the SOCKET given. Says 'ready' to its parent, and 'called' when it has
// been.
import { listenChannel } from '../../src/channel/index.js';
import { RpcServer } from '../../src/rpc/host/server.js';
import { Probe } from '../rpc/probe.js';

const [socket] = process.argv.slice(2) as [string];
const probe = new Probe();
const server = new RpcServer([probe]);
await listenChannel(`unix:${socket}`, (channel) => {
  server.accept(channel);
});
// Other tests need what the probe notes of each request; here there are too many requests.
let wasCalled = false;
setInterval(() => {
  if (probe.started.length > 0 && !wasCalled) {
    wasCalled = true;
    process.send?.('called');
  }
  probe.started.length = 0;
  probe.ended.length = 0;
}, 100);
process.send?.('ready');
process.once('disconnect', () => process.exit());
