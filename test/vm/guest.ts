import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {
  buildImage,
  buildPayload,
  startVm,
  type PayloadOptions,
  type Vm,
  type VmOptions,
} from '../../host/vm/index.js';

/** The limit for hooks that boot a guest: the image may have to be built first. */
export const BOOT_HOOK_TIMEOUT_MS = 300_000;

/** A guest with one channel and a fresh data disk, which a test file boots once. */
export interface TestGuest extends AsyncDisposable {
  vm: Vm;
  /** The port's name in the guest, and its socket here. */
  portName: string;
  socketPath: string;
  dataDisk: string;
}

export async function bootGuest(
  options: Partial<VmOptions> = {},
  payload: PayloadOptions = {},
): Promise<TestGuest> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-test-vm-'));
  const socketPath = path.join(folder, 'port.sock');
  const dataDisk = path.join(folder, 'data.img');
  const vm = await startVm({
    image: await buildImage(),
    payload: await buildPayload(payload),
    channels: [{ name: 'vamos.0', socketPath }],
    dataDisk: { path: dataDisk, sizeMiB: 128, fresh: true },
    ...options,
  });
  return {
    vm,
    portName: 'vamos.0',
    socketPath,
    dataDisk,
    [Symbol.asyncDispose]: async () => {
      await vm.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function connectSocket(socketPath: string): Promise<Socket> {
  const socket = connect(socketPath);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** Runs a shell script in the guest that must succeed. */
export async function shell(vm: Vm, script: string): Promise<string> {
  const result = await vm.exec(['sh', '-ec', script]);
  if (result.code !== 0) throw new Error(`'${script}' gave status ${result.code}: ${result.stderr}`);
  return result.stdout;
}
