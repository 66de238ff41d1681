/**
 * The main job on real input: one program in a real guest, split over virtio-serial and unsplit on the guest's
 * virtio-blk disk, its results compared byte for byte and its transitions counted. Then MariaDB in the same guest:
 * order entry on ENGINE=VAMOS and on InnoDB.
 */
import { mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Listr } from 'listr2';
import { packageRoot } from '../../src/native.js';
import {
  buildImage,
  buildPayload,
  MARIADB_CHANNEL,
  MARIADB_PORT,
  enginePackage,
  mariadbPackages,
  qemuVersion,
  startVm,
  type Image,
  type Vm,
} from '../../host/vm/index.js';
import { HostDaemon } from '../daemon.js';
import { freePort, GuestMariadb, TUNED_INNODB } from '../guest_mariadb.js';
import { measure } from './measure.js';
import { measureOrderEntry, SCALES, TERMINALS } from './order_entry.js';
import { renderOrderEntry, renderOrderEntryTraffic, type OrderEntryRow } from './order_entry_report.js';
import { PHASES } from './phases.js';
import { showProgress, type OnProgress } from './progress.js';
import { differences, renderTraffic, renderTransitions, type Report, type ReportRow } from './report.js';

export interface DemoOptions {
  /** The file to write the figures to. */
  json?: string;
  /** Does a tenth of the work, to see whether it runs. */
  quick?: boolean;
  accelerator: 'auto' | 'kvm' | 'tcg';
}

const CHANNEL = 'vamos.demo';
const DATA_DISK_MIB = 2048;
const MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);

