import { access, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildImage, buildPayload, startVm, type Vm, type VmOptions } from '../../host/vm/index.js';
import { BOOT_HOOK_TIMEOUT_MS, shell } from './guest.js';

let folder: string;
let options: VmOptions;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-test-vm-'));
  options = {
    image: await buildImage(),
    payload: await buildPayload(),
    channels: [{ name: 'vamos.0', socketPath: path.join(folder, 'port.sock') }],
    dataDisk: { path: path.join(folder, 'data.img'), sizeMiB: 64 },
  };
}, BOOT_HOOK_TIMEOUT_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

const isThere = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );
const files = (vm: Vm) => [vm.state.directory, path.join(folder, 'port.sock'), `/proc/${vm.state.pid}`];

test(
  'an orderly stop keeps what the guest wrote to its data disk and leaves nothing else behind',
  async () => {
    const first = await startVm(options);
    expect(await Promise.all(files(first).map(isThere))).toEqual([true, true, true]);
    await shell(first, 'echo kept > /data/file; echo lost > /root/file');
    await first.stop();
    expect(await Promise.all(files(first).map(isThere))).toEqual([false, false, false]);
    await expect(first.exec(['true'])).rejects.toMatchObject({ code: 'VM_GONE' });

    await using second = await startVm(options);
    expect(await shell(second, 'cat /data/file; ls /root')).toBe('kept\nnode_modules\n');

    const running = expect(second.exec(['sleep', '1000'])).rejects.toMatchObject({ code: 'VM_GONE' });
    await second.kill();
    await running;
    await expect(second.qmp.execute('query-status')).rejects.toMatchObject({ code: 'VM_GONE' });
    expect(await Promise.all(files(second).map(isThere))).toEqual([false, false, false]);
  },
  BOOT_HOOK_TIMEOUT_MS,
);

test('a guest that cannot boot ends with what it said, and without leftovers', async () => {
  const broken = { ...options.image, rootDisk: options.payload.disk };
  const failure = startVm({ ...options, image: broken, accelerator: 'tcg' });
  await expect(failure).rejects.toMatchObject({
    code: 'VM_GONE',
    message: expect.stringContaining('panic') as string,
  });
}, 120_000);

test.each([
  [{ cpus: 0 }, 'cpus'],
  [{ memoryMiB: 16 }, 'memoryMiB'],
  [{ channels: [{ name: 'a/b', socketPath: '/tmp/x' }] }, 'a/b'],
  [{ channels: [{ name: 'a', socketPath: `/tmp/${'x'.repeat(120)}` }] }, '107 bytes'],
  [{ channels: [1, 2].map(() => ({ name: 'a', socketPath: '/tmp/vamos-x' })) }, 'twice'],
  [{ forwardPorts: [{ host: 0, guest: 80 }] }, 'port 0'],
])(
  'a machine of impossible shape is refused before it starts: %j',
  async (shape: Partial<VmOptions>, text) => {
    await expect(startVm({ ...options, ...shape })).rejects.toMatchObject({
      code: 'BAD_OPTION',
      message: expect.stringContaining(text) as string,
    });
  },
);
