import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { HostCpuMeter, type HostCpuTimes, type Instructions, type PhaseCounts } from '../../host/vm/index.js';
import { size } from '../table.js';
import { checksumOf, RowChecksum } from './data.js';
import { ENGINE_SETTINGS } from './engines.js';
import { HOST_PARTS, spread, type EngineName, type ScaleName, type TransitionRow } from './result.js';
import type { EngineServer } from './server.js';
import type { TableDefinition } from './tables.js';
import { SCALES, type Run, type Workload } from './workloads.js';

/** The limit for one repetition; a statement that hangs must not hang the run. */
const TIMEOUT_MS = 600_000;

interface Repetition {
  counts: PhaseCounts;
  instructions: Instructions | undefined;
  hostCpu: HostCpuTimes;
  /** Returns by how much a number of SHOW STATUS grew. */
  status: (name: string) => number;
  seconds: number;
  checksum: string;
}

/** Measures all repetitions of a workload with rows of one size. */
export class Measurement {
  readonly #repetitions: Repetition[] = [];

  constructor(
    private readonly workload: Workload,
    private readonly rowBytes: number,
    private readonly scaleName: ScaleName,
    private readonly engine: EngineName,
  ) {}

  get title(): string {
    return `${this.workload.name}, rows of ${size(this.rowBytes)}`;
  }

  get tables(): TableDefinition[] {
    return this.workload.tables(this.rowBytes, SCALES[this.scaleName]);
  }

  async repeat(server: EngineServer, signal: AbortSignal): Promise<void> {
    const { workload } = this;
    const run = this.#run(this.#repetitions.length);
    const connections = await server.prepare(workload.connections, this.tables, workload.isCold);
    await workload.warmUp?.(connections[0]!, run);
    signal.throwIfAborted();
    const work = measureOne(server, connections, workload, run);
    this.#repetitions.push(await inTime(work, signal));
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
        HOST_PARTS.map((part) => [part, each(({ hostCpu }) => Number(hostCpu[part].toFixed(3)))]),
      ) as TransitionRow['hostCpuMs'],
      seconds: each(({ seconds }) => Number(seconds.toFixed(3))),
    };
  }

  #run(repetition: number): Run {
    return { rowBytes: this.rowBytes, scale: SCALES[this.scaleName], repetition };
  }
}

async function measureOne(
  server: EngineServer,
  connections: readonly Connection[],
  workload: Workload,
  run: Run,
): Promise<Repetition> {
  const { vm } = server.place;
  const hostCpu = new HostCpuMeter(vm, await server.workerPid());
  const checksum = new RowChecksum();
  const before = await server.status();
  await hostCpu.start();
  await vm.instructions?.start();
  await vm.counters.start();
  const started = performance.now();
  await workload.perform(connections, run, checksum);
  const seconds = (performance.now() - started) / 1000;
  const counts = await vm.counters.stop();
  const instructions = await vm.instructions?.stop();
  const hostCpuTimes = await hostCpu.stop();
  const after = await server.status();
  if (workload.content !== undefined) {
    const sql = workload.content(run);
    const [rows] = await connections[0]!.query<RowDataPacket[][]>({ sql, rowsAsArray: true });
    checksum.add(rows);
  }
  return {
    counts,
    instructions,
    hostCpu: hostCpuTimes,
    status: (name) => (after[name] ?? 0) - (before[name] ?? 0),
    seconds,
    checksum: checksum.digest(),
  };
}

/**
 * Waits for the work.
 * @throws the signal's reason; Error when it takes longer than anything that works
 */
async function inTime<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const timer = new AbortController();
  const end = sleep(TIMEOUT_MS, undefined, { signal: AbortSignal.any([signal, timer.signal]) }).then(
    () => {
      throw new Error(`no end within ${TIMEOUT_MS / 1000} s`);
    },
    () => {
      throw signal.reason;
    },
  );
  try {
    return await Promise.race([work, end]);
  } finally {
    timer.abort();
  }
}
