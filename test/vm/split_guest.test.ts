import { afterAll, beforeAll, expect, test } from 'vitest';
import { listenChannel, type Listener } from '../../src/channel/index.js';
import { RpcServer } from '../../src/rpc/host/server.js';
import { Probe } from '../rpc/probe.js';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, shell, type TestGuest } from './guest.js';

let guest: TestGuest;
beforeAll(async () => {
  guest = await bootGuest();
}, BOOT_HOOK_TIMEOUT_MS);
afterAll(() => guest?.[Symbol.asyncDispose]());

test('a split guest holds no RocksDB and no store', async () => {
  const found = await shell(
    guest.vm,
    "find / -xdev -iname '*rocksdb*'; find /opt -iname '*rocksdb*' -o -name 'vamos_store.node'",
  );
  expect(found).toBe('');
  expect(await shell(guest.vm, 'ls /opt/vamos/build/native')).toBe('vamos_channel.node\n');
});

test('the connector in a split guest reaches the host over virtio-serial', async () => {
  const server = new RpcServer([new Probe()]);
  const listener: Listener = await listenChannel(`virtio-serial:${guest.socketPath}`, (channel) =>
    server.accept(channel),
  );
  const script = `
    import { connectChannel } from '/opt/vamos/dist/src/channel/index.js';
    import { RpcClient } from '/opt/vamos/dist/src/rpc/connector/client.js';
    const client = await RpcClient.connect(() => connectChannel('virtio-serial:${guest.portName}'));
    const reply = await client.stream().call(0x701, Buffer.from('from the guest'));
    process.stdout.write(reply);
    await client.close();`;
  const result = await guest.vm.exec(['node', '--input-type=module', '-e', script], { timeoutMs: 60_000 });
  expect(result).toMatchObject({ code: 0, stdout: 'from the guest' });
  await server.stop();
  await listener.close();
}, 180_000);
