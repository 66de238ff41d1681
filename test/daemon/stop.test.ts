import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { connectImpatient, Daemon, Folder, isAlive, until } from '../../lab/daemon/daemon.js';
import { notes } from './rows.js';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const address = () => `unix:${folder.file('c')}`;
const COMMIT: number = vamos.tables.Method.COMMIT;
const args = () => ['--root', folder.file('root'), '--channel', address()];

test('SIGTERM under load: what runs is answered, every acknowledged row is kept, all processes end', async () => {
  const acknowledged = new Set<number>();
  {
    await using daemon = await Daemon.start(folder, args());
    const { pid } = await daemon.serving('guest');
    await using connector = await connectImpatient(address(), 500);
    await connector.tables.create(notes);
    const codes = new Set<string>();
    let next = 0;
    const streams = Array.from({ length: 8 }, async () => {
      const stream = connector.stream();
      const own = await stream.tables.open(notes);
      for (;;) {
        const id = next++;
        try {
          await own.writeRow({ id, group: 0, text: 'x'.repeat(100) });
          acknowledged.add(id);
        } catch (error) {
          codes.add((error as { code: string }).code);
          return;
        }
      }
    });
    await until(() => acknowledged.size > 200);
    daemon.process.kill('SIGTERM');
    await Promise.all(streams);
    expect(await daemon.exited).toEqual({ code: 0, signal: null });
    expect(isAlive(pid)).toBe(false);
    for (const code of codes) {
      expect(['HOST_STOPPING', 'OUTCOME_UNKNOWN', 'SESSION_LOST', 'CHANNEL_ABSENT', 'NO_WELCOME']).toContain(
        code,
      );
    }
    expect(daemon.log.map(({ msg }) => msg)).toContain('guest: stopped');
    expect(daemon.log.filter(({ level }) => (level as number) >= 50)).toEqual([]);
  }
  await using _daemon = await Daemon.start(folder, args());
  await using connector = await connect(address());
  const table = await connector.tables.open(notes);
  const rows = await table.getMany([...acknowledged]);
  expect(rows.filter((row) => row === undefined)).toEqual([]);
});

test('a long commit that runs when SIGTERM comes is done and answered before the worker ends', async () => {
  {
    await using daemon = await Daemon.start(folder, args());
    await using connector = await connectImpatient(address(), 500);
    const table = await connector.tables.create(notes);
    const transaction = connector.tables.begin();
    const text = 'x'.repeat(10_000);
    for (let id = 0; id < 3000; id += 500) {
      const rows = Array.from({ length: 500 }, (_, index) => ({ id: id + index, group: 0, text }));
      await transaction.table(table).writeRows(rows);
    }
    const committing = transaction.commit();
    committing.catch(() => undefined);
    await until(async () => {
      const server = (await daemon.guest('guest')).report?.server;
      return server?.methods.some(({ method }) => method === COMMIT) || server?.sessions[0]?.running;
    });
    daemon.process.kill('SIGTERM');
    await committing;
    expect(await daemon.exited).toEqual({ code: 0, signal: null });
  }
  await using _daemon = await Daemon.start(folder, args());
  await using connector = await connect(address());
  expect(await (await connector.tables.open(notes)).count()).toBe(3000);
});

test('a stop does not wait for a request that waits for a lock', async () => {
  await using daemon = await Daemon.start(folder, args());
  await using connector = await connectImpatient(address(), 500);
  const table = await connector.tables.create(notes);
  await table.writeRow({ id: 1, group: 0, text: 'a' });
  const holder = connector.tables.begin();
  await holder.table(table).get(1, { lock: 'exclusive' });
  const waiter = connector.tables.begin({ lockTimeoutMs: 600_000 });
  const waiting = waiter.table(table).get(1, { lock: 'exclusive' });
  waiting.catch(() => undefined);
  await until(async () => (await daemon.guest('guest')).report?.server.parked === 1);
  daemon.process.kill('SIGTERM');
  await expect(waiting).rejects.toMatchObject({ isRetryable: true });
  expect(await daemon.exited).toEqual({ code: 0, signal: null });
  expect(daemon.log.filter(({ level }) => (level as number) >= 50)).toEqual([]);
});

test('a worker that hangs is killed after the bound, and the daemon ends all the same', async () => {
  const { writeFileSync } = await import('node:fs');
  writeFileSync(
    folder.file('host.yaml'),
    `stopMs: 300\nguests:\n  guest: {root: root, channels: ["${address()}"]}\n`,
  );
  await using daemon = await Daemon.start(folder, ['--config', folder.file('host.yaml')]);
  const { pid } = await daemon.serving('guest');
  process.kill(pid, 'SIGSTOP');
  daemon.process.kill('SIGINT');
  expect(await daemon.exited).toEqual({ code: 0, signal: null });
  expect(isAlive(pid)).toBe(false);
  expect(daemon.stderr).toContain('did not stop within 300 ms');
});
