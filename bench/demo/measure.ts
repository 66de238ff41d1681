import type { Vm } from '../../host/vm/index.js';
import type { Phase } from './phases.js';
import { GuestProgram } from './program.js';
import type { ReportRow } from './report.js';

/** What differs between the two ways to run the same program. */
export interface Mode {
  name: ReportRow['mode'];
  address: string;
  /** The virtio device whose transitions count, and nothing else. */
  device: 'channel' | 'data';
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
): Promise<ReportRow[]> {
  const program = new GuestProgram(vm, mode.address, scale);
  const rows: ReportRow[] = [];
  try {
    onProgress('connecting');
    await program.open();
    for (const [index, phase] of phases.entries()) {
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
    throw error;
  }
  return rows;
}

async function measureOne(vm: Vm, mode: Mode, phase: Phase, program: GuestProgram): Promise<ReportRow> {
  const disk = mode.device === 'data' ? await diskBytes(vm) : undefined;
  await vm.transitions.start(mode.device);
  const result = await program.run(phase.name);
  const { kicks, interrupts } = await vm.transitions.stop();
  const after = disk && (await diskBytes(vm));
  return {
    operation: phase.name,
    mode: mode.name,
    statements: result.statements,
    kicks,
    interrupts,
    requests: result.requests,
    frames: result.frames,
    bytesToHost: disk && after ? after.written - disk.written : result.bytesToHost,
    bytesToGuest: disk && after ? after.read - disk.read : result.bytesToGuest,
    checksum: result.checksum ?? (await program.verify(phase.name)),
  };
}

/** What QEMU has moved to and from the data disk. */
async function diskBytes(vm: Vm): Promise<{ read: number; written: number }> {
  const devices =
    await vm.qmp.execute<{ device?: string; qdev?: string; stats: { rd_bytes: number; wr_bytes: number } }[]>(
      'query-blockstats',
    );
  const data = devices.find(({ device, qdev }) => device === 'data' || qdev?.includes('/data/'));
  if (!data) throw new Error('QEMU tells of no data disk');
  return { read: data.stats.rd_bytes, written: data.stats.wr_bytes };
}

async function guestShell(vm: Vm, command: string): Promise<void> {
  const { code, stderr } = await vm.exec(['sh', '-c', command]);
  if (code !== 0) throw new Error(`in the guest: ${command}: ${stderr}`);
}
