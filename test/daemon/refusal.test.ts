import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Daemon, Folder, until, vamos } from '../../lab/daemon/daemon.js';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const one = () => ['--root', folder.file('root'), '--channel', `unix:${folder.file('c')}`];

test('a second daemon on the same root is refused with ROOT_IN_USE and the path', async () => {
  await using first = await Daemon.start(folder, one());
  const { pid } = await first.serving('guest');
  const second = await vamos(
    ...['host', '--root', folder.file('root'), '--channel', `unix:${folder.file('d')}`],
    ...['--control', folder.file('other.sock')],
  );
  expect(second.code).toBe(1);
  const lastLine = second.stderr.trimEnd().split('\n').at(-1);
  expect(lastLine).toMatch(/^vamos: ROOT_IN_USE: /);
  expect(lastLine).toContain(folder.file('root'));
  expect(await first.serving('guest')).toMatchObject({ pid, restarts: 0 });
});

test('a second daemon on the same control socket is refused while the first lives, and takes over after its death', async () => {
  await using first = await Daemon.start(folder, one());
  const args = ['--root', folder.file('b'), '--channel', `unix:${folder.file('d')}`];
  const second = await vamos('host', ...args, '--control', first.control);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(
    `vamos: CHANNEL_BUSY: control socket ${first.control}: another daemon answers there`,
  );
  await first.serving('guest');
  first.process.kill('SIGKILL');
  await first.exited;
  await using third = await Daemon.start(folder, args);
  await third.serving('guest');
});

test('a guest whose root cannot be opened is failed with its code, tried again slowly, and leaves the other one alone', async () => {
  writeFileSync(folder.file('file'), '');
  writeFileSync(
    folder.file('host.yaml'),
    `restart: {firstMs: 1, longestMs: 1, failedMs: 1500}
guests:
  good: {root: good, channels: ["unix:${folder.file('c')}"]}
  bad: {root: file/root, channels: ["unix:${folder.file('d')}"]}
`,
  );
  await using daemon = await Daemon.start(folder, ['--config', folder.file('host.yaml')]);
  const good = await daemon.serving('good');
  const bad = await until(async () => {
    const guest = await daemon.guest('bad');
    return guest.state === 'failed' && guest.restarts >= 1 && guest;
  });
  expect(bad.error).toMatchObject({ code: 'STORAGE_FAILED' });
  expect(bad.error!.message).toContain('file/root');
  const tries = () =>
    daemon.log.filter(({ guest, msg }) => guest === 'bad' && msg === 'guest: cannot serve').length;
  await until(() => tries() >= 2);
  const delays = daemon.log.filter(({ guest, inMs }) => guest === 'bad' && inMs !== undefined);
  for (const { inMs } of delays) expect(inMs).toBeGreaterThanOrEqual(750);
  expect(await daemon.serving('good')).toMatchObject({ pid: good.pid, restarts: 0 });
});

test.each([
  [
    'host with neither file nor guest',
    ['host'],
    /^error: give either --config FILE, or --root DIR and --channel/,
  ],
  [
    'host with both',
    ['host', '--config', 'x', '--root', 'y'],
    /^error: give either --config FILE, or --root/,
  ],
  ['a guest without a channel', ['host', '--root', 'x'], /^error: a guest needs --root and --channel/],
  ['an unknown option', ['host', '--rot', 'x'], /^error: unknown option '--rot'/],
  ['an unknown command', ['hots'], /^error: unknown command 'hots'/],
  ['an unknown subcommand', ['host', 'stats'], /^error: /],
  ['a limit without a value', ['host', '--limit', 'threads'], /Expected key=value/],
])('wrong usage ends with status 2 and says why: %s', async (_, args, message) => {
  const run = await vamos(...args);
  expect(run.code).toBe(2);
  expect(run.stderr).toMatch(message);
});

test('asking where no daemon answers fails with CHANNEL_ABSENT', async () => {
  const control = folder.file('none.sock');
  expect(await vamos('host', 'status', '--control', control)).toMatchObject({
    code: 1,
    stderr: `vamos: CHANNEL_ABSENT: control socket ${control}: no daemon answers; is one running, and with this --control?\n`,
  });
});

test('a control socket that cannot be made is refused, and a file in its place is left alone', async () => {
  writeFileSync(folder.file('file'), 'mine');
  const run = await vamos('host', ...one(), '--control', folder.file('file'));
  expect(run.stderr).toContain(
    `vamos: BAD_CONFIGURATION: control: ${folder.file('file')} is there already and not a socket`,
  );
  const long = folder.file('x'.repeat(100));
  expect((await vamos('host', ...one(), '--control', long)).stderr).toContain('is too long for a socket');
});

test('a metrics address in use is refused', async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const run = await vamos('host', ...one(), '--metrics', String(port), '--control', folder.file('s'));
  server.close();
  expect(run).toMatchObject({ code: 1 });
  expect(run.stderr).toContain(`vamos: BAD_CONFIGURATION: metrics: ${port}: listen EADDRINUSE`);
});

test('nonsense at the control socket is answered with an error, and the daemon goes on', async () => {
  await using daemon = await Daemon.start(folder, one());
  const ask = (line: string) =>
    new Promise<string>((resolve) => {
      const socket = net.connect(daemon.control, () => socket.write(line));
      let answer = '';
      socket.on('data', (chunk) => {
        answer += chunk.toString();
        if (answer.endsWith('\n')) socket.destroy();
      });
      socket.on('close', () => resolve(answer.trimEnd()));
      // Too much of it ends the connection.
      socket.on('error', () => undefined);
    });
  expect(await ask('hello\n')).toBe(
    '{"error":{"code":"BAD_REQUEST","message":"expected one JSON object a line"}}',
  );
  expect(await ask('17\n')).toContain(
    'expected status, add, remove, repair, reload, stop, checkpoint or verify',
  );
  expect(await ask('{"command":"explode"}\n')).toContain(
    'expected status, add, remove, repair, reload, stop, checkpoint or verify',
  );
  expect(await ask('{"command":"remove"}\n')).toMatch(/"code":"\w+","message":"name: /);
  expect(await ask('{"command":"status","more":1}\n')).toContain('error');
  expect(await ask('x'.repeat(17 * 2 ** 20))).toBe('');
  await daemon.serving('guest');
});

test("a control socket of another user's folder is refused", async () => {
  if (process.getuid?.() !== 0) return;
  mkdirSync(folder.file('theirs'));
  chmodSync(folder.file('theirs'), 0o777);
  chownSync(folder.file('theirs'), 65534, 65534);
  const run = await vamos('host', ...one(), '--control', folder.file('theirs/s'));
  expect(run.stderr).toContain('belongs to another user');
});
