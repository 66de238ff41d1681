/** A worker on a disk whose syncs fail: it says so and ends, and the next one has every row that was acknowledged. */
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { makeConfiguration } from '../../host/daemon/configuration.js';
import type { FromWorker, ToWorker } from '../../host/daemon/messages.js';
import { packageRoot } from '../../src/native.js';
import { connectImpatient, Folder, until } from '../../lab/daemon/daemon.js';
import { notes } from './rows.js';

/**
 * A library that makes all syncs fail once a file exists: of the log, of a table, of the manifest, in any
 * thread.
 */
const FAILING_SYNCS = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int refused(void) { return access(getenv("FAIL_SYNCS"), F_OK) == 0; }
int fdatasync(int file) {
  if (refused()) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
int fsync(int file) {
  if (refused()) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}
`;

function startWorker(
  folder: Folder,
  environment: Record<string, string>,
): { worker: ChildProcess; output(): string } {
  const { guests } = makeConfiguration({
    guests: { guest: { root: folder.file('root'), channels: [`unix:${folder.file('c')}`] } },
  });
  const worker = fork(path.join(packageRoot, 'dist/host/daemon/worker.js'), ['guest'], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let output = '';
  worker.stderr!.setEncoding('utf8').on('data', (text: string) => (output += text));
  const start: ToWorker = {
    kind: 'start',
    name: 'guest',
    guest: guests.guest!,
    logLevel: 'info',
    stopMs: 5000,
  };
  worker.send(start);
  return { worker, output: () => output };
}

test(
  'a worker whose sync fails ends with exit code 74 and says why, and no acknowledged row is lost',
  { timeout: 120_000 },
  async () => {
    using folder = new Folder();
    writeFileSync(folder.file('failing_syncs.c'), FAILING_SYNCS);
    const library = folder.file('failing_syncs.so');
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, folder.file('failing_syncs.c'), '-ldl']);
    const failing = startWorker(folder, { LD_PRELOAD: library, FAIL_SYNCS: folder.file('now') });
    const told: FromWorker[] = [];
    failing.worker.on('message', (message) => told.push(message as FromWorker));
    const exited = once(failing.worker, 'exit') as Promise<[number | null, string | null]>;
    const address = `unix:${folder.file('c')}`;
    let acknowledged = 0;
    {
      await using connector = await connectImpatient(address, 500);
      const table = await connector.tables.create(notes);
      const write = () => table.writeRow({ id: acknowledged + 1, group: 0, text: 'a note' });
      for (; acknowledged < 20; acknowledged++) await write();
      writeFileSync(folder.file('now'), '');
      await expect(write()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      expect(await exited).toEqual([74, null]);
    }
    expect(told.find(({ kind }) => kind === 'failed')).toMatchObject({ code: 'STORAGE_FAILED' });
    expect(failing.output()).toContain('Input/output error; the disk may be failing');
    expect(failing.output()).not.toContain('Assertion');

    // While the disk fails, the root does not open.
    const refused = startWorker(folder, { LD_PRELOAD: library, FAIL_SYNCS: folder.file('now') });
    const [message] = (await once(refused.worker, 'message')) as [FromWorker];
    expect(message).toMatchObject({ kind: 'failed', code: 'STORAGE_FAILED' });
    await until(() => refused.worker.exitCode !== null);

    const next = startWorker(folder, {});
    try {
      await using connector = await until(() => connect(address).catch(() => undefined));
      const table = await connector.tables.open('notes');
      const { count } = await table.aggregate({});
      expect(count).toBeGreaterThanOrEqual(acknowledged);
      expect(count).toBeLessThanOrEqual(acknowledged + 1);
    } finally {
      const ended = once(next.worker, 'exit');
      next.worker.disconnect();
      await ended;
    }
  },
);
