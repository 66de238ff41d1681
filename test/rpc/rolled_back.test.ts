/** A connector whose memory was put back to an earlier state, and a host that has what the connector sent since. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLocalPair } from '../../src/channel/local.js';
import type { Channel } from '../../src/channel/channel.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { bytes, codeOf, Method, type Rig, startRig, text, until } from './probe.js';
import { Stranger } from './stranger.js';

const { FrameKind } = vamos;

const echo = (id: number): vamos.IRequest => ({ id, stream: 1, method: Method.ECHO, body: bytes('x') });

/** Opens a connection of the session, with a new nonce. */
function connect(rig: Rig, epoch: number, stamps: number[]): Promise<Stranger> {
  return Stranger.connect(rig, { epoch, stamps, nonce: new Uint8Array(16).fill(epoch) });
}

/** Sends one frame, and returns the stamp of its answer. */
async function send(stranger: Stranger, stamp: number): Promise<number> {
  const answered = stranger.replies.length;
  stranger.requests([echo(answered + 1)], stranger.receivedBytes, stamp);
  await until(() => stranger.replies.length > answered);
  return stranger.stamps.at(-1)!;
}

async function close(rig: Rig, stranger: Stranger): Promise<void> {
  const others = rig.server.statistics().sessions.length - 1;
  stranger.channel.destroy();
  await until(() => rig.server.statistics().sessions.length === others);
}

test('a host answers with the stamp of the last frame that came, and a hello that has it among its own goes on', async () => {
  await using rig = await startRig();
  const first = await connect(rig, 1, []);
  expect(await send(first, 11)).toBe(11);
  expect(await send(first, 12)).toBe(12);
  await close(rig, first);
  // The last frame was lost.
  const second = await connect(rig, 2, [11, 12, 13]);
  expect(second.isWelcome).toBe(true);
  await close(rig, second);
  // The connector was welcomed, and no frame came since.
  const third = await connect(rig, 3, [13]);
  expect(third.isWelcome).toBe(true);
  expect(await send(third, 14)).toBe(14);
  await close(rig, third);
});

test.each([
  ['fewer frames', [11]],
  ['as many frames', [11, 22]],
  ['more frames', [11, 22, 23, 24]],
  ['no frames', []],
])(
  'a hello of a connector that sent %s than the host has, and others, is SESSION_STALE',
  async (_, stamps) => {
    await using rig = await startRig();
    const first = await connect(rig, 1, []);
    await send(first, 11);
    await send(first, 12);
    await close(rig, first);
    expect(await (await connect(rig, 2, stamps)).end()).toBe('SESSION_STALE');
    // The refusal does not make it known either.
    expect(await (await connect(rig, 3, stamps)).end()).toBe('SESSION_STALE');
    expect((await connect(rig, 4, [11, 12])).isWelcome).toBe(true);
  },
);

test('a hello that is SESSION_STALE on another channel leaves the session as it is', async () => {
  await using rig = await startRig();
  const first = await connect(rig, 1, []);
  await send(first, 11);
  await send(first, 12);
  expect(await (await connect(rig, 2, [11])).end()).toBe('SESSION_STALE');
  expect(await send(first, 13)).toBe(13);
  await close(rig, first);
});

test('a connector that stamps no frames is served, and may come back', async () => {
  await using rig = await startRig();
  const first = await connect(rig, 1, []);
  expect(await send(first, 0)).toBe(0);
  await close(rig, first);
  const second = await connect(rig, 2, []);
  expect(await send(second, 0)).toBe(0);
  await close(rig, second);
});

/** A host that the test plays. */
class PlayedHost {
  readonly hellos: vamos.Hello[] = [];
  readonly batches: vamos.RequestBatch[] = [];
  channel!: Channel;

  open(): Promise<Channel> {
    const [guestEnd, hostEnd] = createLocalPair();
    this.channel = hostEnd;
    hostEnd.setHandlers({
      onFrame: (kind: vamos.FrameKind, body) => {
        if (kind === FrameKind.REQUESTS) this.batches.push(vamos.RequestBatch.decode(body));
        if (kind !== FrameKind.HELLO) return;
        const hello = vamos.Hello.decode(body);
        this.hellos.push(hello);
        const limits = { maxFrameBytes: 65_536, requestWindowBytes: 131_072, maxFramesInFlight: 2 };
        hostEnd.send(
          FrameKind.WELCOME,
          vamos.Welcome.encode({ nonce: hello.nonce, version: 1, ...limits }).finish(),
        );
      },
      onClose: () => undefined,
    });
    return Promise.resolve(guestEnd);
  }

