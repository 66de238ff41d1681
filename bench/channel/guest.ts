import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { buildImage, buildPayload, startVm, type Vm } from '../../host/vm/index.js';
import { packageRoot } from '../../src/native.js';
import { type ChannelRow, type Figures, measureChannel, type SubjectName } from './measure.js';

const PORT = 'vamos.bench';
/** Packages that measure.js needs beside the guest's copy of the program. */
const PACKAGES = ['benchmark', 'lodash/lodash.js', 'lodash/package.json', 'platform'];
const MODULES = '/tmp/bench';
const MEASURE_TIMEOUT_MS = 120_000;

/** Measures from within a guest, over virtio-serial, with the transitions counted. */
export async function measureInGuest(
  startHost: (address: string) => Promise<ChildProcess>,
  onProgress: (message: string) => void,
): Promise<ChannelRow[]> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-bench-'));
  const socketPath = path.join(folder, 'port');
  try {
    const image = await buildImage({ onProgress });
    const payload = await buildPayload();
    await using vm = await startVm({
      image,
      payload,
      channels: [{ name: PORT, socketPath }],
      onProgress,
    });
    await copyPackages(vm);
    const host = await startHost(`virtio-serial:${socketPath}`);
    try {
      return await measureChannel(
        'virtio-serial',
        (name, inFlight) => measureOnce(vm, name, inFlight),
        onProgress,
      );
    } finally {
      host.disconnect();
      await once(host, 'exit');
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function copyPackages(vm: Vm): Promise<void> {
  const files = PACKAGES.map((name) => path.join('node_modules', name));
  const tar = execFileSync('tar', ['-c', '-C', packageRoot, ...files], { maxBuffer: 64 << 20 });
  await run(vm, ['mkdir', '-p', MODULES]);
  await run(vm, ['tar', '-x', '-C', MODULES], tar);
}

async function measureOnce(vm: Vm, name: SubjectName, inFlight: number): Promise<Figures> {
  await vm.counters.start();
  const program = '/opt/vamos/dist/bench/channel/measure.js';
  const output = await run(vm, ['node', program, `virtio-serial:${PORT}`, name, String(inFlight), MODULES]);
  const { kicks, interrupts } = await vm.counters.stop();
  const figures = JSON.parse(output) as Figures;
  return {
    ...figures,
    kicksPerRequest: kicks / figures.requests,
    interruptsPerRequest: interrupts / figures.requests,
  };
}

async function run(vm: Vm, argv: string[], stdin: Uint8Array | string = ''): Promise<string> {
  const { code, stdout, stderr } = await vm.exec(argv, { stdin, timeoutMs: MEASURE_TIMEOUT_MS });
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code} in the guest\n${stderr}`);
  return stdout;
}
