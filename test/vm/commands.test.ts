import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, shell, type TestGuest } from './guest.js';

let guest: TestGuest;
beforeAll(async () => {
  guest = await bootGuest();
}, BOOT_HOOK_TIMEOUT_MS);
afterAll(() => guest?.[Symbol.asyncDispose]());

test('a command gives its status and both outputs', async () => {
  const result = await guest.vm.exec(['sh', '-c', 'echo out; echo err >&2; exit 3']);
  expect(result).toEqual({ code: 3, signal: null, stdout: 'out\n', stderr: 'err\n' });
});

test('arguments, environment and working directory reach the command as they are', async () => {
  const script = 'printf "%s|" "$0" "$1" "$VALUE"; pwd';
  const { stdout } = await guest.vm.exec(['sh', '-c', script, "a 'b'", '$c\n'], {
    env: { VALUE: 'ünï "x"' },
    cwd: '/usr/bin',
  });
  expect(stdout).toBe(`a 'b'|$c\n|ünï "x"|/usr/bin\n`);
});

test('megabytes of standard input and output arrive unchanged', async () => {
  const data = randomBytes(3 << 20);
  const chunks: Buffer[] = [];
  const result = await guest.vm.exec(['cat'], { stdin: data, onStdout: (chunk) => chunks.push(chunk) });
  expect(result.code).toBe(0);
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  expect(digest(Buffer.concat(chunks))).toBe(digest(data));
}, 180_000);

test('output comes while the command runs, and input goes in meanwhile', async () => {
  const command = guest.vm.spawn(['sh', '-c', 'while read line; do echo "got $line"; done']);
  const lines: string[] = [];
  const next = () => new Promise<void>((resolve) => command.stdout.once('data', () => resolve()));
  command.stdout.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  for (const word of ['one', 'two']) {
    const answered = next();
    command.stdin.write(`${word}\n`);
    await answered;
  }
  command.stdin.end();
  expect(await command.exited).toEqual({ code: 0, signal: null });
  expect(lines.join('')).toBe('got one\ngot two\n');
});

test('a command that does not read its input does not hold up another', async () => {
  const sleeper = guest.vm.spawn(['sleep', '1000']);
  sleeper.stdin.write(Buffer.alloc(8 << 20));
  expect(await shell(guest.vm, 'echo fine')).toBe('fine\n');
  sleeper.kill('SIGKILL');
  expect(await sleeper.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

test('several commands run simultaneously, each with its own output', async () => {
  const results = await Promise.all(
    [1, 2, 3, 4, 5, 6].map((number) => guest.vm.exec(['sh', '-c', `sleep 0.${6 - number}; echo ${number}`])),
  );
  expect(results.map(({ stdout }) => stdout)).toEqual(['1\n', '2\n', '3\n', '4\n', '5\n', '6\n']);
});

test('a signal reaches what the command has started', async () => {
  const command = guest.vm.spawn(['sh', '-c', 'sleep 1000 & echo started; wait']);
  await new Promise((resolve) => command.stdout.once('data', resolve));
  command.kill('SIGTERM');
  expect((await command.exited).signal).toBe('SIGTERM');
  // What was started ends by itself, maybe after what started it.
  let left: string;
  do left = await shell(guest.vm, 'cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "sleep [1]000" || true');
  while (left !== '0\n');
});

test('a deadline ends the command and says so', async () => {
  await expect(guest.vm.exec(['sleep', '1000'], { timeoutMs: 200 })).rejects.toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringContaining('sleep') as string,
  });
});

test('an abort ends the command with its reason', async () => {
  const controller = new AbortController();
  const running = guest.vm.exec(['sleep', '1000'], { signal: controller.signal });
  controller.abort(new Error('no longer wanted'));
  await expect(running).rejects.toThrow('no longer wanted');
  await expect(guest.vm.exec(['true'], { signal: controller.signal })).rejects.toThrow('no longer wanted');
});

test('a command that is not there is an error of its own', async () => {
  await expect(guest.vm.exec(['no-such-program'])).rejects.toMatchObject({ code: 'EXEC_FAILED' });
});

test('the guest has its disks and ports where they are promised', async () => {
  expect(await shell(guest.vm, 'ls /dev/virtio-ports')).toContain(guest.portName);
  expect(await shell(guest.vm, 'grep " /data " /proc/mounts')).toContain('ext4 rw');
  expect(await shell(guest.vm, 'grep " /opt/vamos " /proc/mounts')).toContain('ext4 ro');
  expect(await shell(guest.vm, 'node --version')).toBe(`${process.version}\n`);
});
