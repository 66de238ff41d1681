import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ChannelHandlers } from '../../src/channel/channel.js';
import { createLocalPair } from '../../src/channel/local.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { bytes, Method, startRig, text, u32, until } from './probe.js';
import { Stranger } from './stranger.js';

const { FrameKind } = vamos;

const wait = (id: number, stream = id): vamos.IRequest => ({
  id,
  stream,
  method: Method.WAIT,
  body: bytes('lock'),
});

const breaches: [string, string, (stranger: Stranger) => void][] = [
  [
    'garbage for requests',
    'BAD_FRAME',
    ({ channel }) => channel.send(FrameKind.REQUESTS, bytes('\xff\xff\xff\xff')),
  ],
  [
    'a request cut off',
    'BAD_FRAME',
    ({ channel }) => channel.send(FrameKind.REQUESTS, new Uint8Array([10, 200, 1])),
  ],
  [
    'garbage for a cancel',
    'BAD_FRAME',
    ({ channel }) => channel.send(FrameKind.CANCEL, new Uint8Array([10, 9, 1])),
  ],
  [
    'garbage for a hello',
    'BAD_FRAME',
    ({ channel }) => channel.send(FrameKind.HELLO, new Uint8Array([18, 99])),
  ],
  ['a frame of an unknown kind', 'BAD_FRAME', ({ channel }) => channel.send(77, new Uint8Array())],
  [
    'a frame that only a host sends',
    'BAD_FRAME',
    ({ channel }) => channel.send(FrameKind.REPLIES, new Uint8Array()),
  ],
  ['a large ping', 'BAD_FRAME', ({ channel }) => channel.send(FrameKind.PING, new Uint8Array(1000))],
  [
    'a hello with a short session id',
    'BAD_REQUEST',
    (stranger) => {
      stranger.hello({ nonce: new Uint8Array(16).fill(1), session: new Uint8Array(3) });
    },
  ],
  ['a request id used twice', 'BAD_REQUEST', (stranger) => stranger.requests([wait(1), wait(1)])],
  ['request id 0', 'BAD_REQUEST', (stranger) => stranger.requests([wait(0)])],
  ['a chain without end', 'BAD_REQUEST', (stranger) => stranger.requests([{ ...wait(1), chain: true }])],
  ['credit for what was never sent', 'BAD_REQUEST', (stranger) => stranger.requests([], 1_000_000)],
  [
    'too many streams',
    'BAD_REQUEST',
    (stranger) => {
      stranger.requests(Array.from({ length: 101 }, (_, index) => wait(index + 1)));
    },
  ],
  [
    'more requests than the window holds',
    'CREDIT_EXCEEDED',
    (stranger) => {
      stranger.channel.send(FrameKind.REQUESTS, Buffer.alloc(60_000, Buffer.from([10, 0])));
    },
  ],
  [
    'more bytes than the window holds',
    'CREDIT_EXCEEDED',
    (stranger) => {
      // There are two frames, as many as may be in flight. What the host keeps of a small request counts,
      // too.
      for (const first of [1, 1001]) {
        stranger.requests(
          Array.from({ length: 1000 }, (_, index) => ({
            ...wait(first + index, 1),
            body: new Uint8Array(30),
          })),
        );
      }
    },
  ],
  [
    'more frames in flight than allowed',
    'CREDIT_EXCEEDED',
    (stranger) => {
      for (let id = 1; id <= 5; id++) stranger.requests([{ ...wait(id), method: Method.HOLD }]);
    },
  ],
  [
    'a frame over the limit',
    'FRAME_TOO_LARGE',
    ({ channel }) => {
      channel.send(FrameKind.REQUESTS, new Uint8Array(65 * 1024));
    },
  ],
];

test.each(breaches)('%s ends the session with %s, and no other', async (_name, code, act) => {
  await using rig = await startRig({
    server: { requestWindowBytes: 128 * 1024, maxFrameBytes: 64 * 1024, maxStreams: 100 },
  });
  const innocent = rig.client.stream().call(Method.WAIT, bytes('innocent'));
  await until(() => rig.probe.waitingCount === 1);
  const stranger = await Stranger.connect(rig);
  act(stranger);
  expect(await stranger.end()).toBe(code);
  await until(() => rig.server.statistics().sessions.length === 1);
  expect(Object.values(rig.server.statistics().sessionsEnded)).toEqual([1]);
  await rig.client.stream().call(Method.RELEASE, bytes('innocent'));
  expect(text(await innocent)).toBe('innocent');
  expect(rig.probe.sessions.filter((line) => line.startsWith('close'))).toHaveLength(1);
});

