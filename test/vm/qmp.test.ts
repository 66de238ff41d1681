import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { QmpClient } from '../../host/vm/qmp.js';

let folder: string;
let socketPath: string;
let qemu: ChildProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-test-qmp-'));
  socketPath = path.join(folder, 'qmp.sock');
});
afterEach(async () => {
  qemu?.kill('SIGKILL');
  qemu = undefined;
  await rm(folder, { recursive: true, force: true });
});

/** Starts a QEMU without a machine, which does nothing but QMP. */
async function startQemu(): Promise<QmpClient> {
  const monitor = `unix:${socketPath},server=on,wait=off`;
  qemu = spawn('qemu-system-x86_64', [
    '-machine',
    'none',
    '-display',
    'none',
    '-nodefaults',
    '-qmp',
    monitor,
  ]);
  for (;;) {
    try {
      return await QmpClient.connect(socketPath);
    } catch {
      await sleep(20);
    }
  }
}

/** Listens at the socket with a program that is no QEMU. */
async function listen(greeting: string): Promise<AsyncDisposable> {
  const server = createServer((socket) =>
    socket
      .on('error', () => undefined)
      .end(greeting)
      .resume(),
  );
  server.listen(socketPath);
  await once(server, 'listening');
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

test('commands return what QEMU answers, also when many are under way', async () => {
  const qmp = await startQemu();
  const [status, version, names] = await Promise.all([
    qmp.execute<{ status: string }>('query-status'),
    qmp.execute<{ qemu: { major: number } }>('query-version'),
    qmp.execute<unknown[]>('query-commands'),
  ]);
  expect(status.status).toBe('running');
  expect(version.qemu.major).toBeGreaterThanOrEqual(7);
  expect(names.length).toBeGreaterThan(50);
  qmp.close();
});

test('a command that QEMU refuses fails with its words', async () => {
  const qmp = await startQemu();
  await expect(qmp.execute('no-such-command')).rejects.toMatchObject({
    code: 'QMP_REFUSED',
    message: expect.stringContaining('no-such-command') as string,
  });
  qmp.close();
});

test('events are emitted under their names', async () => {
  const qmp = await startQemu();
  const stopped = once(qmp, 'STOP');
  await qmp.execute('stop');
  await stopped;
  qmp.close();
});

test('a QEMU that vanishes fails what is under way and all that comes later', async () => {
  const qmp = await startQemu();
  qemu?.kill('SIGSTOP');
  const closed = once(qmp, 'close');
  const underWay = expect(qmp.execute('query-status')).rejects.toMatchObject({ code: 'VM_GONE' });
  qemu?.kill('SIGKILL');
  await underWay;
  await closed;
  await expect(qmp.execute('query-status')).rejects.toMatchObject({ code: 'VM_GONE' });
});

test('a QEMU that does not answer fails the command at its deadline, and may answer others later', async () => {
  const qmp = await startQemu();
  qemu?.kill('SIGSTOP');
  await expect(qmp.execute('query-status', {}, 100)).rejects.toMatchObject({ code: 'TIMEOUT' });
  qemu?.kill('SIGCONT');
  expect(await qmp.execute('query-status')).toMatchObject({ status: 'running' });
  qmp.close();
});

test.each([
  ['nothing', ''],
  ['no JSON', 'hello\n'],
  ['a line without end', 'x'.repeat(2 << 20)],
])('a socket that says %s is no QEMU', async (_name, greeting) => {
  await using _server = await listen(greeting);
  await expect(QmpClient.connect(socketPath)).rejects.toMatchObject({ code: 'VM_GONE' });
});

test('a socket without a listener is reported immediately', async () => {
  await expect(QmpClient.connect(socketPath)).rejects.toMatchObject({ code: 'VM_GONE' });
});
