import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { createLocalPair } from '../../src/channel/local.js';
import { ErrorCode } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { bytes, Method, startRig, text, until } from './probe.js';
import { Stranger } from './stranger.js';

// Channels without a hello.

interface Silent {
  channel: Channel;
  goodbye: string | undefined;
  isClosed: boolean;
}

function keepSilent(channel: Channel): Silent {
  const silent: Silent = { channel, goodbye: undefined, isClosed: false };
  channel.setHandlers({
    onFrame: (kind: vamos.FrameKind, body) => {
      if (kind === vamos.FrameKind.GOODBYE) silent.goodbye = ErrorCode[vamos.Goodbye.decode(body).code];
    },
    onClose: () => {
      silent.isClosed = true;
    },
  });
  return silent;
}

test('a channel more than maxChannels is closed immediately, and one that closes makes room', async () => {
  await using rig = await startRig({ transport: 'unix', server: { maxChannels: 2 } });
  const second = keepSilent(await rig.open());
  await until(() => rig.hostEnds.length === 2);
  const third = keepSilent(await rig.open());
  await until(() => third.isClosed);
  expect(second.isClosed).toBe(false);
  expect(text(await rig.client.stream().call(Method.ECHO, bytes('x')))).toBe('x');
  second.channel.close();
  await until(() => second.isClosed);
  let fourth: Stranger;
  do fourth = await Stranger.connect(rig);
  while (!fourth.isWelcome);
  fourth.channel.close();
});

test('a socket on which nobody says hello is closed, also after a session; one with a session stays', async () => {
  await using rig = await startRig({ transport: 'unix', server: { helloTimeoutMs: 500 } });
  const silent = keepSilent(await rig.open());
  // A ping is no hello.
  silent.channel.send(vamos.FrameKind.PING, bytes('ping'));
  let stranger: Stranger;
  do stranger = await Stranger.connect(rig);
  while (!stranger.isWelcome);
  await until(() => silent.isClosed);
  expect(silent.goodbye).toBe('DEADLINE_EXCEEDED');
  expect(stranger.isClosed).toBe(false);
  expect(text(await rig.client.stream().call(Method.ECHO, bytes('x')))).toBe('x');
  expect(rig.client.counters.reconnects).toBe(0);
  stranger.channel.send(vamos.FrameKind.GOODBYE, new Uint8Array());
  expect(await stranger.end()).toBe('DEADLINE_EXCEEDED');
});

test('a port waits for its hello as long as no process of the guest opens it', async () => {
  await using rig = await startRig({ transport: 'unix', server: { helloTimeoutMs: 500 } });
  const [guestEnd, hostEnd] = createLocalPair('virtio-serial:port');
  rig.server.accept(hostEnd);
  const port = keepSilent(guestEnd);
  const socket = keepSilent(await rig.open());
  // That one was accepted later with the same deadline, and has gone before.
  await until(() => socket.isClosed);
  expect(port.isClosed).toBe(false);
  expect((await Stranger.over(guestEnd)).isWelcome).toBe(true);
  guestEnd.close();
});
