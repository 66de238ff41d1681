import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'vitest';
import type { Listener } from '../../src/channel/channel.js';
import { connectChannel, listenChannel } from '../../src/channel/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { VamosError } from '../../src/protocol/errors.js';
import { ChardevRelay } from './chardev_relay.js';
import { connectRaw, encodeFrame, write } from './raw_peer.js';
import { Recorder, assertSameBytes, pattern, settle } from './recorder.js';
import { makeFolder, removeFolder } from './transports.js';

const { HELLO, WELCOME, REQUESTS, REPLIES } = vamos.FrameKind;

/** A virtio-serial port does not tell either end that the process at the other has changed. */
describe('a virtio-serial port', () => {
  let folder: string;
  let relay: ChardevRelay;
  let listener: Listener;
  let hosts: Recorder[];
  let retries: (VamosError | undefined)[];

  beforeEach(async () => {
    folder = makeFolder();
    hosts = [];
    retries = [];
    relay = await ChardevRelay.open(folder);
    listener = await listenChannel(
      `virtio-serial:${relay.hostPath}`,
      (channel) => {
        hosts.push(new Recorder(channel));
      },
      { backoff: { firstMs: 5, longestMs: 20 }, onRetry: (error) => retries.push(error) },
    );
  });

  afterEach(async () => {
    await listener.close();
    for (const host of hosts) host.channel.destroy();
    await relay.close();
    removeFolder(folder);
  });

  const port = () => `virtio-serial:${relay.portPath}`;

  async function firstHost(): Promise<Recorder> {
    while (hosts[0] === undefined) await settle();
    return hosts[0];
  }

  it('a process killed in mid-frame: the next one is found by its HELLO', async () => {
    const host = await firstHost();
    const killed = await connectRaw(relay.portPath);
    await write(killed, encodeFrame(HELLO, pattern(50, 1), 0));
    await write(killed, encodeFrame(REQUESTS, pattern(100_000, 1), 1).subarray(0, 60_000));
    await host.take(1);
    killed.destroy();
    assert.equal(host.newPeers, 0);

    const next = await connectChannel(port());
    const recorder = new Recorder(next);
    const hello = pattern(50, 2);
    next.send(HELLO, hello);
    const [frame] = await host.take(1);
    assert.equal(host.newPeers, 1);
    assert.equal(frame?.kind, HELLO);
    assertSameBytes(frame.body, hello, 'HELLO');

    next.send(REQUESTS, pattern(200_000, 3));
    const [request] = await host.take(1);
    assertSameBytes(request?.body, pattern(200_000, 3), 'request');
    host.channel.send(WELCOME, hello);
    await recorder.take(1);
    next.destroy();
  });

  it('a connector skips what was meant for the process before it', async () => {
    const host = await firstHost();
    host.channel.send(WELCOME, pattern(50, 1));
    // The former process took a part of this before it died.
    host.channel.send(REPLIES, pattern(300_000, 1));
    const killed = await connectRaw(relay.portPath);
    await new Promise<void>((resolve) =>
      killed.once('data', () => {
        resolve();
      }),
    );
    killed.destroy();
    await settle();

    const next = await connectChannel(port());
    const recorder = new Recorder(next);
    next.send(HELLO, pattern(50, 2));
    await host.take(1);
    host.channel.send(WELCOME, pattern(50, 2));
    host.channel.send(REPLIES, pattern(1000, 4));
    await recorder.until('the reply', () => recorder.frames.some(({ body }) => body.length === 1000));
    assert.equal(recorder.frames[0]?.kind, WELCOME);
    assert.deepEqual(recorder.closes, []);
    next.destroy();
  });

  it('the host end is reopened when QEMU goes, with a code for its channel', async () => {
    const host = await firstHost();
    await relay.dropHost();
    assert.equal((await host.closed())?.code, 'CHANNEL_CLOSED');
    while (hosts.length < 2) await settle();
    const guest = await connectChannel(port());
    guest.send(HELLO, pattern(10, 1));
    await hosts[1]?.take(1);
    guest.destroy();
  });

  it('the host end waits for a QEMU that is not there yet', async () => {
    await listener.close();
    (await firstHost()).channel.destroy();
    await relay.close();
    hosts = [];
    listener = await listenChannel(
      `virtio-serial:${relay.hostPath}`,
      (channel) => {
        hosts.push(new Recorder(channel));
      },
      { backoff: { firstMs: 5, longestMs: 20 }, onRetry: (error) => retries.push(error) },
    );
    while (retries.filter((error) => error?.code === 'CHANNEL_ABSENT').length < 3) await settle();
    relay = await ChardevRelay.open(folder);
    await firstHost();
  });

  it('the host end may own the socket', async () => {
    const socket = `${folder}/owned`;
    const owner = await listenChannel(
      `virtio-serial:${socket}`,
      (channel) => hosts.push(new Recorder(channel)),
      {
        ownsSocket: true,
      },
    );
    const before = hosts.length;
    const qemu = await connectRaw(socket);
    await write(qemu, pattern(100, 7));
    await write(qemu, encodeFrame(HELLO, pattern(20, 1), 5));
    while (hosts.length === before) await settle();
    const host = hosts[before];
    await host?.take(1);
    assert.equal(host?.newPeers, 1);
    qemu.destroy();
    await owner.close();
  });
});
