import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect, type Vamos } from '../../entry/guest.js';
import { connectImpatient, Daemon, Folder, isAlive, until } from '../../lab/daemon/daemon.js';
import { notes } from './rows.js';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  writeFileSync(
    folder.file('host.yaml'),
    `restart: {firstMs: 50, longestMs: 400, healthyMs: 60000}
guests:
  first: {root: first, channels: ["${address('first')}"]}
  second: {root: second, channels: ["${address('second')}"]}
`,
  );
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const address = (name: string) => `unix:${folder.file(`${name}.sock`)}`;
const startTwo = () => Daemon.start(folder, ['--config', folder.file('host.yaml')]);

/** Writes and reads rows one after another until told to stop; fails at the first failure. */
async function steadily(connector: Vamos) {
  const table = await connector.tables.create(notes);
  let isOver = false;
  let rows = 0;
  const loop = (async () => {
    while (!isOver) {
      await table.writeRow({ id: rows, group: 0, text: 'x' });
      expect(await table.get(rows)).toEqual({ id: rows, group: 0, text: 'x' });
      rows += 1;
    }
  })();
  loop.catch(() => undefined);
  return {
    /** Resolves when this many more rows were written; rejects with the first failure. */
    more: async (count: number) => {
      const target = rows + count;
      await Promise.race([loop, until(() => rows >= target)]);
    },
    stop: async () => {
      isOver = true;
      await loop;
      return { rows, written: await table.count() };
    },
  };
}

test("SIGKILL of a worker: the other guest's requests go on without a failure, and the worker comes back", async () => {
  await using daemon = await startTwo();
  const before = await daemon.serving('first');
  const other = await daemon.serving('second');
  await using connector = await connect(address('first'));
  await connector.tables.create(notes);
  await using undisturbed = await connect(address('second'));
  const load = await steadily(undisturbed);
  await load.more(20);

  process.kill(before.pid, 'SIGKILL');
  const after = await until(async () => {
    const guest = await daemon.serving('first');
    return guest.pid !== before.pid && guest;
  });
  expect(after, daemon.stderr).toMatchObject({ restarts: 1, lastExit: { reason: 'signal SIGKILL' } });
  // The connector finds the new worker by itself.
  expect(await connector.tables.list().catch(() => connector.tables.list())).toEqual(['notes']);

  await load.more(20);
  const { rows, written } = await load.stop();
  expect(written).toBe(rows);
  expect(undisturbed.counters.reconnects).toBe(0);
  expect(await daemon.serving('second')).toMatchObject({ pid: other.pid, restarts: 0 });
});

test('a worker that keeps ending is started again less and less often', async () => {
  await using daemon = await startTwo();
  let last = await daemon.serving('first');
  for (let round = 0; round < 4; round += 1) {
    process.kill(last.pid, 'SIGKILL');
    const killed = last.pid;
    last = await until(async () => {
      const guest = await daemon.serving('first');
      return guest.pid !== killed && guest;
    });
  }
  expect(last.restarts).toBe(4);
  const delays = daemon.log
    .filter(({ guest, inMs }) => guest === 'first' && inMs !== undefined)
    .map(({ inMs }) => inMs as number);
  // The delays are 50, 100, 200, 400 ms, each shortened by up to half at random.
  for (const [index, inMs] of delays.entries()) {
    expect(inMs).toBeGreaterThanOrEqual(25 * 2 ** index);
    expect(inMs).toBeLessThanOrEqual(50 * 2 ** index);
  }
  expect(delays).toHaveLength(4);
});

test("garbage on a guest's channel ends that channel alone: its other connectors and guests don't notice", async () => {
  await using daemon = await startTwo();
  const workers = [await daemon.serving('first'), await daemon.serving('second')];
  await using neighbour = await connect(address('first'));
  await using undisturbed = await connect(address('second'));
  const loads = [await steadily(neighbour), await steadily(undisturbed)];

  const attack = (bytes: Buffer) =>
    new Promise<void>((resolve) => {
      const socket = net.connect(folder.file('first.sock'), () => socket.write(bytes));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      // The beginning of a frame stalls, and then the attacker goes.
      setTimeout(() => socket.destroy(), 500);
    });
  const attacks = [
    Buffer.alloc(1 << 20),
    Buffer.alloc(1 << 20, 0xff),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.from('VAMOS'),
    ...Array.from({ length: 30 }, (_, index) => randomBytes(1 << (index % 18))),
  ];
  await Promise.all(attacks.map(attack));
  for (const load of loads) {
    await load.more(10);
    const { rows, written } = await load.stop();
    expect(written).toBe(rows);
  }
  expect([neighbour.counters.reconnects, undisturbed.counters.reconnects]).toEqual([0, 0]);
  for (const { name, pid } of workers) expect(await daemon.serving(name)).toMatchObject({ pid, restarts: 0 });
  expect((await daemon.reporting('first')).report.server.sessions).toHaveLength(1);
});

test('when the supervisor is killed, its workers end, and a new daemon serves the same roots', async () => {
  const daemon = await startTwo();
  const pids = [(await daemon.serving('first')).pid, (await daemon.serving('second')).pid];
  daemon.process.kill('SIGKILL');
  await daemon.exited;
  await using again = await startTwo();
  await again.serving('first');
  await again.serving('second');
  await until(() => !pids.some(isAlive));
});

test('a worker that uses more memory than its limit is killed, and says so', async () => {
  writeFileSync(
    folder.file('host.yaml'),
    `restart: {firstMs: 50}
guests:
  greedy: {root: first, channels: ["${address('first')}"], limits: {memoryBytes: 128MiB, maxTransactionBytes: 1GiB}}
`,
  );
  await using daemon = await startTwo();
  await using connector = await connectImpatient(address('first'), 1000);
  const table = await connector.tables.create(notes);
  const transaction = connector.tables.begin();
  const eater = (async () => {
    for (let id = 0; ; id += 1) {
      await transaction.table(table).writeRow({ id, group: 0, text: 'x'.repeat(500_000) });
    }
  })();
  await expect(eater).rejects.toMatchObject({ code: 'SESSION_LOST' });
  const greedy = await until(async () => {
    const guest = await daemon.guest('greedy');
    return guest.lastExit && guest;
  });
  expect(greedy.lastExit!.reason).toMatch(
    /^used \d{3}(\.\d)?MiB of memory, its limit is 128MiB \(signal SIGKILL\)$/,
  );
});
