import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crc32c, listenChannel } from '../../src/channel/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { RpcServer, type SessionEvent } from '../../src/rpc/host/server.js';
import { Probe, until } from '../rpc/probe.js';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, type TestGuest } from './guest.js';

const PROMISED_MS = 2000;

let guest: TestGuest;
beforeAll(async () => {
  guest = await bootGuest();
}, BOOT_HOOK_TIMEOUT_MS);
afterAll(() => guest?.[Symbol.asyncDispose]());

/** A frame as native/wire/frame.hpp specifies it. */
function frame(kind: vamos.FrameKind, body: Uint8Array, sequence: number): Buffer {
  const header = Buffer.alloc(24);
  header.write('VAM1');
  header[4] = 1;
  header[5] = kind;
  header.writeUInt32LE(body.length, 8);
  header.writeUInt32LE(crc32c(body), 12);
  header.writeUInt32LE(sequence, 16);
  header.writeUInt32LE(crc32c(header.subarray(0, 20)), 20);
  return Buffer.concat([header, body]);
}

test('after a guest process is killed in mid-frame the next one has a clean session within two seconds', async () => {
  const events: SessionEvent[] = [];
  const server = new RpcServer([new Probe()], { onSession: (event) => events.push(event) });
  const listener = await listenChannel(`virtio-serial:${guest.socketPath}`, (channel) =>
    server.accept(channel),
  );

  const tookMs: number[] = [];
  // The guest may be kept from its processors for long; then it is tried once more.
  do {
    events.length = 0;
    tookMs.push(await killOneAndConnectAnother(events));
    await until(() => events.length >= 4, 'the end of the second session');
  } while (tookMs.at(-1)! >= PROMISED_MS && tookMs.length < 3);
  // It is promised to users, so this time is asserted, the only one.
  expect(Math.min(...tookMs)).toBeLessThan(PROMISED_MS);
  await server.stop();
  await listener.close();
}, 300_000);

/** Returns how long the second process took, in milliseconds. */
async function killOneAndConnectAnother(events: SessionEvent[]): Promise<number> {
  // The first process sends a hello, then the first half of a request's frame, and then gets SIGKILL.
  const hello = vamos.Hello.encode({
    version: 1,
    nonce: randomBytes(16),
    session: randomBytes(16),
    epoch: 1,
    program: 'first',
    replyWindowBytes: 1 << 20,
  }).finish();
  const request = vamos.RequestBatch.encode({
    requests: [{ id: 1, stream: 1, method: 0x701, body: Buffer.alloc(100_000) }],
  }).finish();
  const half = frame(vamos.FrameKind.REQUESTS, request, 1).subarray(0, 30_000);
  const first = `
    const fs = require('node:fs');
    const port = fs.openSync('/dev/virtio-ports/${guest.portName}', 'r+');
    const [hello, half] = fs.readFileSync(0, 'latin1').split(' ').map((text) => Buffer.from(text, 'base64'));
    fs.writeSync(port, hello);
    fs.readSync(port, Buffer.alloc(4096));
    fs.writeSync(port, half);
    process.kill(process.pid, 'SIGKILL');`;
  const killed = await guest.vm.exec(['node', '-e', first], {
    stdin: [frame(vamos.FrameKind.HELLO, hello, 0), half].map((bytes) => bytes.toString('base64')).join(' '),
    timeoutMs: 60_000,
  });
  expect(killed.signal).toBe('SIGKILL');
  expect(events.map(({ kind, program }) => `${kind} ${program}`)).toEqual(['begin first']);

  const second = `
    import { connectChannel } from '/opt/vamos/dist/src/channel/index.js';
    import { RpcClient } from '/opt/vamos/dist/src/rpc/connector/client.js';
    const startMs = performance.now();
    const open = () => connectChannel('virtio-serial:${guest.portName}');
    const client = await RpcClient.connect(open, { program: 'second' });
    const reply = await client.stream().call(0x701, Buffer.from('clean'));
    const tookMs = performance.now() - startMs;
    process.stdout.write(JSON.stringify({ reply: Buffer.from(reply).toString(), tookMs }));
    await client.close();`;
  const result = await guest.vm.exec(['node', '--input-type=module', '-e', second], { timeoutMs: 60_000 });
  expect(result).toMatchObject({ code: 0, stderr: '' });
  const { reply, tookMs } = JSON.parse(result.stdout) as { reply: string; tookMs: number };
  expect(reply).toBe('clean');
  const ends = events.map(({ kind, program, error }) => `${kind} ${program} ${error?.code ?? 'in order'}`);
  expect(ends.slice(0, 3)).toEqual([
    'begin first in order',
    'end first SESSION_LOST',
    'begin second in order',
  ]);
  return tookMs;
}
