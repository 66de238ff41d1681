import { readdir, readFile } from 'node:fs/promises';
import { VmError } from './errors.js';
import type { Vm } from './machine.js';

/** Milliseconds of CPU time on the host. */
export interface HostCpuTimes {
  /** Time of the guest's processors. */
  vcpu: number;
  /** Time of all other threads of QEMU: devices, their main loop, the block layer. */
  devices: number;
  /** Time of the process that serves the guest. */
  worker: number;
}

interface Snapshot {
  /** Times of the threads that live, by thread id. */
  threadsMs: Map<string, number>;
  /** Time of the process, including threads that have ended. */
  totalMs: number;
}

/**
 * Linux gives user programs times in ticks of a hundredth of a second, whatever the kernel's own ticks are.
 */
const TICK_MS = 10;

/** Measures the CPU time that a guest costs its host between `start` and `stop`. */
export class HostCpuMeter {
  #started: { vcpus: Set<string>; qemu: Snapshot; worker: Snapshot | undefined } | undefined;
  readonly #workerPid: number | undefined;

  /** @param workerPid absent where the guest's storage has no worker of its own */
  constructor(
    private readonly vm: Vm,
    workerPid?: number,
  ) {
    this.#workerPid = workerPid;
  }

  /**
   * Begins to measure.
   * @throws VmError BAD_OPTION if it is measuring already; VM_GONE if one of the processes has ended
   */
  async start(): Promise<void> {
    if (this.#started) throw new VmError('BAD_OPTION', 'CPU time is being measured already');
    const cpus = await this.vm.qmp.execute<{ 'thread-id': number }[]>('query-cpus-fast');
    this.#started = {
      vcpus: new Set(cpus.map((cpu) => String(cpu['thread-id']))),
      qemu: await snapshot(this.vm.state.pid),
      worker: this.#workerPid === undefined ? undefined : await snapshot(this.#workerPid),
    };
  }

  /**
   * Ends the measurement.
   * @throws VmError BAD_OPTION if it was not started; VM_GONE if one of the processes has ended
   */
  async stop(): Promise<HostCpuTimes> {
    const started = this.#started;
    if (!started) throw new VmError('BAD_OPTION', 'CPU time is not being measured');
    this.#started = undefined;
    const qemu = await snapshot(this.vm.state.pid);
    const vcpu = sumOf(started.qemu, qemu, (thread) => started.vcpus.has(thread));
    return {
      vcpu,
      devices: allOf(started.qemu, qemu) - vcpu,
      worker:
        started.worker === undefined ? 0 : allOf(started.worker, await snapshot(this.#workerPid as number)),
    };
  }
}

/**
 * Returns the CPU time of a process, including threads that have ended, rounded to hundredths of a second.
 */
export async function processCpuMs(pid: number): Promise<number> {
  // The fields are counted after the program's name in parentheses: state is the 3rd of the line, utime and
  // stime the 14th and 15th.
  const line = await readFile(`/proc/${pid}/stat`, 'latin1');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function snapshot(pid: number): Promise<Snapshot> {
  try {
    const threadsMs = new Map<string, number>();
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      // The fields are nanoseconds on a CPU, nanoseconds in its queue, and turns. A thread may end between
      // the two calls.
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').catch(() => undefined);
      if (text !== undefined) threadsMs.set(thread, Number(text.split(' ')[0]) / 1e6);
    }
    return { threadsMs, totalMs: await processCpuMs(pid) };
  } catch (cause) {
    throw new VmError('VM_GONE', `process ${pid}: its CPU time can't be read`, { cause });
  }
}

function sumOf(before: Snapshot, after: Snapshot, wanted: (thread: string) => boolean): number {
  let sumMs = 0;
  for (const [thread, ms] of after.threadsMs) {
    if (wanted(thread)) sumMs += ms - (before.threadsMs.get(thread) ?? 0);
  }
  return sumMs;
}

/**
 * Returns the time of all threads. Only the process's total includes those that ended meanwhile; it is
 * rounded twice, so it is used where it exceeds the sum by more than rounding can.
 */
function allOf(before: Snapshot, after: Snapshot): number {
  const livingMs = sumOf(before, after, () => true);
  const totalMs = after.totalMs - before.totalMs;
  return totalMs > livingMs + 2 * TICK_MS ? totalMs : livingMs;
}
