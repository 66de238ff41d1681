import type { StorageDevice, Vm } from '../../host/vm/index.js';
import type { Phase } from './phases.js';
import { GuestProgram } from './program.js';
import type { ReportRow } from './report.js';

/** What differs between the two ways to run the same program. */
export interface Mode {
  name: ReportRow['mode'];
  address: string;
  /** The virtio device whose transitions count, and nothing else. */
  device: StorageDevice;
  /** Between close and open, so that the next open finds an empty block cache. */
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
  // Whatever waits for the program then fails.
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
      // Nobody pays for what the operation before left to be written.
      await guestShell(vm, phase.isCold ? 'sync; echo 3 > /proc/sys/vm/drop_caches' : 'sync');
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

async function guestShell(vm: Vm, command: string): Promise<void> {
  const { code, stderr } = await vm.exec(['sh', '-c', command]);
  if (code !== 0) throw new Error(`in the guest: ${command}: ${stderr}`);
}
