/** The host end as a process of its own: `node echo_host.js ADDRESS`. It stops when its parent is gone. */
import { listenChannel } from '../../src/channel/index.js';
import { EchoHost } from './echo.js';

const host = new EchoHost();
const listener = await listenChannel(process.argv[2] ?? '', (channel) => {
  host.accept(channel);
});
process.on('disconnect', () => {
  void listener.close().then(() => process.exit(0));
});
process.send?.('serving');
