import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Instructions } from '../../host/vm/index.js';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, shell, type TestGuest } from './guest.js';
import { COUNT_DOWN, tinyProgram } from './tiny_program.js';

const ROUNDS = 100_000_000;
/**
 * The most instructions that the guest executes beside the loop: it starts the program, reports its status,
 * and has timers.
 */
const OTHER_WORK = 60_000_000;
const CALLS = 200_000;
/** mov ebx, ecx: a system call keeps ebx only. */
const KEEP_COUNT = [0x89, 0xcb];
/** mov eax, 39 (getpid); syscall; dec ebx */
const CALL = [0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xff, 0xcb];

let guest: TestGuest;
beforeAll(async () => {
  guest = await bootGuest({ countInstructions: 'by-address', accelerator: 'tcg' });
  await install('spin', tinyProgram(ROUNDS, COUNT_DOWN));
  await install('call', tinyProgram(CALLS, CALL, KEEP_COUNT));
}, BOOT_HOOK_TIMEOUT_MS);
afterAll(() => guest?.[Symbol.asyncDispose]());

async function install(name: string, bytes: Buffer): Promise<void> {
  const { code } = await guest.vm.exec(['sh', '-ec', `cat > /tmp/${name}; chmod +x /tmp/${name}`], {
    stdin: bytes,
  });
  expect(code).toBe(0);
}

async function countedIn(script: string): Promise<Instructions> {
  const counters = guest.vm.instructions!;
  await counters.start();
  await shell(guest.vm, script);
  return counters.stop();
}

test('a loop of known length in the guest is counted as the instructions that it has', async () => {
  const { user } = await countedIn('/tmp/spin');
  expect(user).toBeGreaterThanOrEqual(2 * ROUNDS);
  expect(user).toBeLessThan(2 * ROUNDS + OTHER_WORK);
});

test('a profile tells at which address the loop is', async () => {
  await countedIn('/tmp/spin');
  const [[address, instructions]] = [...guest.vm.instructions!.byAddress].sort(
    (one, other) => other[1] - one[1],
  ) as [[bigint, number]];
  // The loop begins behind the headers and the first instruction.
  expect(address).toBe(0x400000n + 120n + 5n);
  expect(instructions).toBeGreaterThan(1.99 * ROUNDS);
  expect(instructions).toBeLessThanOrEqual(2 * ROUNDS);
});

test('simultaneous loops on two processors lose nothing', async () => {
  const { user } = await countedIn('/tmp/spin & /tmp/spin & wait');
  expect(user).toBeGreaterThanOrEqual(4 * ROUNDS);
  expect(user).toBeLessThan(4 * ROUNDS + OTHER_WORK);
});

test("system calls are the kernel's instructions", async () => {
  const nothing = await countedIn(':');
  const { kernel, user } = await countedIn('/tmp/call');
  expect(kernel - nothing.kernel).toBeGreaterThan(30 * CALLS);
  expect(user - nothing.user).toBeLessThan(30 * CALLS);
});

test('a phase in which nothing runs counts next to nothing, and phases do not nest', async () => {
  const counters = guest.vm.instructions!;
  await expect(counters.stop()).rejects.toMatchObject({ code: 'BAD_OPTION' });
  await counters.start();
  await expect(counters.start()).rejects.toMatchObject({ code: 'BAD_OPTION' });
  const { kernel, user } = await counters.stop();
  expect(kernel + user).toBeLessThan(OTHER_WORK);
});
