import { expect, test } from 'vitest';
import { VamosError } from '../../src/protocol/errors.js';
import { bytes, codeOf, Method, startRig, text, u32, until } from './probe.js';

test('a call resolves to the body of its reply', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  expect(text(await stream.call(Method.ECHO, bytes('hello')))).toBe('hello');
  expect(text(await stream.call(Method.ECHO_LATER, bytes('later')))).toBe('later');
  expect(await stream.call(Method.ECHO, bytes(''))).toHaveLength(0);
});

test('a failure arrives with its code, message and detail', async () => {
  await using rig = await startRig();
  const error: unknown = await rig.client
    .stream()
    .call(Method.FAIL, bytes('which'))
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(VamosError);
  expect(error).toMatchObject({ code: 'DUPLICATE_KEY', message: 'asked to fail' });
  expect(text((error as VamosError).detail)).toBe('which');
});

test('a fault of a module fails its request only', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  expect(await codeOf(stream.call(Method.THROW, bytes('')))).toBe('INTERNAL');
  expect(await codeOf(stream.call(0x799, bytes('')))).toBe('UNKNOWN_METHOD');
  expect(await codeOf(stream.call(0x9901, bytes('')))).toBe('UNKNOWN_METHOD');
  expect(await codeOf(stream.call(Method.BYTES, u32(5_000_000)))).toBe('INTERNAL');
  expect(text(await stream.call(Method.ECHO, bytes('alive')))).toBe('alive');
});

test('requests of one stream run in order, each after the one before has ended', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const calls = [
    stream.call(Method.WAIT, bytes('a')),
    stream.call(Method.ECHO_LATER, bytes('b')),
    stream.call(Method.ECHO, bytes('c')),
  ];
  await until(() => rig.probe.waitingCount === 1);
  expect(rig.probe.started).toEqual(['1:a']);
  await rig.client.stream().call(Method.RELEASE, bytes('a'));
  await Promise.all(calls);
  expect(rig.probe.started.filter((label) => label.startsWith('1:'))).toEqual(['1:a', '1:b', '1:c']);
  expect(rig.probe.ended.filter((label) => label.startsWith('1:'))).toEqual(['1:a', '1:b', '1:c']);
});

test('a stream that waits delays no other stream', async () => {
  await using rig = await startRig();
  const waiting = rig.client.stream().call(Method.WAIT, bytes('lock'));
  const other = rig.client.stream();
  for (let round = 0; round < 20; round++) await other.call(Method.ECHO, bytes('x'));
  await other.call(Method.RELEASE, bytes('lock'));
  await waiting;
});

test('a chain stops at its first failure', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const chain = stream.chain([
    { method: Method.ECHO, body: bytes('one') },
    { method: Method.FAIL, body: bytes('two') },
    { method: Method.ECHO, body: bytes('three') },
    { method: Method.ECHO, body: bytes('four') },
  ]);
  const behind = stream.call(Method.ECHO, bytes('five'));
  expect(await codeOf(chain)).toBe('DUPLICATE_KEY');
  expect(text(await behind)).toBe('five');
  expect(rig.probe.started).toEqual(['1:one', '1:two', '1:five']);
});

test('a chain resolves to the bodies of all its replies', async () => {
  await using rig = await startRig();
  const stream = rig.client.stream();
  const requests = ['a', 'b', 'c'].map((body) => ({ method: Method.ECHO_LATER, body: bytes(body) }));
  expect((await stream.chain(requests)).map(text)).toEqual(['a', 'b', 'c']);
  expect(await stream.chain([])).toEqual([]);
});

test('what does not fit a frame fails immediately and is not sent', async () => {
  await using rig = await startRig({ server: { maxFrameBytes: 100_000 } });
  const stream = rig.client.stream();
  expect(stream.maxBodyBytes).toBeLessThan(100_000);
  expect(stream.maxBodyBytes).toBeGreaterThan(99_000);
  expect(await codeOf(stream.call(Method.ECHO, new Uint8Array(stream.maxBodyBytes + 1)))).toBe(
    'FRAME_TOO_LARGE',
  );
  const half = { method: Method.ECHO, body: new Uint8Array(60_000) };
  expect(await codeOf(stream.chain([half, half]))).toBe('FRAME_TOO_LARGE');
  expect(rig.probe.started).toEqual([]);
  expect(await stream.call(Method.ECHO, new Uint8Array(stream.maxBodyBytes))).toHaveLength(
    stream.maxBodyBytes,
  );
});
