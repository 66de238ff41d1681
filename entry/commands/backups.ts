import { rm } from 'node:fs/promises';
import path from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import type { CheckpointSummary } from '../../host/backup/checkpoint.js';
import type { Progress } from '../../host/backup/copier.js';
import type { RestoreSummary } from '../../host/backup/restore.js';
import type { FolderReport } from '../../host/backup/verify_folder.js';
import type { GuestVerification } from '../../host/daemon/supervisor.js';
import type { VerifyProgress } from '../../host/modules/tables/verify.js';
import { addControlOption, ask } from './control.js';

const CHECKPOINT_HELP = `
A checkpoint is a folder with the guest's tables as of one moment and its files; the guest goes on meanwhile. Every commit
that was acknowledged before the command began is in it. The folder is there when it is whole and on the disk, or not at all.

  $ mkdir -p /backup/web
  $ vamos host checkpoint web /backup/web/monday
  $ vamos host checkpoint web /backup/web/tuesday     shares with monday what did not change
  $ rm -r /backup/web/monday                          tuesday stays whole
  $ vamos host restore /backup/web/tuesday /srv/web-restored

On the root's own file system table files are hard links, which cost no room as long as the root has them, too. That helps
against mistakes, not against a broken disk: for that name a folder on another disk, where they are copied. The next
checkpoint beside it (or with --base) shares what did not change by hard links.

Files (of the module 'files') are copied one after another, after the moment of the tables: each as it was at some
moment while the command ran. Those that were written to while they were copied are named.`;

const RESTORE_HELP = `
Makes a new root of a checkpoint, and compares every file with its checksum on the way. A root that is there already is
never touched. Then serve it:

  $ vamos host restore /backup/web/tuesday /srv/web-restored
  $ vamos host remove web
  $ vamos host add web --root /srv/web-restored --channel virtio-serial:/run/web.sock

Transactions that were prepared at that moment (XA, the binary log) are prepared again: the server or its operator ends them.`;

const CLONE_HELP = `
Makes a root for another guest, of a guest that serves or of a checkpoint (a path, with a slash in it). Table files are
shared with it by hard links where that is possible: nothing ever changes them. Transactions that are prepared are rolled
back in the clone, as their coordinator belongs to the original.

  $ vamos host clone web /srv/web-test
  $ vamos host clone /backup/web/tuesday /srv/web-test
  $ vamos host add web-test --root /srv/web-test --channel virtio-serial:/run/web-test.sock`;

const VERIFY_HELP = `
Reads everything: the checksums of files and blocks, each row, each entry of each index against its row and each row against
its entries, blobs with their chunks, the catalogue. Nothing is changed.

  $ vamos host verify web                      a guest that serves, while it goes on
  $ vamos host verify /backup/web/tuesday      a checkpoint (a path, with a slash in it)
  $ vamos host verify ./root                   a root that nothing serves
  $ vamos host verify web --rate 20MiB --json

Exit status: 0 all is sound, 1 something is damaged, 2 it could not be verified.
The setting 'scrub' of a guest does the same in the background.`;

