/** Guests under load whose memory is put back to a snapshot (QEMU's savevm and loadvm), while their host stays as it is. */
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { Folder } from '../daemon/daemon.js';
import { Host } from '../mariadb/host.js';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, connectSocket, type TestGuest } from './guest.js';
import { Snapshots } from './snapshots.js';
import { NOTES, TALLIES, WRITERS, parseReport, type Report } from './writers.js';

const SNAPSHOT = 'before';
/** What a commit may end with whose session was lost; all else is a fault. */
const OUTCOMES = ['done', 'SESSION_LOST', 'OUTCOME_UNKNOWN'];

/** What the writers in the guest report, which lives on where their memory does not. */
class Reports {
  readonly all: Report[] = [];
  #rest = '';
  /** Of each writer: the highest turn so far, and how many commits of a later life than `newLife` asked for it has made. */
  readonly #highest = new Array<number>(WRITERS).fill(0);
  #isNewLife = new Array<boolean>(WRITERS).fill(true);
  #done = new Array<number>(WRITERS).fill(0);
  #onReport: () => void = () => undefined;
  #failure: Error | undefined;

  read(socket: Socket): void {
    // What the machine before left unfinished.
    this.#rest = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    });
  }

  /** Every writer is told of so many more commits. */
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

  /** No more will come. */
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

let folder: Folder;
let host: Host;
let guests: TestGuest[];
let reports: Reports;
const readerAddress = () => `unix:${folder.file('reader.sock')}`;

beforeEach(async () => {
  folder = new Folder();
  guests = [];
  reports = new Reports();
  const channels = [`virtio-serial:${folder.file('port.sock')}`, readerAddress()];
  host = new Host(folder, {}, undefined, channels);
  await host.start();
  await using vamos = await connect(readerAddress());
  await vamos.tables.create(NOTES);
  const tallies = await vamos.tables.create(TALLIES);
  for (let writer = 0; writer < WRITERS; writer++) await tallies.writeRow({ writer, rows: 0 });
});
afterEach(async () => {
  for (const guest of guests) await guest[Symbol.asyncDispose]();
  await host[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

async function boot(): Promise<TestGuest> {
  const names = { 'vamos.0': 'port.sock', reports: 'reports.sock' };
  const guest = await bootGuest({
    memoryMiB: 384,
    channels: Object.entries(names).map(([name, file]) => ({ name, socketPath: folder.file(file) })),
  });
  guests.push(guest);
  reports.read(await connectSocket(folder.file('reports.sock')));
  return guest;
}

/** A guest with its writers at work. */
async function bootWriters(): Promise<TestGuest> {
  const guest = await boot();
  const writers = guest.vm.spawn(['node', '/opt/vamos/dist/test/vm/writers-main.js', 'reports']);
  writers.stdout.resume();
  let said = '';
  writers.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  // They run until their machine ends, which is an error that nobody minds.
  const hasEnded = () => {
    reports.fail(new Error(`the writers ended: ${said}`));
  };
  writers.exited.then(hasEnded, () => undefined);
  await reports.goOn(10);
  return guest;
}

/** Ends the guest in the middle of its work, and compares what its writers were told with what the host has. */
async function audit(guest: TestGuest): Promise<void> {
  await guest.vm.kill();
  while ((await host.running()) > 0) await new Promise(setImmediate);
  await using vamos = await connect(readerAddress());
  const rows = await (await vamos.tables.open(NOTES)).rndScan().all();
  const tallies = await (await vamos.tables.open(TALLIES)).rndScan().all();

  expect(
    [...new Set(reports.all.map(({ outcome }) => outcome))].filter((it) => !OUTCOMES.includes(it)),
  ).toEqual([]);
  const stored = new Map(rows.map(({ tag, id }) => [tag, id]));
  expect(rows.length).toBe(stored.size);
  const told = (outcome: string) => reports.all.filter((report) => report.outcome === outcome);
  expect(told('done').filter(({ tag, id }) => stored.get(tag) !== id)).toEqual([]);
  expect(told('SESSION_LOST').filter(({ tag }) => stored.has(tag))).toEqual([]);
  for (const { writer, rows: count } of tallies) {
    expect(writer % 2 === 0 ? 0 : rows.filter((row) => row.writer === writer).length).toBe(count);
  }
}

test(
  'a guest under load that is put back to a snapshot, by its own QEMU or by another one, loses and doubles no commit and goes on',
  { timeout: BOOT_HOOK_TIMEOUT_MS },
  async () => {
    const first = await bootWriters();
    const file = folder.file('snapshots.qcow2');
    const snapshots = await Snapshots.create(first.vm.qmp, file);
    await snapshots.save(SNAPSHOT);
    // After few commits the last ones have the numbers that the first ones of the next life take.
    for (const commits of [1, 2, 3, 20]) {
      await reports.goOn(commits);
      reports.expectNewLife();
      await snapshots.load(SNAPSHOT);
    }
    await reports.goOn(20);
    await first.vm.kill();

    const second = await boot();
    reports.expectNewLife();
    await (await Snapshots.open(second.vm.qmp, file)).load(SNAPSHOT);
    await reports.goOn(20);
    await audit(second);
  },
);
