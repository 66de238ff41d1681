import assert from 'node:assert/strict';
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'vitest';
import { Backoff, connectChannel, listenChannel, parseAddress } from '../../src/channel/index.js';
import { ANY_CID } from '../../src/channel/native.js';
import { makeFolder, removeFolder } from './transports.js';

const NOBODY = 65_534;

/** Calls with the rights of an ordinary user: root has all rights. */
async function asNobody<Result>(call: () => Promise<Result>): Promise<Result> {
  if (process.getuid?.() !== 0) return call();
  process.seteuid!(NOBODY);
  try {
    return await call();
  } finally {
    process.seteuid!(0);
  }
}

describe('channel addresses', () => {
  it('name a transport and a place', () => {
    assert.deepEqual(parseAddress('virtio-serial:vamos.0'), {
      transport: 'virtio-serial',
      path: '/dev/virtio-ports/vamos.0',
    });
    assert.deepEqual(parseAddress('virtio-serial:/run/vm/chardev'), {
      transport: 'virtio-serial',
      path: '/run/vm/chardev',
    });
    assert.deepEqual(parseAddress('vsock:2:5000'), { transport: 'vsock', cid: 2, port: 5000 });
    assert.deepEqual(parseAddress('vsock:any:5000'), { transport: 'vsock', cid: ANY_CID, port: 5000 });
    assert.deepEqual(parseAddress('unix:run/a:b'), { transport: 'unix', path: 'run/a:b' });
    assert.deepEqual(parseAddress('local:/data'), { transport: 'local', directory: '/data' });
  });

  const malformed = [
    '',
    'unix',
    'unix:',
    ':x',
    'tcp:1.2.3.4',
    '/run/socket',
    'vsock:2',
    'vsock:2:',
    'vsock:-1:5',
    'vsock:2:5:6',
    'vsock:2:4294967295',
    'vsock:4294967295:5',
    'virtio-serial:..',
    'unix:a\0b',
  ];
  for (const text of malformed) {
    it(`${JSON.stringify(text)} is refused with what is expected`, () => {
      assert.throws(() => parseAddress(text), { name: 'VamosError', code: 'BAD_ADDRESS' });
    });
  }

  it('of transports to come are named as such', () => {
    for (const text of ['shm:x', 'vsock-uds:/run/v:1']) {
      assert.throws(() => parseAddress(text), { code: 'BAD_ADDRESS', message: /not available yet/ });
    }
  });
});

describe('opening a channel', () => {
  let folder: string;
  beforeEach(() => {
    folder = makeFolder();
  });
  afterEach(() => {
    removeFolder(folder);
  });
  const ignore = () => undefined;

  it('to nobody is CHANNEL_ABSENT, with the address in the message', async () => {
    for (const scheme of ['unix', 'virtio-serial']) {
      await assert.rejects(connectChannel(`${scheme}:${folder}/nothing`), {
        code: 'CHANNEL_ABSENT',
        message: new RegExp(`${folder}/nothing`),
      });
    }
    await assert.rejects(connectChannel('virtio-serial:no-such-port'), { code: 'CHANNEL_ABSENT' });
  });

  it('to what is no channel is BAD_ADDRESS', async () => {
    writeFileSync(path.join(folder, 'file'), 'x');
    await assert.rejects(connectChannel(`virtio-serial:${folder}/file`), { code: 'BAD_ADDRESS' });
    await assert.rejects(listenChannel(`unix:${folder}/file`, ignore), { code: 'BAD_ADDRESS' });
    await assert.rejects(connectChannel(`unix:${folder}/${'x'.repeat(200)}`), { code: 'BAD_ADDRESS' });
    await assert.rejects(connectChannel('local:/data'), { code: 'BAD_ADDRESS' });
    await assert.rejects(connectChannel('vsock:any:5000'), { code: 'BAD_ADDRESS' });
  });

  it('where somebody listens is CHANNEL_BUSY, and leaves that listener alone', async () => {
    const address = `unix:${folder}/socket`;
    const first = await listenChannel(address, ignore);
    await assert.rejects(listenChannel(address, ignore), { code: 'CHANNEL_BUSY' });
    (await connectChannel(address)).destroy();
    await first.close();
  });

  it('listens for this user only, and removes its socket when closed', async () => {
    const listener = await listenChannel(`unix:${folder}/socket`, ignore);
    assert.equal(statSync(path.join(folder, 'socket')).mode & 0o777, 0o600);
    await listener.close();
    assert.equal(existsSync(path.join(folder, 'socket')), false);
  });

  it('without the right to is CHANNEL_DENIED', async () => {
    const listener = await listenChannel(`unix:${folder}/socket`, ignore);
    chmodSync(folder, 0o755);
    chmodSync(path.join(folder, 'socket'), 0);
    for (const scheme of ['unix', 'virtio-serial']) {
      await assert.rejects(
        asNobody(() => connectChannel(`${scheme}:${folder}/socket`)),
        { code: 'CHANNEL_DENIED' },
      );
    }
    chmodSync(folder, 0o555);
    await assert.rejects(
      asNobody(() => listenChannel(`unix:${folder}/another`, ignore)),
      { code: 'CHANNEL_DENIED' },
    );
    chmodSync(folder, 0o700);
    await listener.close();
  });
});

describe('backoff', () => {
  it('doubles up to its limit, with jitter, and starts again after a success', () => {
    const backoff = new Backoff({ firstMs: 100, longestMs: 800 });
    const limits = [100, 200, 400, 800, 800, 800];
    for (let round = 0; round < 20; round++) {
      for (const limit of limits) {
        const delay = backoff.nextDelayMs();
        assert.ok(delay > limit / 2 - 1 && delay <= limit, `${String(delay)} for ${String(limit)}`);
      }
      backoff.reset();
    }
  });
});
