import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { listenChannel } from '../../src/channel/index.js';
import { RpcServer } from '../../src/rpc/host/server.js';

test('a connector of a split run never loads the store', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vamos-split-'));
  const address = `unix:${path.join(folder, 'socket')}`;
  const server = new RpcServer([]);
  const listener = await listenChannel(address, (channel) => {
    server.accept(channel);
  });
  const vamos = await connect(address);
  const loaded = await readFile('/proc/self/maps', 'utf8');
  expect(loaded).toContain('vamos_channel.node');
  expect(loaded).not.toContain('vamos_store.node');
  await vamos.close();
  await listener.close();
  await server.stop();
  await rm(folder, { recursive: true });
});