export function registerBackups(host: Command): void {
  addControlOption(host.command('checkpoint <guest> <folder>'))
    .description('copy a guest that serves into a new folder, all of its tables as of one moment')
    .option(
      '--base <folder>',
      'share unchanged files with this checkpoint (default: the newest one beside it)',
    )
    .option('--copy', 'share no file with the root, also on its own file system')
    .option('--json', 'the result as JSON')
    .addHelpText('after', CHECKPOINT_HELP)
    .action(async (guest: string, folder: string, options: CheckpointOptions) => {
      const summary = await checkpoint(guest, path.resolve(folder), options);
      if (options.json) print(summary);
      else describeCheckpoint(summary);
    });

  addControlOption(host.command('verify <guest-or-folder>'))
    .description('read all of a guest that serves, of a root or of a checkpoint, and say what is damaged')
    .option('--rate <size>', 'bytes a second, for instance 20MiB (default: as fast as it goes)', bytesOf)
    .option('--json', 'the result as JSON')
    .addHelpText('after', VERIFY_HELP)
    .action(async (what: string, options: VerifyOptions) => {
      try {
        const report = await verify(what, options);
        if (options.json) print(report);
        else describeVerification(report);
        process.exitCode = report.isSound ? 0 : 1;
      } catch (error) {
        const { VamosError } = await import('../../src/protocol/errors.js');
        const { code, message } = VamosError.from(error);
        console.error(`vamos: ${code}: ${message}`);
        process.exitCode = 2;
      }
    });

  host
    .command('restore <checkpoint> <root>')
    .description('make a new root of a checkpoint')
    .option('--user <user>', "give the root to this user (default: the original root's; needs root)")
    .option('--json', 'the result as JSON')
    .addHelpText('after', RESTORE_HELP)
    .action(async (from: string, root: string, options: RestoreOptions) => {
      const summary = await restore(from, root, options, false);
      if (options.json) print(summary);
      else describeRestore(summary);
    });

  addControlOption(host.command('clone <guest-or-checkpoint> <root>'))
    .description('make a root for another guest')
    .option('--user <user>', "give the root to this user (default: the original root's; needs root)")
    .option('--keep-prepared', 'leave prepared transactions as they are')
    .option('--json', 'the result as JSON')
    .addHelpText('after', CLONE_HELP)
    .action(async (source: string, root: string, options: CloneOptions) => {
      const summary = await clone(source, path.resolve(root), options);
      if (options.json) print(summary);
      else {
        describeRestore(summary);
        if (summary.rolledBack) console.log(`vamos: ${summary.rolledBack} prepared transactions rolled back`);
      }
    });
}

interface VerifyOptions {
  control?: string;
  rate?: number;
  json?: boolean;
}

type Verification = FolderReport | GuestVerification;

interface CheckpointOptions {
  control?: string;
  base?: string;
  copy?: boolean;
  json?: boolean;
}

interface RestoreOptions {
  user?: string;
  json?: boolean;
}

interface CloneOptions extends RestoreOptions {
  control?: string;
  keepPrepared?: boolean;
}

async function verify(what: string, { control, rate }: VerifyOptions): Promise<Verification> {
  const line = new ProgressLine('verify');
  const show = ({ phase, table, bytesDone, findings }: VerifyProgress) => {
    const found = findings > 0 ? `, ${findings} faults` : '';
    line.show({ phase: table === undefined ? phase : `table ${table}`, bytesDone }, found);
  };
  try {
    if (!what.includes('/')) {
      const request = { command: 'verify', guest: what, ...(rate && { bytesPerSecond: rate }) } as const;
      return (await ask(control, request, (progress) =>
        show(progress as VerifyProgress),
      )) as GuestVerification;
    }
    const { verifyFolder } = await import('../../host/backup/verify_folder.js');
    const signal = await interruption('interrupted');
    return await verifyFolder(path.resolve(what), { bytesPerSecond: rate, signal, onProgress: show });
  } finally {
    line.clear();
  }
}

function describeVerification(report: Verification): void {
  const { totals, findings, findingCount, bytes, tookMs } = report;
  const name = report.what === 'guest' ? `guest ${report.guest}` : `${report.what} ${report.path}`;
  for (const { kind, table, index, text } of findings) {
    const where = [table, index].filter((part) => part !== undefined).join(', index ');
    console.log(`vamos: ${kind}${where ? ` (table ${where})` : ''}: ${text}`);
  }
  if (findingCount > findings.length) console.log(`vamos: ${findingCount - findings.length} faults more`);
  if (totals) {
    console.log(
      `vamos: ${report.tables} tables, ${totals.rows} rows, ${totals.entries} index entries, ${totals.blobs} blobs, ${totals.files} table files`,
    );
  }
  console.log(
    `vamos: ${name} is ${report.isSound ? 'sound' : `damaged: ${findingCount} faults`}; ${size(bytes)} read in ${(tookMs / 1000).toFixed(1)} s`,
  );
}

/** Returns a signal that Ctrl-C aborts. */
async function interruption(message: string): Promise<AbortSignal> {
  const { VamosError } = await import('../../src/protocol/errors.js');
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => interrupted.abort(new VamosError('CANCELLED', message)));
  }
  return interrupted.signal;
}

