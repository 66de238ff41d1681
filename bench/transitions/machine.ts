/** The guest that all engines run in, its host daemon, and facts about both. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/native.js';
import {
  buildImage,
  buildPayload,
  MARIADB_CHANNEL,
  MARIADB_LOG,
  MARIADB_PORT,
  mariadbPackages,
  qemuVersion,
  startVm,
  type Image,
  type Vm,
} from '../../host/vm/index.js';
import { HostDaemon } from '../daemon.js';
import { guestShell } from '../demo/measure.js';
import { freePort } from '../guest_mariadb.js';
import type { ServerPlace } from './server.js';

const DATA_DISK_MIB = 8192;
const MEMORY_MIB = 2048;
const MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);

export interface MachineOptions {
  accelerator: 'auto' | 'kvm' | 'tcg';
  /** A ha_vamos.so for the guest instead of the package's. */
  plugin?: string;
  /** Set for a profile. */
  countInstructions?: 'by-address';
}

export class BenchMachine {
  readonly place: ServerPlace;
  readonly #directory: string;
  readonly #image: Image;

  private constructor(directory: string, image: Image, place: ServerPlace) {
    this.#directory = directory;
    this.#image = image;
    this.place = place;
  }

  static async start(
    options: MachineOptions,
    onProgress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<BenchMachine> {
    const image = await buildImage({ ...(await mariadbPackages()), onProgress, signal });
    const payload = await buildPayload({ signal });
    const directory = await makeDirectory();
    const socketPath = path.join(directory, 'vamos.sock');
    const place = {
      port: await freePort(),
      root: path.join(directory, 'root'),
      dataDisk: path.join(directory, 'data.img'),
    };
    const logs = path.join(directory, 'logs');
    await mkdir(logs);
    const control = path.join(directory, 'control');
    const daemon = new HostDaemon(
      place.root,
      `virtio-serial:${socketPath}`,
      control,
      path.join(logs, 'daemon.log'),
    );
    let vm: Vm | undefined;
    try {
      vm = await startVm({
        image,
        payload,
        memoryMiB: MEMORY_MIB,
        dataDisk: { path: place.dataDisk, sizeMiB: DATA_DISK_MIB, fresh: true },
        channels: [{ name: MARIADB_CHANNEL, socketPath }],
        forwardPorts: [{ host: place.port, guest: MARIADB_PORT }],
        accelerator: options.accelerator,
        countInstructions: options.countInstructions ?? true,
        onProgress,
      });
      if (options.plugin !== undefined) await installPlugin(vm, options.plugin);
      await daemon.start();
    } catch (error) {
      await vm?.kill();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
    return new BenchMachine(directory, image, { ...place, vm, daemon });
  }

  /** Returns what a report says of the machine and of what runs on it. */
  async describe(): Promise<{ machine: string; versions: Record<string, string> }> {
    const { version } = JSON.parse(await readFile(path.join(packageRoot, 'package.json'), 'utf8')) as {
      version: string;
    };
    const server = await guestShell(this.place.vm, 'mariadbd --version');
    return {
      machine: `${os.cpus()[0]?.model ?? os.arch()}, ${os.availableParallelism()} CPUs, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}`,
      versions: {
        vamos: version,
        node: process.versions.node,
        qemu: await qemuVersion(),
        guestKernel: this.#image.kernelVersion,
        mariadb: /Ver (\S+)/.exec(server)?.[1] ?? '',
      },
    };
  }

  /** Returns how many times longer the guest takes for the same work of its processor than this machine. */
  async slowdown(): Promise<number> {
    const program =
      'const start = performance.now(); let x = 1; for (let i = 0; i < 3e7; i++) x = (Math.imul(x, 1664525) + i) | 0;' +
      ' console.log(performance.now() - start + (x === 0.5 ? 1 : 0))';
    const here = Number((await promisify(execFile)(process.execPath, ['-e', program])).stdout);
    const there = Number((await this.place.vm.exec(['node', '-e', program])).stdout);
    return Math.max(1, there / here);
  }

  /**
   * Saves logs.
   * @returns the folder with what guest, QEMU, MariaDB and the host daemon printed
   */
  async saveLogs(): Promise<string> {
    const { vm } = this.place;
    const logs = await mkdtemp(path.join(os.tmpdir(), 'vamos-transitions-log-'));
    const said = await vm.exec(['cat', MARIADB_LOG], { timeoutMs: 20_000 }).catch(() => undefined);
    await writeFile(path.join(logs, 'mariadbd.log'), said?.stdout ?? 'the guest does not answer\n');
    await copyFile(vm.consoleLog, path.join(logs, 'console.log')).catch(() => undefined);
    await copyFile(path.join(this.#directory, 'logs/daemon.log'), path.join(logs, 'daemon.log')).catch(
      () => undefined,
    );
    return logs;
  }

  async stop(): Promise<void> {
    await this.place.daemon.stop();
    // Its disk is removed too, so nothing need be written.
    await this.place.vm.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Makes the folder on a real disk: a sync to memory would cost nothing. */
async function makeDirectory(): Promise<string> {
  const isInMemory = MEMORY_FILE_SYSTEMS.has((await statfs(os.tmpdir())).type);
  return mkdtemp(path.join(isInMemory ? '/var/tmp' : os.tmpdir(), 'vamos-transitions-'));
}

async function installPlugin(vm: Vm, file: string): Promise<void> {
  const target = '/usr/lib/mysql/plugin/ha_vamos.so';
  const { code, stderr } = await vm.exec(['sh', '-c', `cat > ${target}`], { stdin: await readFile(file) });
  if (code !== 0) throw new Error(`${target} in the guest: ${stderr}`);
}