  /** Answers the last request, with this stamp. */
  answer(stamp: number): void {
    const { id } = this.batches.at(-1)!.requests.at(-1)!;
    const replies = [{ id: id!, body: bytes('answer') }];
    this.channel.send(FrameKind.REPLIES, vamos.ReplyBatch.encode({ replies, stamp }).finish());
  }
}

test('an answer to a frame that this connector has not sent is none: the session is over, and another begins', async () => {
  const host = new PlayedHost();
  const client = await RpcClient.connect(() => host.open());
  const stream = client.stream();
  const first = stream.call(1, bytes('first'));
  await until(() => host.batches.length === 1);
  host.answer(host.batches[0]!.stamp);
  expect(text(await first)).toBe('answer');

  const commit = codeOf(stream.call(1, bytes('commit'), { isCommit: true }));
  await until(() => host.batches.length === 2);
  host.answer(host.batches[1]!.stamp ^ 1);
  expect(await commit).toBe('OUTCOME_UNKNOWN');
  await until(() => host.hellos.length === 2);
  expect(host.hellos[1]!.session).not.toEqual(host.hellos[0]!.session);
  expect(host.hellos[1]!.stamps).toEqual([]);
  expect(client.renewals).toBe(1);
  await client.close();
});

test('a connector names all frames that may be the last one that came, and an earlier host answers with no stamp', async () => {
  const host = new PlayedHost();
  const client = await RpcClient.connect(() => host.open());
  for (let count = 1; count <= 4; count++) {
    const call = client.stream().call(1, bytes('call'));
    await until(() => host.batches.length === count);
    host.answer(0);
    await call;
  }
  const stamps = host.batches.map(({ stamp }) => stamp);
  expect(new Set(stamps).size).toBe(4);
  host.channel.destroy();
  await until(() => host.hellos.length === 2);
  expect(host.hellos[1]!.stamps).toEqual(stamps.slice(-3));
  host.channel.destroy();
  await until(() => host.hellos.length === 3);
  // The host takes the last frame for the last that came.
  expect(host.hellos[2]!.stamps).toEqual(stamps.slice(-1));
  expect(client.renewals).toBe(0);
  await client.close();
});

test('a host refuses exactly those hellos that come from another state than what it last heard', async () => {
  await using rig = await startRig();
  // Frames that a connector sent, of which the host got the first ones; then perhaps it is put back behind some of them, and
  // sends others that the host does not get.
  const life = fc.record({
    sent: fc.nat(6),
    lost: fc.nat(2),
    putBackTo: fc.option(fc.nat(6), { nil: undefined }),
    sentSince: fc.nat(2),
  });
  let session = 0;
  await fc.assert(
    fc.asyncProperty(life, async ({ sent, lost, putBackTo, sentSince }) => {
      const id = Buffer.alloc(16);
      id.writeUInt32BE(++session, 4);
      const hello = (epoch: number, stamps: number[]) =>
        Stranger.connect(rig, { session: id, epoch, stamps, nonce: Buffer.alloc(16, epoch) });
      const guest = await hello(1, []);
      const got = Math.max(0, sent - lost);
      for (let frame = 1; frame <= got; frame++) await send(guest, frame);
      await close(rig, guest);
      const kept = putBackTo === undefined ? sent : Math.min(sent, putBackTo);
      const known = [
        ...Array.from({ length: kept }, (_, index) => index + 1),
        ...Array.from({ length: sentSince }, (_, index) => 100 + index),
      ];
      const back = await hello(2, known.slice(-(2 + 1 + sentSince)));
      const isStale = got > kept;
      if (isStale) expect(await back.end()).toBe('SESSION_STALE');
      else expect(back.isWelcome).toBe(true);
      back.channel.destroy();
    }),
    { numRuns: 60 },
  );
});
