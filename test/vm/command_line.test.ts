import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BOOT_HOOK_TIMEOUT_MS, connectSocket } from './guest.js';

const NAME = `test-${process.pid}`;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-test-vm-'));
});
afterAll(async () => {
  await vamos(['down', '--name', NAME]);
  await rm(folder, { recursive: true, force: true });
}, BOOT_HOOK_TIMEOUT_MS);

function vamos(args: string[], stdin = ''): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const cli = path.resolve(import.meta.dirname, '../../dist/entry/cli.js');
    const child = spawn(process.execPath, [cli, 'vm', ...args]);
    const result = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => (result[name] += text));
    }
    child.on('error', reject).on('close', (code) => resolve({ code, ...result }));
    child.stdin.end(stdin);
  });
}

test(
  'a guest stays up between commands, and is gone after down',
  async () => {
    const socketPath = path.join(folder, 'port.sock');
    const up = await vamos(['up', '--name', NAME, '--channel', `vamos.0=${socketPath}`]);
    expect(up).toMatchObject({ code: 0, stdout: expect.stringContaining('is up') as string });
    (await connectSocket(socketPath)).destroy();
    expect(await vamos(['up', '--name', NAME])).toMatchObject({ code: 1 });

    const take = await vamos(['exec', '--name', NAME, '--', 'sh', '-c', 'cat > /root/taken'], 'a file');
    expect(take.code).toBe(0);
    const give = await vamos([
      'exec',
      '--name',
      NAME,
      '--',
      'sh',
      '-c',
      'cat /root/taken; echo err >&2; exit 7',
    ]);
    expect(give).toEqual({ code: 7, stdout: 'a file', stderr: 'err\n' });

    const status = JSON.parse((await vamos(['status', '--json'])).stdout) as { name: string }[];
    expect(status.map(({ name }) => name)).toContain(NAME);
    expect((await vamos(['down', '--name', NAME])).code).toBe(0);
    expect(await vamos(['exec', '--name', NAME, '--', 'true'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^vamos: VM_GONE: /) as string,
    });
  },
  BOOT_HOOK_TIMEOUT_MS,
);

test('a channel for a libvirt domain is printed as XML, with the words for both sides beside it', async () => {
  const { stdout, stderr } = await vamos(['snippet', '--name', 'vamos.0', '--socket', "/run/a&'b.sock"]);
  expect(stdout).toContain("<channel type='unix'>");
  expect(stdout).toContain("<source mode='bind' path='/run/a&amp;&apos;b.sock'/>");
  expect(stdout).toContain("<target type='virtio' name='vamos.0'/>");
  expect(stderr).toContain("vamos host --root DIRECTORY --channel virtio-serial:/run/a&'b.sock");
});

test('wrong options are told with what is expected', async () => {
  expect(await vamos(['run', '--channel', 'nonsense', '--', 'true'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('NAME=SOCKET') as string,
  });
  expect((await vamos(['run'])).code).toBe(2);
});
