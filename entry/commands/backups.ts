import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import type { CheckpointSummary } from '../../host/backup/checkpoint.js';
import type { Progress } from '../../host/backup/copier.js';
import type { RestoreSummary } from '../../host/backup/restore.js';
import { addControlOption, ask } from './host.js';

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
  const interrupted = new AbortController();
  const interrupt = async () => {
    const { VamosError } = await import('../../src/protocol/errors.js');
    interrupted.abort(new VamosError('CANCELLED', 'interrupted: nothing was restored'));
  };
  process.once('SIGINT', () => void interrupt());
  process.once('SIGTERM', () => void interrupt());
  try {
    return await restoreCheckpoint({
      from: path.resolve(from),
      root: path.resolve(root),
      ...(user !== undefined && { owner: resolveUser(user) }),
      link,
      ...(settle && { settle }),
      signal: interrupted.signal,
      onProgress: (progress) => line.show(progress),
    });
  } finally {
    line.clear();
  }
}

/** Through a checkpoint beside the new root, where there is none. */
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

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Math.round((bytes / 1024 ** unit) * 10) / 10} ${units[unit]}`;
}

/** On a terminal, the line that says how far it has come. */
class ProgressLine {
  #shownMs = 0;

  constructor(private readonly what: string) {}

  show({ phase, bytesDone, bytesTotal }: Progress): void {
    if (!process.stderr.isTTY || Date.now() - this.#shownMs < 200) return;
    this.#shownMs = Date.now();
    const of = bytesTotal === undefined ? '' : ` of ${size(bytesTotal)}`;
    process.stderr.write(`\r\x1b[K${this.what}: ${phase}, ${size(bytesDone)}${of}`);
  }

  clear(): void {
    if (this.#shownMs > 0) process.stderr.write('\r\x1b[K');
  }
}