/** Runs the demo. @returns the exit status: 0, or 1 where the modes disagree or the demo failed */
export async function runDemo(options: DemoOptions): Promise<number> {
  const demo = new Demo(options);
  const stop = new AbortController();
  const interrupt = () => {
    stop.abort(new Error('interrupted'));
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const report = await demo.run(stop.signal);
    if (options.json !== undefined)
      await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
    return demo.print(report);
  } catch (error) {
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    await demo.cleanUp();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

class Demo {
  readonly #scale: 'full' | 'quick';
  readonly #options: DemoOptions;
  #directory = '';
  #isOnRealDisk = true;
  #image: Image | undefined;
  /** Packages of MariaDB and the storage engine; undefined where the set-up had to leave them out. */
  #engine: Awaited<ReturnType<typeof mariadbPackages>> | undefined;
  #vm: Vm | undefined;
  /** One daemon for the program and one for MariaDB: each has its own root. */
  readonly #daemons: HostDaemon[] = [];
  #mariadbPort = 0;
  readonly #rows: ReportRow[] = [];
  readonly #orderEntry: OrderEntryRow[] = [];
  #violations: string[] = [];

  constructor(options: DemoOptions) {
    this.#options = options;
    this.#scale = options.quick ? 'quick' : 'full';
  }

  async run(signal: AbortSignal): Promise<Report> {
    const guest = () => {
      if (!this.#vm) throw new Error('no guest');
      return this.#vm;
    };
    const tasks = new Listr(
      [
        {
          title: 'The guest image (a few minutes the first time)',
          task: async (_, task) => {
            const onProgress = showProgress(task);
            if ((await enginePackage()) !== undefined) this.#engine = await mariadbPackages();
            this.#image = await buildImage({ ...this.#engine, onProgress, signal });
          },
        },
        {
          title: 'Boot the guest',
          task: async (_, task) => {
            signal.throwIfAborted();
            await this.#boot(showProgress(task), signal);
          },
        },
        {
          title: 'Split: over virtio-serial to the host daemon',
          task: async (_, task) => {
            signal.throwIfAborted();
            const daemon = await this.#startDaemon(CHANNEL);
            const mode = {
              name: 'split',
              address: `virtio-serial:${CHANNEL}`,
              device: 'channel',
              restart: async () => {
                await daemon.stop();
                await daemon.start();
              },
            } as const;
            const onProgress = showProgress(task);
            this.#rows.push(...(await measure(guest(), mode, PHASES, this.#scale, onProgress, signal)));
            await daemon.stop();
          },
        },
        {
          title: "Unsplit: the same program on the guest's virtio-blk disk",
          task: async (_, task) => {
            const mode = { name: 'unsplit', address: 'local:/data/demo', device: 'data' } as const;
            const onProgress = showProgress(task);
            this.#rows.push(...(await measure(guest(), mode, PHASES, this.#scale, onProgress, signal)));
          },
        },
        {
          title: 'MariaDB in the guest: order entry on ENGINE=VAMOS, then on InnoDB',
          skip: () => this.#engine === undefined && ENGINE_LEFT_OUT,
          task: async (_, task) => {
            signal.throwIfAborted();
            const onProgress = showProgress(task);
            onProgress('starting the host daemon and MariaDB');
            await this.#startDaemon(MARIADB_CHANNEL);
            const server = await GuestMariadb.start(guest(), this.#mariadbPort, { args: TUNED_INNODB });
            try {
              const found = await measureOrderEntry(guest(), server, this.#scale, onProgress, signal);
              this.#orderEntry.push(...found.rows);
              this.#violations = found.violations;
            } finally {
              server.disconnect();
            }
          },
        },
      ],
      {
        registerSignalListeners: false,
        fallbackRenderer: 'simple',
        rendererOptions: { collapseSubtasks: false },
      },
    );
    await tasks.run();
    return {
      machine: `${os.cpus()[0]?.model ?? os.arch()}, ${os.availableParallelism()} CPUs, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}`,
      accelerator: guest().accelerator,
      versions: {
        vamos: await packageVersion(),
        node: process.versions.node,
        qemu: await qemuVersion(),
        guestKernel: this.#image?.kernelVersion ?? '',
      },
      rows: [...this.#rows, ...this.#orderEntry],
    };
  }

  async #boot(onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    await this.#makeDirectory();
    const payload = await buildPayload({ store: true, signal });
    this.#mariadbPort = await freePort();
    this.#vm = await startVm({
      image: this.#image!,
      payload,
      dataDisk: { path: path.join(this.#directory, 'data.img'), sizeMiB: DATA_DISK_MIB, fresh: true },
      channels: [CHANNEL, MARIADB_CHANNEL].map((name) => ({ name, socketPath: this.#socket(name) })),
      forwardPorts: [{ host: this.#mariadbPort, guest: MARIADB_PORT }],
      accelerator: this.#options.accelerator,
      onProgress,
    });
  }

  #socket(channel: string): string {
    return path.join(this.#directory, `${channel}.sock`);
  }

  async #startDaemon(channel: string): Promise<HostDaemon> {
    const root = path.join(this.#directory, `${channel}.root`);
    const control = path.join(this.#directory, `${channel}.control`);
    const daemon = new HostDaemon(root, `virtio-serial:${this.#socket(channel)}`, control);
    this.#daemons.push(daemon);
    await daemon.start();
    return daemon;
  }

  /** Makes the folder on a real disk: a sync to memory would cost nothing. */
  async #makeDirectory(): Promise<void> {
    for (const folder of [os.tmpdir(), '/var/tmp']) {
      this.#isOnRealDisk = !MEMORY_FILE_SYSTEMS.has((await statfs(folder)).type);
      if (this.#isOnRealDisk || folder === '/var/tmp') {
        this.#directory = await mkdtemp(path.join(folder, 'vamos-demo-'));
        return;
      }
    }
  }

  /** Prints the report. @returns the exit status */
  print(report: Report): number {
    const { machine, accelerator, versions } = report;
    const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
    const orderEntry = this.#orderEntry;
    const hasEngine = this.#engine !== undefined;
    for (const table of [
      renderTransitions(this.#rows),
      renderTraffic(this.#rows),
      ...(hasEngine ? [renderOrderEntry(orderEntry), renderOrderEntryTraffic(orderEntry)] : []),
    ]) {
      console.log(`\n${table}`);
    }
    console.log();
    console.log(`${machine}; guest under ${accelerator.toUpperCase()}; ${names.join(', ')}`);
    console.log(NOTES);
    if (hasEngine) this.#explainOrderEntry();
    if (!this.#isOnRealDisk) console.log('The data stood in memory (tmpfs): syncs cost nothing here.');
    const found = differences(this.#rows);
    if (found.length === 0) console.log('Split and unsplit gave the same results, byte for byte.');
    else console.error(`Split and unsplit differ:\n  ${found.join('\n  ')}`);
    if (!hasEngine) console.log(`Order entry was left out: ${ENGINE_LEFT_OUT}`);
    else if (this.#violations.length === 0)
      console.log('All consistency conditions of TPC-C hold on both engines.');
    else console.error(`Consistency conditions are broken:\n  ${this.#violations.join('\n  ')}`);
    return found.length + this.#violations.length === 0 ? 0 : 1;
  }

  #explainOrderEntry(): void {
    const { warehouses, districts, customers, items } = SCALES[this.#scale];
    console.log(
      `Order entry: nine tables in the style of TPC-C, scaled down to ${warehouses} warehouse(s), ${districts} districts each, ` +
        `${customers} customers a district, ${items} items; ${TERMINALS} connections of mysql2 through a forwarded port.\n` +
        `${ORDER_ENTRY_NOTES}`,
    );
  }

  async cleanUp(): Promise<void> {
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()));
    // Its disk is removed too, so nothing need be written.
    await this.#vm?.kill();
    if (this.#directory !== '') await rm(this.#directory, { recursive: true, force: true });
  }
}

const ENGINE_LEFT_OUT =
  'this machine has no package of the storage engine; `npm run package:mariadb` says why.';

const NOTES = `A kick is a virtqueue notification from guest to host, an interrupt the one back; per stmt: both, a
statement; the last column: unsplit's transitions divided by split's.
Split counts the channel's virtio-serial device, bytes are those on the channel. Unsplit counts the virtio-blk data disk
(ext4, cache=none), bytes are those written to and read from it. Every commit is synced: to the host's disk (split), to
the virtio-blk disk (unsplit). Cold: the guest's page cache is dropped and the store just opened, so that its block cache
is empty (split: in a new worker, which the host's own page cache may help; that costs no transitions either way).`;

const ORDER_ENTRY_NOTES = `VAMOS and InnoDB both count channel and data disk together. InnoDB's pool of 128 MB holds all its tables, so that only
its commits cause transitions; VAMOS reads rows from the host each time. Made again: deadlocks and lock wait timeouts.`;

async function packageVersion(): Promise<string> {
  const text = await readFile(path.join(packageRoot, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