async function checkpoint(
  guest: string,
  target: string,
  { control, base, copy }: CheckpointOptions,
): Promise<CheckpointSummary> {
  const line = new ProgressLine('checkpoint');
  try {
    return (await ask(
      control,
      {
        command: 'checkpoint',
        guest,
        target,
        ...(base !== undefined && { base: path.resolve(base) }),
        ...(copy && { copy }),
      },
      (progress) => line.show(progress as Progress),
    )) as CheckpointSummary;
  } finally {
    line.clear();
  }
}

async function restore(
  from: string,
  root: string,
  { user }: RestoreOptions,
  link: boolean,
  settle?: (tables: string) => Promise<void>,
): Promise<RestoreSummary> {
  const { restoreCheckpoint } = await import('../../host/backup/restore.js');
  const { resolveUser } = await import('../../host/daemon/user.js');
  const line = new ProgressLine('restore');
  const signal = await interruption('interrupted: nothing was restored');
  try {
    return await restoreCheckpoint({
      from: path.resolve(from),
      root: path.resolve(root),
      ...(user !== undefined && { owner: resolveUser(user) }),
      link,
      ...(settle && { settle }),
      signal,
      onProgress: (progress) => line.show(progress),
    });
  } finally {
    line.clear();
  }
}

/**
 * Makes a root as a copy of another, through a checkpoint beside the new root unless a checkpoint is given.
 */
async function clone(
  source: string,
  root: string,
  options: CloneOptions,
): Promise<RestoreSummary & { rolledBack?: number }> {
  const { rollBackPrepared } = await import('../../host/backup/clone.js');
  let rolledBack: number | undefined;
  const settle = options.keepPrepared
    ? undefined
    : async (tables: string) => {
        rolledBack = await rollBackPrepared(tables);
      };
  const isGuest = !source.includes('/');
  const from = isGuest ? `${root}.checkpoint` : source;
  if (isGuest) await checkpoint(source, from, options);
  try {
    const summary = await restore(from, root, options, true, settle);
    return { ...summary, ...(rolledBack !== undefined && { rolledBack }) };
  } finally {
    if (isGuest) await rm(from, { recursive: true, force: true });
  }
}

function describeCheckpoint(summary: CheckpointSummary): void {
  const { path: folder, madeAt, files, bytes, linked, copied, base, changedWhileCopied, skipped } = summary;
  console.log(`vamos: checkpoint ${folder}, tables as of ${madeAt}`);
  console.log(
    `vamos: ${files} files, ${size(bytes)}; shared ${size(linked.bytes)}${base === undefined ? '' : ` (older checkpoint: ${base})`}, copied ${size(copied.bytes)}`,
  );
  for (const name of changedWhileCopied)
    console.log(`vamos: ${name} was written to while it was copied: it may hold some of several writes`);
  if (skipped > 0) console.log(`vamos: ${skipped} entries left out: neither files, directories nor links`);
}

function describeRestore({ root, guest, madeAt, files, bytes }: RestoreSummary): void {
  console.log(`vamos: root ${root}: ${files} files, ${size(bytes)}, of guest ${guest} as of ${madeAt}`);
}

function print(value: unknown): void {
  console.log(JSON.stringify(value, undefined, 2));
}

function bytesOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|)$/.exec(text);
  const bytes = match
    ? Number(match[1]) * 1024 ** Math.max(0, ['B', 'KiB', 'MiB', 'GiB'].indexOf(match[2]!))
    : 0;
  if (!(bytes >= 1)) throw new InvalidArgumentError('Expected a size, for instance 20MiB.');
  return bytes;
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Math.round((bytes / 1024 ** unit) * 10) / 10} ${units[unit]}`;
}

/** The line that shows the progress on a terminal. */
class ProgressLine {
  #shownMs = 0;

  constructor(private readonly what: string) {}

  show({ phase, bytesDone, bytesTotal }: Progress, more = ''): void {
    if (!process.stderr.isTTY || Date.now() - this.#shownMs < 200) return;
    this.#shownMs = Date.now();
    const of = bytesTotal === undefined ? '' : ` of ${size(bytesTotal)}`;
    process.stderr.write(`\r\x1b[K${this.what}: ${phase}, ${size(bytesDone)}${of}${more}`);
  }

  clear(): void {
    if (this.#shownMs > 0) process.stderr.write('\r\x1b[K');
  }
}
