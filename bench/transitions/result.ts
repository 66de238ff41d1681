/**
 * What the transition benchmark writes (`bench/results/transitions.json`), and what its report and plots read. All lists
 * of numbers hold one value a repetition, in the same order; counts are of a whole repetition, not of a statement.
 */

export const ENGINES = ['innodb', 'innodb-tuned', 'aria', 'myisam', 'vamos'] as const;
export type EngineName = (typeof ENGINES)[number];

export const WORKLOADS = [
  'W1',
  'W2',
  'W3',
  'W4',
  'W5',
  'W6',
  'W7',
  'W8',
  'W9',
  'W10',
  'W11',
  'W12',
  'W13',
] as const;
export type WorkloadName = (typeof WORKLOADS)[number];

/** `quick` does less of each workload, so its counts compare only with those of `quick`. */
export type ScaleName = 'full' | 'quick';

/** One workload with rows of one size on one engine. */
export interface TransitionRow {
  workload: WorkloadName;
  /** The bytes of all columns of a row. */
  rowBytes: number;
  engine: EngineName;
  /** The device that carries the engine's storage. */
  channel: 'virtio-blk' | 'virtio-serial';
  connections: number;
  /** Statements of a repetition. */
  statements: number;
  /**
   * The median. VAMOS: requests to the host; the others: operations (read, write, flush) of the data disk.
   */
  requests: number;
  /** Guest to hypervisor, on the channel's device and the data disk together. */
  kicks: number[];
  /** Hypervisor to guest, on the same devices. */
  interrupts: number[];
  /** Kernel and user together; empty where they can't be counted. */
  guestInstructions: number[];
  /**
   * The checksum of what the statements returned, or of what they left in the tables; the same for all
   * engines.
   */
  checksum: string;

  scale: ScaleName;
  /** Bytes of the rows that the statements are about: written, scanned or looked up. */
  dataBytes: number;
  /** Kicks and interrupts of the data disk alone; for VAMOS those that mariadbd itself caused. */
  dataDiskTransitions: number[];
  requestCounts: number[];
  /** Frames that the guest sent; empty on virtio-blk. */
  frames: number[];
  /** Frames that the guest received; empty on virtio-blk. */
  framesReceived: number[];
  /** VAMOS: bytes over the channel, with frame headers. The others: bytes written to the data disk. */
  bytesToHost: number[];
  /** VAMOS: bytes over the channel, with frame headers. The others: bytes read from the data disk. */
  bytesToGuest: number[];
  /** Empty where they can't be counted. */
  guestKernelInstructions: number[];
  guestUserInstructions: number[];
  /** CPU time on the host; empty where it can't be read. */
  hostCpuMs: Record<HostPart, number[]>;
  /** Wall-clock time, of no meaning beyond this machine and accelerator. */
  seconds: number[];
}

/** The guest's processors, all other threads of QEMU (devices, block layer), and the worker that serves the guest. */
export const HOST_PARTS = ['vcpu', 'devices', 'worker'] as const;
export type HostPart = (typeof HOST_PARTS)[number];

export interface TransitionReport {
  machine: string;
  accelerator: 'kvm' | 'tcg';
  versions: Record<string, string>;
  /** When the newest of its rows was measured, ISO 8601. */
  date: string;
  /** How many times longer the guest takes for the same work of its processor than this machine. */
  guestSlowdown: number;
  /** The value of vamos_gather_us; under TCG its default times the slowdown. */
  gatherUs: number;
  rows: TransitionRow[];
}

/** Returns the transitions of one statement: kicks and interrupts together. */
export function transitionsAStatement({ kicks, interrupts, statements }: TransitionRow): number[] {
  return kicks.map((count, repetition) => (count + (interrupts[repetition] ?? 0)) / statements);
}

export interface Spread {
  minimum: number;
  median: number;
  maximum: number;
}

/** @throws RangeError if there are no values */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { minimum: sorted[0]!, median, maximum: sorted.at(-1)! };
}
