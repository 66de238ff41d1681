import { setTimeout as sleep } from 'node:timers/promises';
import type { StorageDevice, Vm } from '../../host/vm/index.js';
import type { Phase } from './phases.js';
import { GuestProgram } from './program.js';
import type { ReportRow } from './report.js';

const SETTLE_INTERVAL_MS = 300;
const SETTLE_TIMEOUT_MS = 15_000;

/** What differs between the two ways to run the same program. */
export interface Mode {
  name: ReportRow['mode'];
  address: string;
  /** The virtio device whose transitions count, and no others. */
  device: StorageDevice;
  /** Runs between close and open, so that the next open finds an empty block cache. */
  restart?: () => Promise<void>;
}

/** Runs all operations in one mode, one after another, each measured by itself. */
export async function measure(
  vm: Vm,
  mode: Mode,
  phases: readonly Phase[],
  scale: 'full' | 'quick',
  onProgress: (message: string) => void,
  signal: AbortSignal,
): Promise<ReportRow[]> {
  const program = new GuestProgram(vm, mode.address, scale);
  const rows: ReportRow[] = [];
  // What waits for the program then fails.
  const stop = () => {
    program.kill();
  };
  signal.addEventListener('abort', stop);
  try {
    onProgress('connecting');
    await program.open();
    for (const [index, phase] of phases.entries()) {
      signal.throwIfAborted();
      onProgress(`${index + 1}/${phases.length} ${phase.name}`);
      if (phase.isCold) {
        await program.close();
        await mode.restart?.();
        await program.open();
      }
      await settle(vm);
      if (phase.isCold) await dropPageCache(vm);
      rows.push(await measureOne(vm, mode, phase, program));
    }
    await program.close();
    await program.end();
  } catch (error) {
    program.kill();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  return rows;
}

async function measureOne(vm: Vm, mode: Mode, phase: Phase, program: GuestProgram): Promise<ReportRow> {
  await vm.counters.start();
  const result = await program.run(phase.name);
  const { byDevice, dataDisk } = await vm.counters.stop();
  const isOnDisk = mode.device === 'data';
  return {
    operation: phase.name,
    mode: mode.name,
    statements: result.statements,
    ...byDevice[mode.device],
    requests: result.requests,
    frames: result.frames,
    bytesToHost: isOnDisk ? dataDisk.bytesWritten : result.bytesToHost,
    bytesToGuest: isOnDisk ? dataDisk.bytesRead : result.bytesToGuest,
    checksum: result.checksum ?? (await program.verify(phase.name)),
  };
}

/**
 * Waits until the disk rests, so that no operation pays for what the operation before, or opening the store,
 * left to be written.
 */
export async function settle(vm: Vm): Promise<void> {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS;
  let before: number | undefined;
  for (let written = await diskWrites(vm); written !== before; written = await diskWrites(vm)) {
    if (performance.now() > deadline) return;
    before = written;
    await guestShell(vm, 'sync');
    await sleep(SETTLE_INTERVAL_MS);
  }
}

async function diskWrites(vm: Vm): Promise<number> {
  const devices =
    await vm.qmp.execute<{ device?: string; stats: { wr_operations: number } }[]>('query-blockstats');
  return devices.find(({ device }) => device === 'data')?.stats.wr_operations ?? 0;
}

/** Drops the guest's page cache, after its data were written. */
export async function dropPageCache(vm: Vm): Promise<void> {
  await guestShell(vm, 'sync; echo 3 > /proc/sys/vm/drop_caches');
}

export async function guestShell(vm: Vm, command: string): Promise<string> {
  const { code, stdout, stderr } = await vm.exec(['sh', '-c', command]);
  if (code !== 0) throw new Error(`in the guest: ${command}: ${stderr}`);
  return stdout;
}
