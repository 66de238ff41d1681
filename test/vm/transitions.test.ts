import { afterAll, beforeAll, expect, test } from 'vitest';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, connectSocket, shell, type TestGuest } from './guest.js';

const ROUNDS = 200;

let guest: TestGuest;
/** The kernel's name of the data disk, such as virtio2. */
let dataDevice: string;
beforeAll(async () => {
  guest = await bootGuest();
  await shell(guest.vm, `dd if=/dev/zero of=/data/blocks bs=4096 count=${ROUNDS} conv=fsync; sync; sync`);
  // Asking a disk for its serial number is a request, too, so it comes before the counting.
  const find =
    'for b in /sys/block/vd*; do [ "$(cat $b/serial)" != data ] || basename $(readlink $b/device); done';
  dataDevice = (await shell(guest.vm, find)).trim();
}, BOOT_HOOK_TIMEOUT_MS);
afterAll(() => guest?.[Symbol.asyncDispose]());

/** Returns the interrupts that the guest's kernel has seen for the request queues of the data disk. */
async function guestInterrupts(): Promise<number> {
  let total = 0;
  for (const line of (await shell(guest.vm, 'cat /proc/interrupts')).split('\n')) {
    if (!line.includes(`${dataDevice}-req`)) continue;
    for (const field of line.split(/\s+/)) if (/^\d+$/.test(field)) total += Number(field);
  }
  return total;
}

test('direct reads of the data disk cost one kick and one interrupt each, as the guest counts them, too', async () => {
  const { counters } = guest.vm;
  await counters.start();
  const before = await guestInterrupts();
  await shell(guest.vm, `dd if=/data/blocks of=/dev/null iflag=direct bs=4096 count=${ROUNDS}`);
  const seenByGuest = (await guestInterrupts()) - before;
  const counts = await counters.stop();
  expect(counts.byDevice.data).toEqual({ kicks: ROUNDS, interrupts: ROUNDS });
  expect(seenByGuest).toBe(ROUNDS);
  expect(counts.byDevice.channel).toEqual({ kicks: 0, interrupts: 0 });
  expect(counts.dataDisk).toMatchObject({ reads: ROUNDS, bytesRead: ROUNDS * 4096, writes: 0, flushes: 0 });
});

test('round trips over a channel cost one kick each, and the data disk nothing', async () => {
  const { counters } = guest.vm;
  const socket = await connectSocket(guest.socketPath);
  socket.on('data', (chunk) => socket.write(chunk));
  const script = `
    const fs = require('node:fs');
    const port = fs.openSync('/dev/virtio-ports/${guest.portName}', 'r+');
    const buffer = Buffer.alloc(64);
    const rounds = (count) => {
      for (let i = 0; i < count; i++) {
        fs.writeSync(port, buffer);
        for (let bytes = 0; bytes < 64; ) bytes += fs.readSync(port, buffer, bytes, 64 - bytes);
      }
    };
    rounds(5);
    process.stdout.write('ready');
    process.stdin.once('data', () => { rounds(${ROUNDS}); process.stdout.write('done'); })
      .once('end', () => process.exit());`;
  const command = guest.vm.spawn(['node', '-e', script]);
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      command.stdout.on('data', (chunk: Buffer) => chunk.toString().includes(text) && resolve());
      command.exited.then(({ code }) => reject(new Error(`ended with ${code}`)), reject);
    });
  await says('ready');
  const done = says('done');
  await counters.start();
  command.stdin.write('go');
  await done;
  const counts = await counters.stop();
  command.stdin.end();
  expect((await command.exited).code).toBe(0);
  socket.destroy();
  // A kick gives the host a request, and sometimes a buffer for replies back to it.
  expect(counts.byDevice.channel.kicks).toBeGreaterThanOrEqual(ROUNDS);
  expect(counts.byDevice.channel.kicks).toBeLessThanOrEqual(ROUNDS * 1.1);
  expect(counts.byDevice.channel.interrupts).toBeGreaterThanOrEqual(ROUNDS);
  expect(counts.byDevice.channel.interrupts).toBeLessThanOrEqual(ROUNDS * 2.1);
  expect(counts.byDevice.data).toEqual({ kicks: 0, interrupts: 0 });
});

test('a phase in which nothing happens counts nothing', async () => {
  await guest.vm.counters.start();
  const counts = await guest.vm.counters.stop();
  expect(counts).toMatchObject({ kicks: 0, interrupts: 0 });
  expect(Object.values(counts.dataDisk)).toEqual([0, 0, 0, 0, 0]);
});

test('the traffic of commands and of the system disk is not counted', async () => {
  await guest.vm.counters.start();
  const output = await shell(
    guest.vm,
    'echo 3 > /proc/sys/vm/drop_caches; head -c 1000000 /usr/local/bin/node | base64',
  );
  const counts = await guest.vm.counters.stop();
  expect(output.length).toBeGreaterThan(1_300_000);
  expect(counts).toMatchObject({ kicks: 0, interrupts: 0 });
});

test('phases do not nest', async () => {
  await expect(guest.vm.counters.stop()).rejects.toMatchObject({ code: 'BAD_OPTION' });
  await guest.vm.counters.start();
  await expect(guest.vm.counters.start()).rejects.toMatchObject({ code: 'BAD_OPTION' });
  await guest.vm.counters.stop();
});
