import { expect, test } from 'vitest';
import { bytes, codeOf, Method, startRig, text, u32, until } from './probe.js';

test('a deadline fails the call and stops it on the host', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  expect(await codeOf(stream.call(Method.WAIT, bytes('never'), { timeoutMs: 20 }))).toBe('DEADLINE_EXCEEDED');
  await until(() => rig.probe.waitingCount === 0, 'the host to stop the request');
  expect(text(await stream.call(Method.ECHO, bytes('next')))).toBe('next');
});

test('an abort fails the call and stops it on the host', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const controller = new AbortController();
  const call = codeOf(stream.call(Method.WAIT, bytes('never'), { signal: controller.signal }));
  await until(() => rig.probe.waitingCount === 1);
  controller.abort();
  expect(await call).toBe('CANCELLED');
  await until(() => rig.probe.waitingCount === 0, 'the host to stop the request');
  expect(text(await stream.call(Method.ECHO, bytes('next')))).toBe('next');
});

test('a call aborted before it is sent never reaches the host', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const controller = new AbortController();
  const call = codeOf(stream.call(Method.ECHO, bytes('dropped'), { signal: controller.signal }));
  controller.abort();
  expect(await call).toBe('CANCELLED');
  expect(await codeOf(stream.call(Method.ECHO, bytes('dropped'), { signal: AbortSignal.abort() }))).toBe(
    'CANCELLED',
  );
  await stream.call(Method.ECHO, bytes('sent'));
  expect(rig.probe.started).toEqual(['1:sent']);
});

test('one signal aborts many calls with one frame', async () => {
  await using rig = await startRig();
  const controller = new AbortController();
  const calls = Array.from({ length: 20 }, () =>
    codeOf(rig.client.stream().call(Method.WAIT, bytes('never'), { signal: controller.signal })),
  );
  await until(() => rig.probe.waitingCount === 20);
  const before = rig.client.counters.framesSent;
  controller.abort();
  expect(new Set(await Promise.all(calls))).toEqual(new Set(['CANCELLED']));
  await until(() => rig.probe.waitingCount === 0);
  expect(rig.client.counters.framesSent - before).toBe(1);
});

test('a stream goes on only when the request that was cancelled has really ended', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const controller = new AbortController();
  const held = codeOf(stream.call(Method.HOLD, bytes('slow'), { signal: controller.signal }));
  const behind = stream.call(Method.ECHO, bytes('behind'));
  await until(() => rig.probe.waitingCount === 1);
  controller.abort();
  expect(await held).toBe('CANCELLED');
  await rig.client.stream().call(Method.SLEEP, u32(20));
  expect(rig.probe.started).not.toContain('1:behind');
  rig.probe.release('slow');
  await behind;
  expect(rig.probe.ended.slice(0, 3)).toEqual([`2:${text(u32(20))}`, '1:slow', '1:behind']);
});

test('an abort of a chain stops what is left of it', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const controller = new AbortController();
  const chain = codeOf(
    stream.chain(
      [
        { method: Method.ECHO, body: bytes('one') },
        { method: Method.WAIT, body: bytes('two') },
        { method: Method.ECHO, body: bytes('three') },
      ],
      { signal: controller.signal },
    ),
  );
  await until(() => rig.probe.waitingCount === 1);
  controller.abort();
  expect(await chain).toBe('CANCELLED');
  await stream.call(Method.ECHO, bytes('four'));
  expect(rig.probe.started).toEqual(['1:one', '1:two', '1:four']);
});

test('an answer that crosses the cancellation is passed over', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const controller = new AbortController();
  const call = codeOf(stream.call(Method.HOLD, bytes('x'), { signal: controller.signal }));
  await until(() => rig.probe.waitingCount === 1);
  rig.probe.release('x');
  controller.abort();
  expect(await call).toBe('CANCELLED');
  for (let round = 0; round < 5; round++) await stream.call(Method.ECHO_LATER, bytes('y'));
  expect(rig.server.statistics().errors).toEqual({});
  expect(rig.client.counters.reconnects).toBe(0);
});

test('a deadline holds while there is no room to send', async () => {
  await using rig = await startRig({ server: { maxFramesInFlight: 4 } });
  const held = [];
  for (let number = 0; number < 4; number++) {
    held.push(rig.client.stream().call(Method.HOLD, bytes('gate')));
    await until(() => rig.probe.waitingCount === number + 1);
  }
  const stream = rig.client.stream();
  expect(await codeOf(stream.call(Method.ECHO, bytes('late'), { timeoutMs: 20 }))).toBe('DEADLINE_EXCEEDED');
  rig.probe.release('gate');
  await Promise.all(held);
  await stream.call(Method.ECHO, bytes('after'));
  expect(rig.probe.started).not.toContain('5:late');
});