test('requests without a session are answered with SESSION_LOST', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig);
  stranger.channel.send(FrameKind.GOODBYE, new Uint8Array());
  stranger.requests([wait(1)]);
  expect(await stranger.end()).toBe('SESSION_LOST');
});

test('a hello with a new nonce replaces the session of its channel', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig);
  stranger.requests([wait(1)]);
  await until(() => rig.probe.waitingCount === 1);
  stranger.isWelcome = false;
  stranger.hello({ nonce: new Uint8Array(16).fill(1), session: new Uint8Array(16).fill(6) });
  await until(() => stranger.isWelcome);
  expect(rig.probe.waitingCount).toBe(0);
  expect(rig.probe.sessions).toEqual(['open 1', 'open 1', 'close 1', 'open 1']);
  stranger.requests([{ id: 1, stream: 1, method: Method.ECHO, body: bytes('new') }]);
  await until(() => stranger.replies.length === 1);
  expect(stranger.replies[0]).toMatchObject({ id: 1 });
  stranger.channel.close();
});

test('a hello said again is only welcomed again', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig);
  const before = [...rig.probe.sessions];
  stranger.isWelcome = false;
  stranger.hello();
  await until(() => stranger.isWelcome);
  expect(rig.probe.sessions).toEqual(before);
  stranger.channel.close();
});

test('a hello may have as many stamps as a hello has room for, and a frame any stamp', async () => {
  await using rig = await startRig();
  const stamps = Array.from({ length: 10_000 }, (_, index) => 2 ** 32 - 1 - index);
  const stranger = await Stranger.connect(rig, { stamps });
  stranger.requests([{ id: 1, stream: 1, method: Method.ECHO, body: bytes('x') }], 0, 2 ** 32 - 1);
  await until(() => stranger.replies.length === 1);
  expect(stranger.stamps).toEqual([2 ** 32 - 1]);
  stranger.channel.close();
  const refused = await Stranger.connect(rig, {
    session: new Uint8Array(16).fill(6),
    stamps: [...stamps, ...stamps],
  });
  expect(await refused.end()).toBe('FRAME_TOO_LARGE');
});

test.each([
  ['said again behind requests', {}],
  ['with another nonce and the epoch of a session that is in use', { nonce: new Uint8Array(16).fill(1) }],
])('a hello %s is SESSION_STALE: its sender is in an earlier state', async (_, hello) => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig);
  stranger.requests([wait(1)]);
  await until(() => rig.probe.waitingCount === 1);
  stranger.hello(hello);
  expect(await stranger.end()).toBe('SESSION_STALE');
  await until(() => rig.probe.waitingCount === 0);
});

test('a goodbye that says what went wrong is no end in order: what is kept of the session stays', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig);
  const goodbye = { code: vamos.ErrorCode.BAD_FRAME, message: 'a reply does not decode' };
  stranger.channel.send(vamos.FrameKind.GOODBYE, vamos.Goodbye.encode(goodbye).finish());
  await until(() => rig.probe.sessions.includes('close 1'));
  expect(rig.server.statistics().sessionsEnded).toEqual({ SESSION_LOST: 1 });
  stranger.channel.close();
});

test('the same session on another channel replaces the older one, not the later', async () => {
  await using rig = await startRig();
  const older = await Stranger.connect(rig, { epoch: 2 });
  older.requests([wait(1)]);
  await until(() => rig.probe.waitingCount === 1);
  const newer = await Stranger.connect(rig, { epoch: 3, nonce: new Uint8Array(16).fill(1) });
  expect(await older.end()).toBe('SESSION_LOST');
  expect(rig.probe.waitingCount).toBe(0);
  const late = await Stranger.connect(rig, { epoch: 1, nonce: new Uint8Array(16).fill(2) });
  expect(await late.end()).toBe('SESSION_STALE');
  expect(newer.isClosed).toBe(false);
  newer.channel.close();
});

