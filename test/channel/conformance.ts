import assert from 'node:assert/strict';
import { CLOSE_STALL_MS, HIGH_WATER_BYTES } from '../../src/channel/channel.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { type Recorder, assertSameBytes, pattern, settle } from './recorder.js';
import type { Link, Transport } from './transports.js';

const { REQUESTS, REPLIES, PING, GOODBYE } = vamos.FrameKind;

export interface ConformanceTest {
  name: string;
  run(): Promise<void>;
}

/** The tests of what every transport does alike, for any test runner. */
export function conformanceTests(transport: Transport): ConformanceTest[] {
  return TESTS.filter((test) => transport.hostSeesClose || !test.connectorCloses).map((test) => ({
    name: test.name,
    async run() {
      const link = await transport.open();
      try {
        await test.run(link);
      } finally {
        await link.dispose();
      }
    },
  }));
}

interface LinkTest {
  name: string;
  /** Shows what the host sees of the connector's close. */
  connectorCloses?: boolean;
  run(link: Link): Promise<void>;
}

const MIB = 1 << 20;
const SIZES = [0, 1, 7, 24, 4071, 4072, 4073, 4096, 32 * 1024 - 24, 32 * 1024, 65_536, 70_000, MIB, 4 * MIB];

const TESTS: LinkTest[] = [
  {
    name: 'frames of 0 B to 4 MiB arrive whole and in order, both ways',
    async run({ connector, host }) {
      const bodies = SIZES.map((size, i) => pattern(size, i));
      const check = async (from: Recorder, to: Recorder, kind: number) => {
        for (const body of bodies) from.channel.send(kind, body);
        const frames = await to.take(bodies.length);
        frames.forEach((frame, i) => {
          assert.equal(frame.kind, kind);
          assertSameBytes(frame.body, bodies[i] ?? new Uint8Array(), `frame ${String(i)}`);
        });
      };
      await Promise.all([check(connector, host, REQUESTS), check(host, connector, REPLIES)]);
    },
  },
  {
    name: 'ten thousand small frames of one turn arrive in order',
    async run({ connector, host }) {
      for (let i = 0; i < 10_000; i++) connector.channel.send(PING, pattern(i % 50, i));
      const frames = await host.take(10_000);
      frames.forEach(({ body }, i) => {
        assertSameBytes(body, pattern(i % 50, i), `frame ${String(i)}`);
      });
    },
  },
  {
    name: 'bulk in both directions simultaneously does not lock up',
    async run({ connector, host }) {
      const body = pattern(300_000, 1);
      for (let i = 0; i < 40; i++) {
        connector.channel.send(REQUESTS, body);
        host.channel.send(REPLIES, body);
      }
      const [replies, requests] = await Promise.all([connector.take(40), host.take(40)]);
      for (const frame of [...replies, ...requests]) assertSameBytes(frame.body, body, 'frame');
    },
  },
  {
    name: 'a received body may be kept and changed',
    async run({ connector, host }) {
      for (let i = 0; i < 100; i++) connector.channel.send(PING, pattern(40, i));
      const first = await host.take(100);
      for (let i = 0; i < 100; i++) connector.channel.send(PING, pattern(40, i + 100));
      await host.take(100);
      first.forEach(({ body }, i) => {
        assertSameBytes(body, pattern(40, i), 'kept body');
      });
    },
  },
  {
    name: 'a peer that does not read stops the sender at the high-water mark, and its reading drains it',
    async run({ connector, host }) {
      host.channel.pause();
      const body = pattern(100_000, 3);
      let sent = 0;
      while (connector.channel.send(REQUESTS, body)) {
        sent++;
        assert.ok(sent < 2000, 'send never told to wait');
        await new Promise(setImmediate);
      }
      sent++;
      assert.ok(connector.channel.bufferedBytes > HIGH_WATER_BYTES);
      await settle();
      assert.equal(connector.drains, 0);
      host.channel.resume();
      await connector.until('drain', () => connector.drains > 0);
      assert.equal(connector.channel.bufferedBytes, 0);
      const frames = await host.take(sent);
      for (const frame of frames) assertSameBytes(frame.body, body, 'frame');
      assert.equal(connector.drains, 1);
    },
  },
  {
    name: 'a paused channel hands nothing over until it is resumed',
    async run({ connector, host }) {
      host.channel.pause();
      connector.channel.send(PING, pattern(10, 1));
      await settle();
      assert.equal(host.frames.length, 0);
      host.channel.resume();
      await host.take(1);
    },
  },
  {
    name: 'a pause from within a handler holds the frames that came with it',
    async run({ connector, host }) {
      host.whenFrame = () => {
        host.channel.pause();
      };
      for (let i = 0; i < 5; i++) connector.channel.send(PING, pattern(10, i));
      for (let i = 0; i < 5; i++) {
        const [frame] = await host.take(1);
        assertSameBytes(frame?.body, pattern(10, i), 'frame');
        await settle();
        assert.equal(host.frames.length, 0);
        host.channel.resume();
      }
    },
  },
  {
    name: 'a close sends what is buffered first, and the peer sees CHANNEL_CLOSED once',
    run: ({ connector, host }) => closesAfterSending(host, connector),
  },
  {
    name: 'the host sees a connector close after all that it sent',
    connectorCloses: true,
    run: ({ connector, host }) => closesAfterSending(connector, host),
  },
  {
    name: 'a close sends what is buffered, though the process stands still for longer than it waits',
    async run({ connector, host }) {
      const body = pattern(3 * MIB, 1);
      host.channel.send(REPLIES, body);
      host.channel.close();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, CLOSE_STALL_MS + 200);
      assert.equal((await connector.closed())?.code, 'CHANNEL_CLOSED');
      assertSameBytes(connector.frames[0]?.body, body, 'frame');
    },
  },
  {
    name: 'after a GOODBYE the close is orderly',
    async run({ connector, host }) {
      host.channel.send(GOODBYE, new Uint8Array());
      host.channel.close();
      assert.equal(await connector.closed(), undefined);
      assert.equal(connector.frames[0]?.kind, GOODBYE);
    },
  },
  {
    name: 'a close with much buffered and a peer that does not read ends all the same',
    async run({ connector, host }) {
      connector.channel.pause();
      for (let i = 0; i < 40; i++) host.channel.send(REPLIES, pattern(MIB, 1));
      host.channel.close();
      assert.equal(await host.closed(), undefined);
      assert.equal(host.channel.bufferedBytes, 0);
    },
  },
  {
    name: 'a paused channel reports the close behind the frames before it',
    async run({ connector, host }) {
      connector.channel.pause();
      host.channel.send(REPLIES, pattern(10, 1));
      host.channel.close();
      await host.closed();
      await settle();
      assert.equal(connector.closes.length, 0);
      connector.channel.resume();
      assert.equal((await connector.closed())?.code, 'CHANNEL_CLOSED');
      assert.equal(connector.frames.length, 1);
    },
  },
  {
    name: 'destroy closes immediately, and onClose comes once and later',
    async run({ connector }) {
      connector.channel.destroy();
      assert.equal(connector.closes.length, 0);
      connector.channel.destroy();
      connector.channel.close();
      assert.equal(await connector.closed(), undefined);
      await settle();
      assert.equal(connector.closes.length, 1);
    },
  },
  {
    name: 'a closed channel sends nothing and says so',
    async run({ connector, host }) {
      connector.channel.close();
      connector.channel.close();
      assert.equal(connector.channel.send(PING, pattern(10, 1)), false);
      connector.channel.pause();
      connector.channel.resume();
      await connector.closed();
      assert.equal(connector.channel.send(PING, pattern(10, 1)), false);
      await settle();
      assert.equal(host.frames.length, 0);
    },
  },
  {
    name: 'no frame comes after a destroy from within its handler',
    async run({ connector, host }) {
      host.whenFrame = () => {
        host.channel.destroy();
      };
      for (let i = 0; i < 5; i++) connector.channel.send(PING, pattern(10, i));
      await host.closed();
      await settle();
      assert.equal(host.frames.length, 1);
    },
  },
  {
    name: 'sending to a peer that has gone ends in CHANNEL_CLOSED, not in an exception',
    async run({ connector, host }) {
      host.channel.destroy();
      for (let i = 0; i < 100 && connector.closes.length === 0; i++) {
        connector.channel.send(REQUESTS, pattern(50_000, i));
        await new Promise(setImmediate);
      }
      assert.equal((await connector.closed())?.code, 'CHANNEL_CLOSED');
    },
  },
  {
    name: 'counters tell frames and bytes, and stay after the close',
    async run({ connector, host }) {
      const before = { ...connector.channel.counters };
      const hostBefore = { ...host.channel.counters };
      for (let i = 0; i < 3; i++) connector.channel.send(PING, pattern(100, i));
      await host.take(3);
      host.channel.destroy();
      const sent = connector.channel.counters;
      const received = host.channel.counters;
      assert.equal(sent.framesSent - before.framesSent, 3);
      assert.equal(received.framesReceived - hostBefore.framesReceived, 3);
      assert.ok(sent.bytesSent - before.bytesSent >= 300);
      assert.equal(received.bytesReceived - hostBefore.bytesReceived, sent.bytesSent - before.bytesSent);
    },
  },
];

async function closesAfterSending(from: Recorder, to: Recorder): Promise<void> {
  const bodies = [pattern(2 * MIB, 1), pattern(3, 2), pattern(MIB, 3)];
  for (const body of bodies) from.channel.send(REPLIES, body);
  from.channel.close();
  const error = await to.closed();
  assert.equal(error?.code, 'CHANNEL_CLOSED');
  assert.equal(to.frames.length, bodies.length);
  to.frames.forEach((frame, i) => {
    assertSameBytes(frame.body, bodies[i] ?? new Uint8Array(), `frame ${String(i)}`);
  });
  assert.equal(await from.closed(), undefined);
  await settle();
  assert.equal(to.closes.length, 1);
}
