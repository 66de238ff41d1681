import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { PhaseCounts, Vm } from '../../host/vm/index.js';
import { checksumOf, RowChecksum } from './data.js';
import { ENGINE_SETTINGS } from './engines.js';
import {
  HOST_PARTS,
  spread,
  type EngineName,
  type HostCpuMeter,
  type HostPart,
  type InstructionCounter,
  type Instructions,
  type ScaleName,
  type TransitionRow,
} from './result.js';
import type { EngineServer } from './server.js';
import { REPETITIONS, SCALES, type Run, type Workload } from './workloads.js';

/** Of one repetition; a statement that hangs must not hang the run. */
const TIMEOUT_MS = 600_000;

/** What counts from a repetition's first statement to its last. */
export interface Meters {
  vm: Vm;
  instructions: InstructionCounter | undefined;
  hostCpu: HostCpuMeter | undefined;
}

interface Repetition {
  counts: PhaseCounts;
  instructions: Instructions | undefined;
  hostCpu: Record<HostPart, number> | undefined;
  /** What SHOW STATUS grew by. */
  status: (name: string) => number;
  seconds: number;
  checksum: string;
}

/** All repetitions of a workload with rows of one size. */
export class Measurement {
  readonly #repetitions: Repetition[] = [];

  constructor(
    private readonly workload: Workload,
    private readonly rowBytes: number,
    private readonly scaleName: ScaleName,
    private readonly engine: EngineName,
  ) {}

  async repeat(server: EngineServer, meters: Meters, signal: AbortSignal): Promise<void> {
    const { workload } = this;
    const run = this.#run(this.#repetitions.length);
    const tables = workload.tables(this.rowBytes, run.scale);
    const connections = await server.prepare(workload.connections, tables, workload.isCold);
    await workload.warmUp?.(connections[0]!, run);
    signal.throwIfAborted();
    const measured = measureOne(server, meters, connections, workload, run);
    this.#repetitions.push(await Promise.race([measured, failure(signal)]));
    server.disconnect();
  }

  row(): TransitionRow {
    const each = (value: (repetition: Repetition) => number) => this.#repetitions.map(value);
    const { channel } = ENGINE_SETTINGS[this.engine];
    const isVamos = channel === 'virtio-serial';
    const run = this.#run(0);
    const requestCounts = each(({ status, counts: { dataDisk } }) =>
      isVamos ? status('vamos_requests') : dataDisk.reads + dataDisk.writes + dataDisk.flushes,
    );
    const instructions = this.#repetitions.flatMap((repetition) => repetition.instructions ?? []);
    const hostCpu = this.#repetitions.flatMap((repetition) => repetition.hostCpu ?? []);
    return {
      workload: this.workload.name,
      rowBytes: this.rowBytes,
      engine: this.engine,
      channel,
      connections: this.workload.connections,
      statements: this.workload.statements(run),
      requests: spread(requestCounts).median,
      kicks: each(({ counts }) => counts.kicks),
      interrupts: each(({ counts }) => counts.interrupts),
      guestInstructions: instructions.map(({ kernel, user }) => kernel + user),
      checksum: checksumOf(this.#repetitions.map(({ checksum }) => checksum)),
      scale: this.scaleName,
      dataBytes: this.workload.dataBytes(run),
      dataDiskTransitions: each(({ counts: { byDevice } }) => byDevice.data.kicks + byDevice.data.interrupts),
      requestCounts,
      frames: isVamos ? each(({ status }) => status('vamos_frames')) : [],
      framesReceived: isVamos ? each(({ status }) => status('vamos_frames_received')) : [],
      bytesToHost: each(({ status, counts: { dataDisk } }) =>
        isVamos ? status('vamos_bytes_sent') : dataDisk.bytesWritten,
      ),
      bytesToGuest: each(({ status, counts: { dataDisk } }) =>
        isVamos ? status('vamos_bytes_received') : dataDisk.bytesRead,
      ),
      guestKernelInstructions: instructions.map(({ kernel }) => kernel),
      guestUserInstructions: instructions.map(({ user }) => user),
      hostCpuMs: Object.fromEntries(
        HOST_PARTS.map((part) => [part, hostCpu.map((times) => times[part])]),
      ) as TransitionRow['hostCpuMs'],
      seconds: each(({ seconds }) => Number(seconds.toFixed(3))),
    };
  }

  /** @returns whether all repetitions were made */
  get isComplete(): boolean {
    return this.#repetitions.length >= REPETITIONS;
  }

  #run(repetition: number): Run {
    return { rowBytes: this.rowBytes, scale: SCALES[this.scaleName], repetition };
  }
}

async function measureOne(
  server: EngineServer,
  { vm, instructions, hostCpu }: Meters,
  connections: readonly Connection[],
  workload: Workload,
  run: Run,
): Promise<Repetition> {
  const checksum = new RowChecksum();
  const before = await server.status();
  await hostCpu?.start();
  await instructions?.start();
  await vm.counters.start();
  const started = performance.now();
  await workload.perform(connections, run, checksum);
  const seconds = (performance.now() - started) / 1000;
  const counts = await vm.counters.stop();
  const instructionsDone = await instructions?.stop();
  const hostCpuUsed = await hostCpu?.stop();
  const after = await server.status();
  if (workload.content !== undefined) {
    const sql = workload.content(run);
    const [rows] = await connections[0]!.query<RowDataPacket[][]>({ sql, rowsAsArray: true });
    checksum.add(rows);
  }
  return {
    counts,
    instructions: instructionsDone,
    hostCpu: hostCpuUsed,
    status: (name) => (after[name] ?? 0) - (before[name] ?? 0),
    seconds,
    checksum: checksum.digest(),
  };
}

async function failure(signal: AbortSignal): Promise<never> {
  const ended = await sleep(TIMEOUT_MS, 'timeout', { signal, ref: false }).catch(() => 'aborted');
  if (ended === 'aborted') throw signal.reason;
  throw new Error(`no end within ${TIMEOUT_MS / 1000} s`);
}