test('a new process on the port ends the session before it', async () => {
  await using rig = await startRig();
  const [guestEnd, hostEnd] = createLocalPair();
  let handlers: ChannelHandlers | undefined;
  const setHandlers = hostEnd.setHandlers.bind(hostEnd);
  hostEnd.setHandlers = (given) => {
    handlers = given;
    setHandlers(given);
  };
  rig.server.accept(hostEnd);
  const stranger = await Stranger.over(guestEnd);
  stranger.requests([wait(1)]);
  await until(() => rig.probe.waitingCount === 1);
  handlers!.onNewPeer!();
  await until(() => rig.probe.waitingCount === 0);
  stranger.isWelcome = false;
  // This holds even for a process that draws the same nonce as the one before.
  stranger.hello();
  await until(() => stranger.isWelcome);
  expect(rig.probe.sessions).toEqual(['open 1', 'open 1', 'close 1', 'open 1']);
  stranger.channel.close();
});

test('for a connector that takes no replies no more requests start than its queue holds', async () => {
  await using rig = await startRig({ server: { maxQueuedReplyBytes: 200_000 } });
  const stranger = await Stranger.connect(rig, { replyWindowBytes: 128 * 1024 });
  const request = (_: unknown, index: number): vamos.IRequest => ({
    id: index + 1,
    stream: index % 10,
    method: Method.BYTES,
    body: u32(50_000),
  });
  stranger.requests(Array.from({ length: 100 }, request));
  await until(() => stranger.replies.length > 0);
  for (let round = 0; round < 5; round++) await rig.client.stream().call(Method.ECHO_LATER, bytes('x'));
  const started = rig.probe.started.length - 5;
  expect(started).toBeLessThan(15);
  // In the end it takes them all.
  while (stranger.replies.length < 100) {
    const before = stranger.replies.length;
    const receivedBytes = stranger.receivedBytes;
    stranger.channel.send(FrameKind.CREDIT, vamos.Credit.encode({ receivedBytes }).finish());
    await until(() => stranger.replies.length > before);
  }
  expect(new Set(stranger.replies.map((reply) => reply.id)).size).toBe(100);
  stranger.channel.close();
});

test('no connector has more requests run simultaneously than its limit, not counting parked ones', async () => {
  await using rig = await startRig({ server: { maxRunning: 10 } });
  const parked = Array.from({ length: 20 }, () => rig.client.stream().call(Method.WAIT, bytes('lock')));
  await until(() => rig.probe.waitingCount === 20);
  const held = Array.from({ length: 30 }, () => rig.client.stream().call(Method.HOLD, bytes('work')));
  await until(() => rig.probe.waitingCount === 30);
  const echo = rig.client.stream().call(Method.ECHO, bytes('behind'));
  await rig.client
    .stream()
    .call(Method.ECHO, bytes('x'), { timeoutMs: 50 })
    .catch(() => undefined);
  expect(rig.probe.waitingCount).toBe(30);
  // Each request that ends lets another in, until all have run.
  const feeder = setInterval(() => rig.probe.release('work'), 5);
  await Promise.all(held);
  clearInterval(feeder);
  expect(text(await echo)).toBe('behind');
  rig.probe.release('lock');
  await Promise.all(parked);
});

test('whatever bytes a connector sends, another one is served', async () => {
  await using rig = await startRig();
  const innocent = rig.client.stream();
  const frame = fc.record({ kind: fc.nat(12), body: fc.uint8Array({ maxLength: 40 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 8 }), async (frames) => {
      const stranger = await Stranger.connect(rig);
      for (const { kind, body } of frames) stranger.channel.send(kind, body);
      expect(text(await innocent.call(Method.ECHO, bytes('fine')))).toBe('fine');
      stranger.channel.close();
      await until(() => stranger.isClosed);
    }),
    { numRuns: 200 },
  );
  await until(() => rig.server.statistics().sessions.length === 1, 'all sessions but one to end');
  expect(rig.client.counters.reconnects).toBe(0);
});
