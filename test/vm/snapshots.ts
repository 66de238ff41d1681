import { setTimeout as delay } from 'node:timers/promises';
import type { QmpClient } from '../../host/vm/qmp.js';

/** Room for the machine's whole memory, of which QEMU writes what is not zero. */
const DISK_BYTES = 4 * 1024 ** 3;
/** The limit for answers: QEMU gives none while it saves or loads. */
const ANSWER_TIMEOUT_MS = 120_000;

interface Job {
  id: string;
  status: string;
  error?: string;
}

/** Snapshots of a running machine (QEMU's savevm and loadvm), on a disk of their own that the guest does not see. */
export class Snapshots {
  readonly #qmp: QmpClient;
  #jobs = 0;

  private constructor(qmp: QmpClient) {
    this.#qmp = qmp;
  }

  /** Makes a new disk for snapshots. QEMU makes it itself, so that no other tool is needed. */
  static async create(qmp: QmpClient, file: string): Promise<Snapshots> {
    const snapshots = new Snapshots(qmp);
    await snapshots.#run('blockdev-create', { options: { driver: 'file', filename: file, size: 0 } });
    await snapshots.#addFile(file);
    await snapshots.#run('blockdev-create', {
      options: { driver: 'qcow2', file: 'snapshot-file', size: DISK_BYTES },
    });
    await snapshots.#addDisk();
    return snapshots;
  }

  /** Opens a disk that another machine of the same shape has left. */
  static async open(qmp: QmpClient, file: string): Promise<Snapshots> {
    const snapshots = new Snapshots(qmp);
    await snapshots.#addFile(file);
    await snapshots.#addDisk();
    return snapshots;
  }

  /** Saves a snapshot. The guest stands still meanwhile. */
  async save(name: string): Promise<void> {
    await this.#run('snapshot-save', { tag: name, vmstate: 'snapshots', devices: ['snapshots'] });
  }

  /**
   * Puts memory and devices back; then the guest goes on from there. Its disks, sockets and hosts stay as
   * they are.
   */
  async load(name: string): Promise<void> {
    await this.#run('snapshot-load', { tag: name, vmstate: 'snapshots', devices: ['snapshots'] });
  }

  async #addFile(filename: string): Promise<void> {
    const options = { driver: 'file', 'node-name': 'snapshot-file', filename, locking: 'off' };
    await this.#qmp.execute('blockdev-add', options);
  }

  async #addDisk(): Promise<void> {
    await this.#qmp.execute('blockdev-add', {
      driver: 'qcow2',
      'node-name': 'snapshots',
      file: 'snapshot-file',
    });
  }

  async #run(command: string, args: Record<string, unknown>): Promise<void> {
    const id = `snapshots-${this.#jobs++}`;
    await this.#qmp.execute(command, { 'job-id': id, ...args }, ANSWER_TIMEOUT_MS);
    for (;;) {
      const jobs = await this.#qmp.execute<Job[]>('query-jobs', {}, ANSWER_TIMEOUT_MS);
      const job = jobs.find((each) => each.id === id)!;
      if (job.status === 'concluded') {
        await this.#qmp.execute('job-dismiss', { id }, ANSWER_TIMEOUT_MS);
        if (job.error !== undefined) throw new Error(`${command}: ${job.error}`);
        return;
      }
      await delay(10);
    }
  }
}
