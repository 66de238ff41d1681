import assert from 'node:assert/strict';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, it } from 'vitest';
import type { Channel, Listener } from '../../src/channel/channel.js';
import { listenChannel } from '../../src/channel/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { connectRaw, encodeFrame, write } from './raw_peer.js';
import { Recorder, assertSameBytes, pattern } from './recorder.js';
import { makeFolder, removeFolder } from './transports.js';

const { REQUESTS } = vamos.FrameKind;
const MAX_FRAME_BYTES = 1 << 20;

let folder: string;
let listener: Listener;
let accepted: ((channel: Channel) => void)[];

beforeEach(async () => {
  folder = makeFolder();
  accepted = [];
  const accept = (channel: Channel) => accepted.shift()?.(channel);
  listener = await listenChannel(`unix:${socketFile()}`, accept, { maxFrameBytes: MAX_FRAME_BYTES });
});

afterEach(async () => {
  await listener.close();
  removeFolder(folder);
});

const socketFile = () => path.join(folder, 'socket');

/** Opens a raw peer, and the channel that the host has to it. */
async function open() {
  const host = new Promise<Recorder>((resolve) =>
    accepted.push((channel) => {
      resolve(new Recorder(channel));
    }),
  );
  const peer = await connectRaw(socketFile());
  return { peer, host: await host };
}

describe('a stream that does not check ends its channel with a code', () => {
  const good = encodeFrame(REQUESTS, pattern(100, 1), 0);
  const changed = (offset: number) => {
    const frame = Buffer.from(encodeFrame(REQUESTS, pattern(100, 2), 1));
    frame[offset] = (frame[offset] ?? 0) ^ 0x40;
    return frame;
  };
  const cases: [string, Uint8Array, string][] = [
    ['garbage', pattern(1000, 7), 'BAD_FRAME'],
    ['another version', changed(4), 'BAD_FRAME'],
    ['a wrong header check', changed(21), 'BAD_FRAME'],
    ['a wrong body check', changed(60), 'BAD_FRAME'],
    ['a missing frame', encodeFrame(REQUESTS, pattern(100, 2), 2), 'BAD_FRAME'],
    [
      'a length over the limit',
      encodeFrame(REQUESTS, new Uint8Array(MAX_FRAME_BYTES + 1), 1),
      'FRAME_TOO_LARGE',
    ],
  ];
  for (const [what, bytes, code] of cases) {
    it(`${what}: ${code}, behind the frame before it`, async () => {
      const { peer, host } = await open();
      peer.write(good);
      peer.write(bytes);
      const error = await host.closed();
      assert.equal(error?.code, code);
      assert.equal(host.frames.length, 1);
      peer.destroy();
    });
  }

  it('a frame cut off by the close: CHANNEL_CLOSED', async () => {
    const { peer, host } = await open();
    peer.end(good.subarray(0, 50));
    const error = await host.closed();
    assert.equal(error?.code, 'CHANNEL_CLOSED');
    assert.match(error.message, /middle of a frame/);
  });

  it('other channels of the listener live on', async () => {
    const bad = await open();
    const fine = await open();
    await write(bad.peer, pattern(100, 7));
    assert.equal((await bad.host.closed())?.code, 'BAD_FRAME');
    await write(fine.peer, good);
    await fine.host.take(1);
    fine.peer.destroy();
  });
});

describe('frames under any chunking', () => {
  const bodies = fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 1, maxLength: 8 });
  const cuts = fc.array(fc.integer({ min: 1, max: 30_000 }), { maxLength: 12 });

  /** Writes the bytes in pieces of these sizes, each in a turn of its own. */
  async function writePieces(
    peer: Awaited<ReturnType<typeof connectRaw>>,
    bytes: Uint8Array,
    sizes: number[],
  ) {
    let offset = 0;
    for (const size of sizes) {
      await write(peer, bytes.subarray(offset, offset + size));
      await new Promise(setImmediate);
      offset += size;
    }
    await write(peer, bytes.subarray(offset));
  }

  it('arrive equal', async () => {
    await fc.assert(
      fc.asyncProperty(bodies, cuts, async (sizes, pieces) => {
        const { peer, host } = await open();
        const sent = sizes.map((size, i) => pattern(size, i));
        await writePieces(peer, Buffer.concat(sent.map((body, i) => encodeFrame(REQUESTS, body, i))), pieces);
        const frames = await host.take(sent.length);
        frames.forEach((frame, i) => {
          assertSameBytes(frame.body, sent[i] ?? new Uint8Array(), `frame ${String(i)}`);
        });
        peer.destroy();
        await host.closed();
      }),
      { numRuns: 50 },
    );
  });

  it('with any byte changed, only whole right frames arrive, and the channel ends', async () => {
    const change = fc.record({ at: fc.nat(), mask: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(bodies, cuts, change, async (sizes, pieces, { at, mask }) => {
        const { peer, host } = await open();
        const sent = sizes.map((size, i) => pattern(size, i));
        const bytes = Buffer.concat(sent.map((body, i) => encodeFrame(REQUESTS, body, i)));
        const place = at % bytes.length;
        bytes[place] = (bytes[place] ?? 0) ^ mask;
        await writePieces(peer, bytes, pieces);
        peer.end();
        const error = await host.closed();
        // A changed length within the limit swallows what follows: then the end comes within a frame.
        assert.ok(error && ['BAD_FRAME', 'FRAME_TOO_LARGE', 'CHANNEL_CLOSED'].includes(error.code));
        assert.ok(host.frames.length < sent.length);
        host.frames.forEach((frame, i) => {
          assertSameBytes(frame.body, sent[i] ?? new Uint8Array(), `frame ${String(i)}`);
        });
        peer.destroy();
      }),
      { numRuns: 50 },
    );
  });
});
