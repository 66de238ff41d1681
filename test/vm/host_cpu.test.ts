import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HostCpuMeter } from '../../host/vm/index.js';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, type TestGuest } from './guest.js';
import { COUNT_DOWN, tinyProgram } from './tiny_program.js';

/** The most that two readings may differ, with their rounding to ticks. */
const TOLERANCE_MS = 50;
const BUSY_MS = 300;

let guest: TestGuest;
beforeAll(async () => {
  guest = await bootGuest({ accelerator: 'tcg' });
}, BOOT_HOOK_TIMEOUT_MS);
afterAll(() => guest?.[Symbol.asyncDispose]());

/** A program that burns CPU time in a thread, which has ended when the program is done. */
const BURN = `
  const start = process.cpuUsage().user;
  while (process.cpuUsage().user - start < ${BUSY_MS} * 1000);`;

test("a loop in the guest is its processors' time, not its devices'", async () => {
  const script = 'cat > /tmp/spin; chmod +x /tmp/spin; exec /tmp/spin';
  const meter = new HostCpuMeter(guest.vm);
  await meter.start();
  const stdin = tinyProgram(300_000_000, COUNT_DOWN);
  expect((await guest.vm.exec(['sh', '-ec', script], { stdin })).code).toBe(0);
  const { vcpu, devices, worker } = await meter.stop();
  expect(vcpu).toBeGreaterThan(3 * devices);
  expect(devices).toBeGreaterThan(0);
  expect(worker).toBe(0);
});

test("the worker's time is that of all its threads, those that ended meanwhile, too", async () => {
  const meter = new HostCpuMeter(guest.vm, process.pid);
  const since = (start: NodeJS.CpuUsage) => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
  const beforeStart = process.cpuUsage();
  await meter.start();
  const afterStart = process.cpuUsage();
  await once(new Worker(BURN, { eval: true }), 'exit');
  const least = since(afterStart);
  const { worker } = await meter.stop();
  const most = since(beforeStart);
  expect(worker).toBeGreaterThan(BUSY_MS - TOLERANCE_MS);
  expect(worker).toBeGreaterThan(least - TOLERANCE_MS);
  expect(worker).toBeLessThan(most + TOLERANCE_MS);
});

test('a process that is not there, and phases that nest, are refused', async () => {
  const noProcess = new HostCpuMeter(guest.vm, 0x7fffffff);
  await expect(noProcess.start()).rejects.toMatchObject({ code: 'VM_GONE' });
  const meter = new HostCpuMeter(guest.vm);
  await expect(meter.stop()).rejects.toMatchObject({ code: 'BAD_OPTION' });
  await meter.start();
  await expect(meter.start()).rejects.toMatchObject({ code: 'BAD_OPTION' });
});
