import {
  ENGINES,
  type EngineName,
  type TransitionReport,
  type TransitionRow,
  type WorkloadName,
} from '../../bench/transitions/result.js';
import { SCALES, WORKLOAD_LIST } from '../../bench/transitions/workloads.js';

/**
 * Invented figures of the same order as measured ones: transitions of a statement, and bytes of storage that
 * make another one.
 */
const COSTS: Record<EngineName, { transitions: number; bytesATransition: number; instructions: number }> = {
  innodb: { transitions: 5.2, bytesATransition: 2200, instructions: 420_000 },
  'innodb-tuned': { transitions: 4.4, bytesATransition: 20_000, instructions: 390_000 },
  aria: { transitions: 4.1, bytesATransition: 6000, instructions: 450_000 },
  myisam: { transitions: 0.03, bytesATransition: 60_000, instructions: 150_000 },
  vamos: { transitions: 2.4, bytesATransition: 700_000, instructions: 360_000 },
};

/** One workload on one engine as the benchmark would write it. */
export function sampleRow(workload: WorkloadName, engine: EngineName, rowBytes = 1024): TransitionRow {
  const definition = WORKLOAD_LIST.find(({ name }) => name === workload)!;
  const run = { rowBytes, scale: SCALES.full, repetition: 0 };
  const count = definition.statements(run);
  const bytes = definition.dataBytes(run);
  const cost = COSTS[engine];
  const repeat = (value: number) =>
    [0, 1, 2].map((repetition) => Math.round(value * (1 + ((repetition * 7 + rowBytes) % 5) / 50)));
  const transitions = count * cost.transitions + bytes / cost.bytesATransition;
  const instructions = count * cost.instructions + bytes * 8;
  const kernel = repeat(instructions * 0.45);
  const user = repeat(instructions * 0.55);
  const isVamos = engine === 'vamos';
  return {
    workload,
    rowBytes,
    engine,
    channel: isVamos ? 'virtio-serial' : 'virtio-blk',
    connections: definition.connections,
    statements: count,
    requests: count * 2,
    kicks: repeat(transitions / 2),
    interrupts: repeat(transitions / 2),
    guestInstructions: kernel.map((value, repetition) => value + user[repetition]!),
    checksum: `checksum of ${workload} ${rowBytes}`,
    scale: 'full',
    dataBytes: bytes,
    dataDiskTransitions: repeat(isVamos ? 0 : transitions),
    requestCounts: repeat(count * 2),
    frames: isVamos ? repeat(count) : [],
    framesReceived: isVamos ? repeat(count) : [],
    bytesToHost: repeat(bytes),
    bytesToGuest: repeat(count * 60),
    guestKernelInstructions: kernel,
    guestUserInstructions: user,
    hostCpuMs: {
      vcpu: repeat(instructions / 400_000),
      devices: repeat(transitions / 20),
      worker: isVamos ? repeat(count / 8) : [0, 0, 0],
    },
    seconds: repeat(instructions / 2e8).map((seconds) => seconds + 1),
  };
}

/** All workloads on all engines. */
export function sampleReport(): TransitionReport {
  return {
    machine: 'A machine, 2 CPUs',
    accelerator: 'tcg',
    versions: { vamos: '0.1.0', mariadb: '10.11.18' },
    date: '2026-11-22T09:00:00.000Z',
    guestSlowdown: 20.5,
    gatherUs: 2000,
    rows: WORKLOAD_LIST.flatMap(({ name, rowSizes }) =>
      rowSizes.flatMap((rowBytes) => ENGINES.map((engine) => sampleRow(name, engine, rowBytes))),
    ),
  };
}
