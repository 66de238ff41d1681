import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { VmError } from './errors.js';
import type { VirtioDevice } from './qemu.js';
import type { QmpClient } from './qmp.js';

/**
 * QEMU's trace events of a transition. A kick is the guest telling a device; an interrupt is a device telling
 * the guest, which has two events: with ioeventfd virtio-blk takes the second. One transition makes one of
 * them.
 */
const KICK = 'virtio_queue_notify';
const INTERRUPTS = ['virtio_notify', 'virtio_notify_irqfd'];
const EVENTS = [KICK, ...INTERRUPTS];
const RESET_EVENT = 'resettable_phase_enter_begin';

/**
 * Devices that carry storage: VAMOS' channels, and the data disk. The system's disks and the agent's port do
 * not count.
 */
const STORAGE_DEVICES = ['channel', 'data'] as const;
export type StorageDevice = (typeof STORAGE_DEVICES)[number];

export interface Transitions {
  /** Transitions from guest to hypervisor. */
  kicks: number;
  /** Transitions from hypervisor to guest. */
  interrupts: number;
}

/** Operations and bytes that the guest asked of its data disk. */
export interface DiskTraffic {
  reads: number;
  writes: number;
  flushes: number;
  bytesRead: number;
  bytesWritten: number;
}

export interface PhaseCounts extends Transitions {
  byDevice: Record<StorageDevice, Transitions>;
  /** All zero without a data disk. */
  dataDisk: DiskTraffic;
}

/**
 * Counts transitions between `start` and `stop` from QEMU's trace log. What QEMU has not yet handled when
 * `stop` is called is not counted, so stop when the work has been answered.
 */
export class TransitionCounters {
  readonly #qmp: QmpClient;
  readonly #traceFile: string;
  readonly #addresses: ReadonlyMap<string, StorageDevice>;
  #started: { offset: number; traffic: DiskTraffic } | undefined;

  constructor(qmp: QmpClient, traceFile: string, deviceAddresses: Record<string, string>) {
    this.#qmp = qmp;
    this.#traceFile = traceFile;
    this.#addresses = new Map(
      STORAGE_DEVICES.flatMap((device) => {
        const address = deviceAddresses[device];
        return address === undefined ? [] : [[address, device] as const];
      }),
    );
  }

  /**
   * Begins a phase.
   * @throws VmError BAD_OPTION if one is being counted already
   */
  async start(): Promise<void> {
    if (this.#started) throw new VmError('BAD_OPTION', 'transitions are being counted already');
    this.#started = { offset: (await stat(this.#traceFile)).size, traffic: await this.#traffic() };
    for (const name of EVENTS) await setEvent(this.#qmp, name, true);
  }

  /**
   * Ends the phase.
   * @throws VmError BAD_OPTION if none was started
   */
  async stop(): Promise<PhaseCounts> {
    const started = this.#started;
    if (!started) throw new VmError('BAD_OPTION', 'transitions are not being counted');
    this.#started = undefined;
    for (const name of EVENTS) await setEvent(this.#qmp, name, false);
    const after = await this.#traffic();
    const byDevice: PhaseCounts['byDevice'] = {
      channel: { kicks: 0, interrupts: 0 },
      data: { kicks: 0, interrupts: 0 },
    };
    for await (const { event, address } of readEvents(this.#traceFile, started.offset)) {
      const device = this.#addresses.get(address);
      if (device === undefined) continue;
      if (event === KICK) byDevice[device].kicks++;
      else if (INTERRUPTS.includes(event)) byDevice[device].interrupts++;
    }
    return {
      kicks: byDevice.channel.kicks + byDevice.data.kicks,
      interrupts: byDevice.channel.interrupts + byDevice.data.interrupts,
      byDevice,
      dataDisk: {
        reads: after.reads - started.traffic.reads,
        writes: after.writes - started.traffic.writes,
        flushes: after.flushes - started.traffic.flushes,
        bytesRead: after.bytesRead - started.traffic.bytesRead,
        bytesWritten: after.bytesWritten - started.traffic.bytesWritten,
      },
    };
  }

  async #traffic(): Promise<DiskTraffic> {
    const devices =
      await this.#qmp.execute<{ device?: string; stats: Record<string, number> }[]>('query-blockstats');
    const stats = devices.find(({ device }) => device === 'data')?.stats ?? {};
    return {
      reads: stats.rd_operations ?? 0,
      writes: stats.wr_operations ?? 0,
      flushes: stats.flush_operations ?? 0,
      bytesRead: stats.rd_bytes ?? 0,
      bytesWritten: stats.wr_bytes ?? 0,
    };
  }
}

function setEvent(qmp: QmpClient, name: string, enable: boolean): Promise<unknown> {
  return qmp.execute('trace-event-set-state', { name, enable });
}

/**
 * Yields the events of the trace log, whose lines are such as `virtio_queue_notify vdev 0x55d0 n 1 vq 0x55e8`
 * or `resettable_… obj=0x55d0(virtio-blk-device) …`.
 */
async function* readEvents(
  file: string,
  offset: number,
): AsyncGenerator<{ event: string; address: string; type: string }> {
  const input = createReadStream(file, { start: offset, encoding: 'latin1', highWaterMark: 1 << 20 });
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    const [, event, address, type] = /^(\w+) (?:vdev |obj=)(0x[0-9a-f]+)(?:\(([^)]*)\))?/.exec(line) ?? [];
    if (event !== undefined && address !== undefined) yield { event, address, type: type ?? '' };
  }
}

/**
 * Finds the address of each virtio device in QEMU, by which its trace events name it. The trace of the reset
 * before the guest starts shows every device with its type, in the order of their bus: the command line's, or
 * its reverse. As no machine of ours has the same types both ways, the order tells which.
 */
export async function readDeviceAddresses(
  qmp: QmpClient,
  traceFile: string,
  devices: readonly VirtioDevice[],
): Promise<Record<string, string>> {
  await setEvent(qmp, RESET_EVENT, false);
  const seen = new Map<string, string>();
  const types = new Set<string>(devices.map(({ type }) => type));
  for await (const { event, address, type } of readEvents(traceFile, 0)) {
    if (event === RESET_EVENT && types.has(type)) seen.set(address, type);
  }
  const found = [...seen];
  const fits = (list: [string, string][]) =>
    list.length === devices.length && devices.every(({ type }, index) => list[index]?.[1] === type);
  const backwards = [...found].reverse();
  if (fits(found) === fits(backwards)) {
    const text = found.map(([, type]) => type).join(', ');
    throw new VmError('QMP_REFUSED', `this QEMU's trace does not tell its devices apart: ${text}`);
  }
  const inOrder = fits(found) ? found : backwards;
  return Object.fromEntries(devices.map(({ id }, index) => [id, inOrder[index]?.[0] as string]));
}
