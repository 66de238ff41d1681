import { expect, test } from 'vitest';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { RpcStream } from '../../src/rpc/contract.js';
import { bytes, Method, startRig, u32, until } from './probe.js';

const MIB = 1024 * 1024;

test('what one turn issues goes as one frame and is answered in one frame', async () => {
  await using rig = await startRig();
  // The answer comes after the welcome to a hello that was said again.
  await rig.client.stream().call(Method.ECHO, bytes('first'));
  const before = rig.client.counters;
  const streams = Array.from({ length: 100 }, () => rig.client.stream());
  await Promise.all(streams.map((stream) => stream.call(Method.ECHO, bytes('x'))));
  const after = rig.client.counters;
  expect(after.requests - before.requests).toBe(100);
  expect(after.requestFrames - before.requestFrames).toBe(1);
  expect(after.framesSent - before.framesSent).toBe(1);
  expect(after.framesReceived - before.framesReceived).toBe(1);
});

test('16 streams in lockstep share frames', async () => {
  await using rig = await startRig();
  const rounds = 50;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      const stream = rig.client.stream();
      for (let round = 0; round < rounds; round++) await stream.call(Method.ECHO_LATER, bytes('commit'));
    }),
  );
  expect(rig.client.counters.requests).toBe(16 * rounds);
  expect(rig.client.counters.requestFrames).toBeLessThanOrEqual(rounds + 5);
});

test('a chain of 100 goes as one frame', async () => {
  await using rig = await startRig();
  const requests = Array.from({ length: 100 }, () => ({ method: Method.ECHO, body: new Uint8Array(1024) }));
  await rig.client.stream().chain(requests);
  expect(rig.client.counters.requestFrames).toBe(1);
});

test('a chain that takes several turns is answered in one frame', async () => {
  await using rig = await startRig();
  await rig.client.stream().call(Method.ECHO, bytes('first'));
  const methods = [Method.ECHO, Method.ECHO_LATER, Method.ECHO_LATER, Method.ECHO];
  let tookMs: number;
  // A round in which this process stands still for long may be answered in more frames.
  do {
    const before = rig.client.counters.framesReceived;
    const startedAt = performance.now();
    const answers = await rig.client.stream().chain(methods.map((method) => ({ method, body: bytes('x') })));
    tookMs = performance.now() - startedAt;
    expect(answers).toHaveLength(methods.length);
    if (tookMs < 100) expect(rig.client.counters.framesReceived - before).toBe(1);
  } while (tookMs >= 100);
});

test('what a chain has done is told while the rest of it waits or takes long', async () => {
  await using rig = await startRig();
  for (const method of [Method.WAIT, Method.HOLD]) {
    const started = rig.client.counters.framesReceived;
    const chain = rig.client.stream().chain([
      { method: Method.ECHO_LATER, body: bytes('done') },
      { method, body: bytes('gate') },
    ]);
    await until(() => rig.client.counters.framesReceived > started);
    rig.probe.release('gate');
    expect(await chain).toHaveLength(2);
  }
});

