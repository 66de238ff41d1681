import type { Socket } from 'node:net';
import { connect, type Vamos } from '../../entry/guest.js';
import type { VmOptions } from '../../host/vm/index.js';
import { Folder } from '../../lab/daemon/daemon.js';
import { Host } from '../../lab/mariadb/host.js';
import { bootGuest, connectSocket, type TestGuest } from './guest.js';
import { Snapshots } from './snapshots.js';
import { WRITERS, parseReport, type Report } from './writers.js';

const SNAPSHOT = 'before';
/** What a commit may end with whose session was lost; all else is a fault. */
const OUTCOMES = ['done', 'SESSION_LOST', 'OUTCOME_UNKNOWN'];

/** What the writers in the guest report. It outlives a rollback of their memory. */
class Reports {
  readonly all: Report[] = [];
  #rest = '';
  /** The highest turn of each writer so far. */
  readonly #highest = new Array<number>(WRITERS).fill(0);
  #isNewLife = new Array<boolean>(WRITERS).fill(true);
  /** How many commits of a later life than `newLife` asked for each writer has made. */
  #done = new Array<number>(WRITERS).fill(0);
  #onReport: () => void = () => undefined;
  #failure: Error | undefined;

  read(socket: Socket): void {
    // The former machine left this unfinished.
    this.#rest = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    });
  }

  /** Waits until every writer has reported this many more commits. */
  async goOn(commits: number): Promise<void> {
    this.#done.fill(0);
    while (this.#done.some((count) => count < commits)) {
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => (this.#onReport = resolve));
    }
  }

  /** From here on only commits of writers that have gone back to an earlier turn count. */
  expectNewLife(): void {
    this.#isNewLife.fill(false);
  }

  /** Fails the wait: no more reports will come. */
  fail(error: Error): void {
    this.#failure = error;
    this.#onReport();
  }

  #take(line: string): void {
    const report = parseReport(line);
    if (!report) return;
    const { writer, turn, outcome } = report;
    this.all.push(report);
    if (turn <= this.#highest[writer]!) this.#isNewLife[writer] = true;
    this.#highest[writer] = turn;
    if (this.#isNewLife[writer] && outcome === 'done') this.#done[writer]!++;
    this.#onReport();
  }
}

/** The work of the writers in the guest. */
export interface Work {
  /** Options of the guest. */
  machine: Partial<VmOptions>;
  /** The writers' program, in the folder of this file. */
  program: string;
  /** Its arguments behind the port's name. */
  programArguments?: string[];
  /** The name of the table of notes. */
  notes: string;
  tallies: string;
  /** Makes the tables, or starts what makes them. */
  prepare: (guest: TestGuest, vamos: Vamos) => Promise<void>;
}

/** A guest under load whose memory is put back to a snapshot, again and again, while its host stays as it is. */
export class Rollback implements AsyncDisposable {
  readonly reports = new Reports();
  /** What the writers wrote to their standard error. */
  said = '';
  readonly #work: Work;
  readonly #folder = new Folder();
  readonly #host: Host;
  readonly #readerAddress = `unix:${this.#folder.file('reader.sock')}`;
  readonly #guests: TestGuest[] = [];

  constructor(work: Work) {
    this.#work = work;
    const channels = [`virtio-serial:${this.#folder.file('port.sock')}`, this.#readerAddress];
    this.#host = new Host(this.#folder, {}, undefined, channels);
  }

  /**
   * Runs it all.
   * @returns what is wrong, one line each
   */
  async run(): Promise<string[]> {
    await this.#host.start();
    const first = await this.#bootWriters();
    const file = this.#folder.file('snapshots.qcow2');
    const snapshots = await Snapshots.create(first.vm.qmp, file);
    await snapshots.save(SNAPSHOT);
    // After a few commits the last ones have the numbers that the first ones of the next life take.
    for (const commits of [1, 2, 3, 20]) {
      await this.reports.goOn(commits);
      this.reports.expectNewLife();
      await snapshots.load(SNAPSHOT);
    }
    await this.reports.goOn(20);
    await first.vm.kill();

    const second = await this.#boot();
    this.reports.expectNewLife();
    await (await Snapshots.open(second.vm.qmp, file)).load(SNAPSHOT);
    await this.reports.goOn(20);
    // The machine is killed in the middle of its work.
    await second.vm.kill();
    return this.#audit();
  }

  async #boot(): Promise<TestGuest> {
    const names = { 'vamos.0': 'port.sock', reports: 'reports.sock' };
    const guest = await bootGuest({
      ...this.#work.machine,
      channels: Object.entries(names).map(([name, file]) => ({ name, socketPath: this.#folder.file(file) })),
    });
    this.#guests.push(guest);
    this.reports.read(await connectSocket(this.#folder.file('reports.sock')));
    return guest;
  }

  /** Boots a guest with its writers at work. */
  async #bootWriters(): Promise<TestGuest> {
    const guest = await this.#boot();
    {
      await using vamos = await connect(this.#readerAddress);
      await this.#work.prepare(guest, vamos);
    }
    const { program, programArguments = [] } = this.#work;
    const path = `/opt/vamos/dist/test/vm/${program}`;
    const writers = guest.vm.spawn(['node', path, 'reports', ...programArguments]);
    writers.stdout.resume();
    writers.stderr.setEncoding('utf8').on('data', (text: string) => (this.said += text));
    // They run until their machine ends, which is an error that does not matter.
    const hasEnded = () => {
      this.reports.fail(new Error(`the writers ended: ${this.said}`));
    };
    writers.exited.then(hasEnded, () => undefined);
    await this.reports.goOn(10);
    return guest;
  }

  /** Compares what the writers were told with what the host has. */
  async #audit(): Promise<string[]> {
    while ((await this.#host.running()) > 0) await new Promise(setImmediate);
    await using vamos = await connect(this.#readerAddress);
    const read = async (table: string) => (await vamos.tables.open(table)).rndScan().all();
    const rows = await read(this.#work.notes);
    const ids = new Map<string, number>();
    const faults: string[] = [];
    for (const row of rows) {
      const tag = String(row['tag']);
      if (ids.has(tag)) faults.push(`a commit was made twice: ${JSON.stringify(row)}`);
      ids.set(tag, Number(row['id']));
    }
    for (const { tag, id, outcome, ...rest } of this.reports.all) {
      const what = `${JSON.stringify({ tag, id, outcome, ...rest })}`;
      if (!OUTCOMES.includes(outcome)) faults.push(`a commit failed in no way that is expected: ${what}`);
      if (outcome === 'done' && ids.get(tag) !== id)
        faults.push(`a commit was acknowledged and is lost: ${what}`);
      if (outcome === 'SESSION_LOST' && ids.has(tag))
        faults.push(`a commit was refused and is there: ${what}`);
    }
    for (const tally of await read(this.#work.tallies)) {
      const writer = Number(tally['writer']);
      const counted = writer % 2 === 0 ? 0 : rows.filter((row) => Number(row['writer']) === writer).length;
      if (Number(tally['counted']) !== counted)
        faults.push(`writer ${writer} has ${counted} rows, counted ${Number(tally['counted'])}`);
    }
    return faults;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const guest of this.#guests) await guest[Symbol.asyncDispose]();
    await this.#host[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
