import { describe, expect, test } from 'vitest';
import { VamosError } from '../../src/protocol/errors.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { bytes, codeOf, Method, startRig, text, until } from './probe.js';

describe.each(['local', 'unix'] as const)('over %s', (transport) => {
  test('after a lost channel the client connects again and goes on', async () => {
    await using rig = await startRig({ transport });
    const stream = rig.client.stream();
    const lost = codeOf(stream.call(Method.WAIT, bytes('open')));
    const commit = codeOf(rig.client.stream().call(Method.WAIT, bytes('commit'), { isCommit: true }));
    await until(() => rig.probe.waitingCount === 2);
    rig.hostEnds[0]!.destroy();
    expect(await lost).toBe('SESSION_LOST');
    expect(await commit).toBe('OUTCOME_UNKNOWN');
    expect(text(await stream.call(Method.ECHO, bytes('again')))).toBe('again');
    expect(rig.client.counters.reconnects).toBe(1);
    expect(rig.probe.sessions).toEqual(['open 1', 'close 1', 'open 2']);
    expect(rig.probe.waitingCount).toBe(0);
  });

  test('a commit whose answer is lost says that it may have been done, another call does not', async () => {
    await using rig = await startRig({ transport });
    const call = rig.client.stream().call(Method.WAIT, bytes('open'));
    const commit = rig.client.stream().call(Method.WAIT, bytes('commit'), { isCommit: true });
    const failures = Promise.allSettled([call, commit]);
    await until(() => rig.probe.waitingCount === 2);
    rig.hostEnds[0]!.destroy();
    const [callMessage, commitMessage] = (await failures).map(
      (outcome) => ((outcome as PromiseRejectedResult).reason as VamosError).message,
    );
    expect(commitMessage).toBe(`${callMessage}; it may have been done: look before doing it again`);
  });

  test('a call of an earlier session fails and is not sent', async () => {
    await using rig = await startRig({ transport });
    const stream = rig.client.stream();
    const epoch = stream.epoch;
    expect(epoch).toBe(1);
    await stream.call(Method.ECHO, bytes('in'), { epoch });
    rig.hostEnds[0]!.destroy();
    await until(() => stream.epoch === 2);
    expect(await codeOf(stream.call(Method.ECHO, bytes('stale'), { epoch }))).toBe('SESSION_LOST');
    await stream.call(Method.ECHO, bytes('fresh'), { epoch: stream.epoch });
    expect(rig.probe.started).toEqual(['1:in', '1:fresh']);
  });

  test('close ends the session on the host and fails what is open', async () => {
    await using rig = await startRig({ transport });
    const stream = rig.client.stream();
    const open = codeOf(stream.call(Method.WAIT, bytes('open')));
    expect(await codeOf(rig.client.stream().call(Method.ECHO, bytes('answered')))).toBe('resolved');
    await until(() => rig.probe.waitingCount === 1);
    const pending = codeOf(rig.client.stream().call(Method.ECHO, bytes('pending')));
    await rig.client.close();
    expect(await open).toBe('SESSION_LOST');
    expect(await pending).toBe('SESSION_LOST');
    expect(await codeOf(stream.call(Method.ECHO, bytes('late')))).toBe('CANCELLED');
    await until(() => rig.server.statistics().sessions.length === 0);
    // The waiting call was sent before the goodbye.
    expect(rig.probe.started).toContain('3:pending');
    expect(rig.probe.sessions).toEqual(['open 1', 'close 1']);
    expect(rig.server.statistics().sessionsEnded).toEqual({ OK: 1 });
  });

  test('stop finishes what runs, refuses what comes, then closes the modules', async () => {
    await using rig = await startRig({ transport });
    const running = rig.client.stream().call(Method.HOLD, bytes('running'));
    const parked = codeOf(rig.client.stream().call(Method.WAIT, bytes('parked')));
    await until(() => rig.probe.waitingCount === 2);
    const stopped = rig.server.stop();
    expect(await codeOf(rig.client.stream().call(Method.ECHO, bytes('late')))).toBe('HOST_STOPPING');
    expect(rig.probe.isClosed).toBe(false);
    rig.probe.release('running');
    expect(text(await running)).toBe('running');
    expect(await parked).toBe('SESSION_LOST');
    await stopped;
    expect(rig.probe.isClosed).toBe(true);
    expect(rig.probe.sessions).toEqual(['open 1', 'close 1']);
  });
});

test('a call without a session waits for the next one, but not for ever', async () => {
  let isUp = true;
  await using rig = await startRig();
  const client = await RpcClient.connect(
    () => (isUp ? rig.open() : Promise.reject(new VamosError('CHANNEL_ABSENT', 'nobody there'))),
    { connectTimeoutMs: 2_000 },
  );
  const stream = client.stream();
  await stream.call(Method.ECHO, bytes('x'));
  isUp = false;
  rig.hostEnds.at(-1)!.destroy();
  await until(() => stream.epoch === 2);
  expect(await codeOf(stream.call(Method.ECHO, bytes('waits')))).toBe('CHANNEL_ABSENT');
  expect(await codeOf(stream.call(Method.ECHO, bytes('waits'), { timeoutMs: 10 }))).toBe('DEADLINE_EXCEEDED');
  isUp = true;
  let code: string;
  do code = await codeOf(stream.call(Method.ECHO, bytes('again')));
  while (code === 'CHANNEL_ABSENT' || code === 'NO_WELCOME');
  expect(code).toBe('resolved');
  await client.close();
});

test('the next session starts only when the one before has let go', async () => {
  await using rig = await startRig();
  let letGo!: () => void;
  rig.probe.closeAfter = new Promise((resolve) => {
    letGo = resolve;
  });
  rig.hostEnds[0]!.destroy();
  await until(() => rig.client.epoch === 2);
  const next = rig.client.stream().call(Method.ECHO, bytes('next'));
  await until(() => rig.hostEnds.length === 2);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(rig.probe.sessions).toEqual(['open 1']);
  letGo();
  await next;
  expect(rig.probe.sessions).toEqual(['open 1', 'close 1', 'open 2']);
});

test('a client whose hello meets a host that fails asks again', async () => {
  const failing = await startRig();
  await using next = await startRig();
  let rig = failing;
  const client = await RpcClient.connect(() => rig.open());
  let letGo!: () => void;
  failing.probe.closeAfter = new Promise((resolve) => {
    letGo = resolve;
  });
  failing.hostEnds.at(-1)!.destroy();
  // The next session waits for the one before to let go.
  await until(() => failing.hostEnds.length === 3);
  await new Promise((resolve) => setImmediate(resolve));
  rig = next;
  const failed = failing.server.fail(new VamosError('DISK_FULL', 'no room for the log'));
  letGo();
  expect(text(await client.stream().call(Method.ECHO, bytes('again')))).toBe('again');
  await client.close();
  await failed;
  await failing[Symbol.asyncDispose]();
});

test('a fatal refusal while connecting again ends the client', async () => {
  await using rig = await startRig();
  let isDenied = false;
  const client = await RpcClient.connect(() =>
    isDenied ? Promise.reject(new VamosError('CHANNEL_DENIED', 'no right')) : rig.open(),
  );
  isDenied = true;
  const stream = client.stream();
  rig.hostEnds.at(-1)!.destroy();
  await until(() => stream.epoch === 2);
  expect(await codeOf(stream.call(Method.ECHO, bytes('x')))).toBe('CHANNEL_DENIED');
  expect(await codeOf(stream.call(Method.ECHO, bytes('x')))).toBe('CHANNEL_DENIED');
});