test('while the most frames are in flight, requests gather', async () => {
  await using rig = await startRig({ server: { maxFramesInFlight: 4 } });
  const held = [];
  for (let number = 0; number < 4; number++) {
    held.push(rig.client.stream().call(Method.HOLD, bytes('gate')));
    await until(() => rig.probe.waitingCount === number + 1);
  }
  expect(rig.client.counters.requestFrames).toBe(4);
  const late: Promise<unknown>[] = [];
  for (let number = 0; number < 10; number++) {
    late.push(rig.client.stream().call(Method.ECHO, bytes('late')));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(rig.client.counters.requestFrames).toBe(4);
  rig.probe.release('gate');
  await Promise.all([...held, ...late]);
  expect(rig.client.counters.requestFrames).toBe(5);
});

test('a COMMIT gets past as many parked frames as may be in flight', async () => {
  await using rig = await startRig({ server: { maxFramesInFlight: 4 } });
  const waiting: Promise<Uint8Array>[] = [];
  for (let number = 0; number < 4; number++) {
    waiting.push(rig.client.stream().call(Method.WAIT, bytes('lock')));
    await until(() => rig.probe.waitingCount === number + 1);
  }
  await rig.client.stream().call(Method.RELEASE, bytes('lock'));
  await Promise.all(waiting);
  expect(rig.client.counters.parked).toBeGreaterThan(0);
});

test('64 parked requests, with others behind them in their streams, delay nobody', async () => {
  await using rig = await startRig();
  const waiting: Promise<Uint8Array>[] = [];
  for (let number = 0; number < 64; number++) {
    const stream = rig.client.stream();
    waiting.push(stream.call(Method.WAIT, bytes('lock')), stream.call(Method.ECHO, bytes('behind')));
    if (number % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => rig.probe.waitingCount === 64);
  expect(rig.server.statistics().parked).toBe(64);
  const other = rig.client.stream();
  for (let round = 0; round < 10; round++) await other.call(Method.ECHO_LATER, bytes('x'));
  await other.call(Method.RELEASE, bytes('lock'));
  await Promise.all(waiting);
  expect(rig.server.statistics().parked).toBe(0);
});

test('parked requests are not reported while the connector need not wait', async () => {
  await using rig = await startRig();
  const waiting = rig.client.stream().call(Method.WAIT, bytes('lock'));
  const other = rig.client.stream();
  for (let round = 0; round < 10; round++) await other.call(Method.ECHO, bytes('x'));
  expect(rig.client.counters.parked).toBe(0);
  await other.call(Method.RELEASE, bytes('lock'));
  await waiting;
});

test('a batch larger than a frame is split', async () => {
  await using rig = await startRig({ server: { maxFrameBytes: 100_000 } });
  const frames = watchFrames(rig.hostEnds[0]!);
  const body = new Uint8Array(30_000);
  await Promise.all(Array.from({ length: 10 }, () => rig.client.stream().call(Method.ECHO, body)));
  expect(rig.client.counters.requestFrames).toBe(4);
  expect(Math.max(...frames.sentBytes)).toBeLessThanOrEqual(100_000);
});

test('requests never exceed the host window, replies never the connector window', async () => {
  await using rig = await startRig({
    server: { requestWindowBytes: MIB, maxFrameBytes: 256 * 1024 },
    client: { replyWindowBytes: MIB },
  });
  const streams: RpcStream[] = Array.from({ length: 64 }, () => rig.client.stream());
  const up = streams.map((stream) => stream.call(Method.ECHO_LATER, new Uint8Array(100_000)));
  const down = streams.map((stream) => stream.call(Method.BYTES, u32(200_000)));
  for (const body of await Promise.all(up)) expect(body).toHaveLength(100_000);
  for (const body of await Promise.all(down)) expect(body).toHaveLength(200_000);
  // Otherwise the host would have ended the session.
  expect(rig.client.counters.reconnects).toBe(0);
  expect(rig.server.statistics().sessionsEnded).toEqual({});
});

test('the host sends no more than the reply window until the connector gives credit', async () => {
  await using rig = await startRig();
  // This is a connector made by hand, which never gives credit.
  const channel = await rig.open();
  const received: number[] = [];
  let nextId = 1;
  const request = (): vamos.IRequest => ({
    id: nextId++,
    stream: 1,
    method: Method.BYTES,
    body: u32(50_000),
  });
  channel.setHandlers({
    onFrame(kind: vamos.FrameKind, body) {
      if (kind === vamos.FrameKind.REPLIES) received.push(body.length);
      if (kind !== vamos.FrameKind.WELCOME) return;
      const requests = Array.from({ length: 20 }, request);
      channel.send(vamos.FrameKind.REQUESTS, vamos.RequestBatch.encode({ requests }).finish());
    },
    onClose: () => undefined,
  });
  channel.send(
    vamos.FrameKind.HELLO,
    vamos.Hello.encode({
      version: 1,
      nonce: new Uint8Array(16).fill(1),
      session: new Uint8Array(16).fill(2),
      epoch: 1,
      replyWindowBytes: 128 * 1024,
    }).finish(),
  );
  const total = (): number => received.reduce((sum, length) => sum + length, 0);
  await until(() => total() > 100_000);
  await rig.client.stream().call(Method.SLEEP, u32(20));
  expect(total()).toBeLessThanOrEqual(128 * 1024);
  expect(Math.max(...received)).toBeLessThanOrEqual(64 * 1024);
  channel.send(vamos.FrameKind.CREDIT, vamos.Credit.encode({ receivedBytes: total() }).finish());
  await until(() => total() > 200_000);
  channel.close();
});

/** Collects the sizes of frames that a channel end sends from now on. */
function watchFrames(end: { send(kind: number, body: Uint8Array): boolean }): { sentBytes: number[] } {
  const sentBytes: number[] = [];
  const send = end.send.bind(end);
  end.send = (kind, body) => {
    sentBytes.push(body.length);
    return send(kind, body);
  };
  return { sentBytes };
}
