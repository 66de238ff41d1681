import { expect, test } from 'vitest';
import { bytes, codeOf, Method, startRig, u32, until } from './probe.js';

test('with pings a host that falls silent is given up while an answer is awaited', async () => {
  await using rig = await startRig({ client: { pingIntervalMs: 20 } });
  const stream = rig.client.stream();
  const call = codeOf(stream.call(Method.WAIT, bytes('lock')));
  await until(() => rig.probe.waitingCount === 1);
  rig.hostEnds[0]!.pause();
  expect(await call).toBe('SESSION_LOST');
  await stream.call(Method.ECHO, bytes('again'));
  expect(rig.client.counters.reconnects).toBe(1);
});

test('with pings a host that answers them is not given up, however long a request takes', async () => {
  await using rig = await startRig({ client: { pingIntervalMs: 20 } });
  await rig.client.stream().call(Method.SLEEP, u32(200));
  expect(rig.client.counters.reconnects).toBe(0);
  expect(rig.client.counters.framesReceived).toBeGreaterThan(2);
});

test('without pings nothing is sent while a request waits', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const before = rig.client.counters.framesSent;
  await stream.call(Method.SLEEP, u32(50));
  expect(rig.client.counters.framesSent - before).toBe(1);
});
