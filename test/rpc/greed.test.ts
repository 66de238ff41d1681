import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { vamos } from '../../src/protocol/generated/messages.js';
import { bytes, Method, startRig, text, until } from './probe.js';
import { Stranger } from './stranger.js';

// What a connector can make the host hold, whatever it sends.

const MIB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Returns the bytes of all buffers that are alive. */
function heldBytes(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

const lockWait = { id: 1, stream: 1, method: Method.WAIT, body: bytes('lock') };

test('a request that is cancelled before its turn is not kept', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig, { replyWindowBytes: 16 * MIB });
  stranger.requests([lockWait]);
  const before = heldBytes();
  for (let id = 2; id <= 100; id++) {
    stranger.requests([{ id, stream: 1, method: Method.ECHO, body: new Uint8Array(MIB) }]);
    stranger.cancel(id);
    await until(() => stranger.replies.length === id - 1);
  }
  await until(() => heldBytes() - before < 16 * MIB, 'what is not needed to be given back');
  stranger.channel.close();
});

test('the next of a chain whose beginning was cancelled before its turn does not run', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig);
  const echo = (id: number, chain: boolean): vamos.IRequest => ({
    id,
    stream: 1,
    method: Method.ECHO,
    chain,
    body: bytes(`echo ${id}`),
  });
  const ids = Array.from({ length: 400 }, (_, index) => index + 2);
  // These are pairs, the first of each cancelled; then one request of its own.
  stranger.requests([lockWait, ...ids.map((id) => echo(id, id % 2 === 0)), echo(1000, false)]);
  stranger.cancel(...ids.filter((id) => id % 2 === 0));
  await until(() => stranger.replies.length === 200);
  rig.probe.release('lock');
  await until(() => stranger.replies.length === 402);
  const codes = new Map(stranger.replies.map(({ id, failure }) => [id, failure?.code]));
  for (const id of ids) {
    expect(codes.get(id)).toBe(id % 2 === 0 ? vamos.ErrorCode.CANCELLED : vamos.ErrorCode.CHAIN_BROKEN);
  }
  expect(rig.probe.started).toEqual(['1:lock', '1:echo 1000']);
  stranger.channel.close();
});

test('what cancelled requests still hold while they run is no more than the window', async () => {
  await using rig = await startRig({ server: { requestWindowBytes: MIB, maxFrameBytes: MIB / 2 } });
  const stranger = await Stranger.connect(rig);
  const body = bytes('x'.repeat(MIB / 4));
  for (let id = 1; id <= 20; id++) {
    stranger.requests([{ id, stream: id, method: Method.CLING, body }]);
    stranger.cancel(id);
    await until(() => stranger.replies.length === id);
  }
  expect(rig.probe.started.length).toBeLessThanOrEqual(4);
  stranger.requests([{ id: 21, stream: 21, method: Method.ECHO, body: bytes('later') }]);
  rig.probe.release(text(body));
  await until(() => stranger.replies.length === 21);
  stranger.channel.close();
});

test('a small request that waits does not keep the large frame that it came in', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig, { replyWindowBytes: 16 * MIB });
  stranger.requests([lockWait]);
  const before = heldBytes();
  const padding = Buffer.concat([Buffer.from([0x7a, 0x80, 0x80, 0x40]), Buffer.alloc(MIB)]); // field 15
  for (let id = 2; id <= 100; id++) {
    const requests = [{ id, stream: 1, method: Method.ECHO, body: bytes('small') }];
    const frame = Buffer.concat([vamos.RequestBatch.encode({ requests }).finish(), padding]);
    stranger.channel.send(vamos.FrameKind.REQUESTS, frame);
    // The host says so when its connector may send no more.
    if (id % 2 === 0) await until(() => stranger.parked.includes(id));
  }
  await until(() => heldBytes() - before < 16 * MIB, 'what is not needed to be given back');
  rig.probe.release('lock');
  await until(() => stranger.replies.length === 100);
  stranger.channel.close();
});

test('a report of parked requests is no longer than a frame may be', async () => {
  const maxFrameBytes = 1024;
  await using rig = await startRig({ server: { maxFrameBytes } });
  const stranger = await Stranger.connect(rig);
  const first = 0xf000_0000;
  stranger.requests([{ ...lockWait, stream: 0 }]);
  const waiting = (from: number): vamos.IRequest[] =>
    Array.from({ length: 127 }, (_, index) => ({ id: from + index }));
  stranger.requests(waiting(first));
  await until(() => stranger.parked.length === 128);
  stranger.requests(waiting(first + 1000));
  stranger.requests(waiting(first + 2000));
  await until(() => stranger.parked.length === 128 + 2 * 127);
  expect(stranger.largestFrameBytes).toBeLessThanOrEqual(maxFrameBytes);
  stranger.channel.close();
});

test('two hellos together leave no session behind', async () => {
  await using rig = await startRig();
  const session = new Uint8Array(16).fill(6);
  const old = await Stranger.connect(rig, { session });
  const stranger = await Stranger.connect(rig);
  stranger.channel.send(vamos.FrameKind.GOODBYE, new Uint8Array());
  await until(() => rig.server.statistics().sessions.length === 2);
  let finishClose!: () => void;
  rig.probe.closeAfter = new Promise((resolve) => {
    finishClose = resolve;
  });
  stranger.isWelcome = false;
  // The first has to wait for what `old` holds, the second for nothing.
  stranger.hello({ session, epoch: 2, nonce: new Uint8Array(16).fill(2) });
  await until(() => old.isClosed);
  stranger.hello({ session: new Uint8Array(16).fill(7), nonce: new Uint8Array(16).fill(3) });
  await until(() => stranger.isWelcome);
  rig.probe.closeAfter = undefined;
  finishClose();
  await until(() => rig.probe.sessions.filter((line) => line.startsWith('close')).length >= 2);
  stranger.requests([{ id: 1, method: Method.ECHO, body: bytes('mine') }]);
  await until(() => stranger.replies.length === 1 || stranger.isClosed);
  expect(stranger.isClosed).toBe(false);
  stranger.channel.close();
  await until(() => rig.server.statistics().sessions.length === 1, 'no session to be left');
});

test('the requests of a long frame for one stream are all answered', async () => {
  await using rig = await startRig();
  const stranger = await Stranger.connect(rig, { replyWindowBytes: 64 * MIB });
  const count = 200_000;
  // It would take half a minute to take them one by one from the front of one array.
  stranger.requests(
    Array.from({ length: count }, (_, index) => ({ id: index + 1, stream: 1, method: Method.ECHO })),
  );
  await until(() => stranger.replies.length === count);
  stranger.channel.close();
});
