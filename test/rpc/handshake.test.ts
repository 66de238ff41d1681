import { expect, test } from 'vitest';
import { createLocalPair } from '../../src/channel/local.js';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { RpcServer } from '../../src/rpc/host/server.js';
import { bytes, codeOf, Method, Probe, startRig, text, until } from './probe.js';
import { Stranger } from './stranger.js';

const { FrameKind } = vamos;

test('a host that never answers is reported with its address', async () => {
  const error: unknown = await RpcClient.connect(
    () => {
      const [guestEnd, hostEnd] = createLocalPair('local:silent');
      hostEnd.setHandlers({ onFrame: () => undefined, onClose: () => undefined });
      return Promise.resolve(guestEnd);
    },
    { connectTimeoutMs: 50 },
  ).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(VamosError);
  expect(error).toMatchObject({ code: 'NO_WELCOME', isRetryable: true });
  expect((error as VamosError).message).toContain('local:silent');
});

test('connect keeps trying while nobody is there', async () => {
  await using rig = await startRig();
  let attempts = 0;
  const client = await RpcClient.connect(() =>
    ++attempts < 3 ? Promise.reject(new VamosError('CHANNEL_ABSENT', 'not yet')) : rig.open(),
  );
  expect(attempts).toBe(3);
  await client.close();
  const absent = RpcClient.connect(() => Promise.reject(new VamosError('CHANNEL_ABSENT', 'never')), {
    connectTimeoutMs: 50,
  });
  expect(await codeOf(absent)).toBe('CHANNEL_ABSENT');
  const wrong = RpcClient.connect(() => Promise.reject(new VamosError('BAD_ADDRESS', 'no such transport')));
  expect(await codeOf(wrong)).toBe('BAD_ADDRESS');
});

test('a lost hello is said again, and frames before the welcome are passed over', async () => {
  const probe = new Probe();
  const server = new RpcServer([probe]);
  let hellos = 0;
  const client = await RpcClient.connect(() => {
    const [guestEnd, hostEnd] = createLocalPair('local:late');
    // These are frames for an earlier connector, then a host end that comes late.
    hostEnd.send(FrameKind.REPLIES, vamos.ReplyBatch.encode({ replies: [{ id: 7 }] }).finish());
    hostEnd.send(FrameKind.GOODBYE, vamos.Goodbye.encode({ code: 41, message: 'for another' }).finish());
    hostEnd.send(FrameKind.WELCOME, vamos.Welcome.encode({ nonce: new Uint8Array(16), version: 1 }).finish());
    hostEnd.setHandlers({
      onFrame(kind: vamos.FrameKind) {
        if (kind === FrameKind.HELLO && ++hellos === 2) server.accept(hostEnd);
      },
      onClose: () => undefined,
    });
    return Promise.resolve(guestEnd);
  });
  expect(hellos).toBe(2);
  expect(text(await client.stream().call(Method.ECHO, bytes('hello')))).toBe('hello');
  await client.close();
  await server.stop();
});

test('a host with a token takes only connectors that show it', async () => {
  await using rig = await startRig({ server: { token: 'secret' }, client: { token: 'secret' } });
  expect(await codeOf(RpcClient.connect(rig.open, { token: 'guess' }))).toBe('BAD_TOKEN');
  expect(await codeOf(RpcClient.connect(rig.open))).toBe('BAD_TOKEN');
  await rig.client.stream().call(Method.ECHO, bytes('served'));
});

test('another protocol version is refused, with both versions named', async () => {
  await using rig = await startRig();
  const channel = await rig.open();
  const goodbyes: vamos.Goodbye[] = [];
  channel.setHandlers({
    onFrame(kind: vamos.FrameKind, body) {
      if (kind === FrameKind.GOODBYE) goodbyes.push(vamos.Goodbye.decode(body));
    },
    onClose: () => undefined,
  });
  const nonce = new Uint8Array(16).fill(9);
  channel.send(FrameKind.HELLO, vamos.Hello.encode({ version: 99, nonce }).finish());
  await until(() => goodbyes.length > 0);
  expect(goodbyes[0]?.code).toBe(vamos.ErrorCode.VERSION_MISMATCH);
  expect(goodbyes[0]?.message).toMatch(/99.*1/);
  expect(Buffer.compare(goodbyes[0]!.nonce, nonce)).toBe(0);
});

test('a host that is stopping refuses new sessions', async () => {
  await using rig = await startRig();
  await rig.server.stop();
  const stranger = await Stranger.connect(rig);
  expect(stranger.isWelcome).toBe(false);
  expect(await stranger.end()).toBe('HOST_STOPPING');
});

test('the session appears in the statistics with its program, its requests with their latency', async () => {
  await using rig = await startRig({ client: { program: 'a test' } });
  await rig.client.stream().call(Method.ECHO, bytes('x'));
  await codeOf(rig.client.stream().call(Method.FAIL, bytes('x')));
  const statistics = rig.server.statistics();
  expect(statistics.sessions).toMatchObject([{ program: 'a test', epoch: 1, running: 0, parked: 0 }]);
  expect(statistics).toMatchObject({ sessionsStarted: 1, requests: 2, requestFrames: 2 });
  expect(statistics.errors).toEqual({ DUPLICATE_KEY: 1 });
  const echo = statistics.methods.find((method) => method.method === Method.ECHO);
  expect(echo?.count).toBe(1);
  expect(echo?.buckets.reduce((sum, count) => sum + count)).toBe(1);
  expect(statistics.channels.framesReceived).toBeGreaterThanOrEqual(3);
});
