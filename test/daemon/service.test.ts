import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { packageRoot } from '../../src/native.js';
import { Daemon, Folder, until, vamos } from '../../lab/daemon/daemon.js';
import { notes } from './rows.js';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const address = (name: string) => `unix:${folder.file(`${name}.sock`)}`;

/**
 * Root can become nobody if the program lies in folders that every user may enter (a checkout in /root does
 * not).
 */
function canBecomeNobody(): boolean {
  const isOpenToAll = (directory: string): boolean =>
    (statSync(directory).mode & 0o005) === 0o005 &&
    (directory === '/' || isOpenToAll(path.dirname(directory)));
  return process.getuid?.() === 0 && isOpenToAll(packageRoot);
}

test('a guest given by flags is served, shown by status, and its data outlive the daemon', async () => {
  const args = ['--root', folder.file('root'), '--channel', address('c'), '--name', 'web'];
  {
    await using daemon = await Daemon.start(folder, args);
    expect(statSync(daemon.control).mode & 0o777).toBe(0o600);
    await using connector = await connect(address('c'), { program: 'test of the daemon' });
    const table = await connector.tables.create(notes);
    await table.writeRow({ id: 1, group: 0, text: 'kept' });

    const web = await daemon.serving('web');
    expect(web).toMatchObject({
      name: 'web',
      restarts: 0,
      root: folder.file('root'),
      channels: [address('c')],
    });
    const { report } = await daemon.reporting('web');
    expect(report.server.sessions).toMatchObject([{ program: 'test of the daemon', epoch: 1 }]);
    expect(report.modules.tables!.commits).toBeGreaterThanOrEqual(1);

    const json = await vamos('host', 'status', '--json', '--control', daemon.control);
    expect(JSON.parse(json.stdout)).toMatchObject({ pid: daemon.process.pid, guests: [{ name: 'web' }] });
    const people = await vamos('host', 'status', '--control', daemon.control);
    expect(people.stdout).toMatch(/GUEST +STATE .*\nweb +serving /);

    const stop = await vamos('host', 'stop', '--control', daemon.control);
    expect(stop).toMatchObject({ code: 0, stdout: 'vamos: the daemon has stopped\n' });
    expect(await daemon.exited).toEqual({ code: 0, signal: null });
    expect(existsSync(daemon.control)).toBe(false);
  }
  await using _again = await Daemon.start(folder, args);
  await using connector = await connect(address('c'));
  const table = await connector.tables.open(notes);
  expect(await table.get(1)).toEqual({ id: 1, group: 0, text: 'kept' });
});

test('guests are added and removed while another one is served', async () => {
  await using daemon = await Daemon.start(folder, [
    '--root',
    folder.file('a'),
    '--channel',
    address('a'),
    '--name',
    'a',
  ]);
  await using first = await connect(address('a'));
  const before = await daemon.serving('a');
  const control = ['--control', daemon.control];

  const added = await vamos(
    'host',
    'add',
    'b',
    '--root',
    folder.file('b'),
    '--channel',
    address('b'),
    ...control,
  );
  expect(added).toMatchObject({ code: 0, stdout: 'vamos: guest b is serving\n' });
  await using second = await connect(address('b'));
  await second.tables.create(notes);
  expect(await first.tables.list()).toEqual([]);

  const removed = await vamos('host', 'remove', 'b', ...control);
  expect(removed).toMatchObject({ code: 0, stdout: 'vamos: guest b is removed\n' });
  expect((await daemon.status()).guests.map(({ name }) => name)).toEqual(['a']);
  expect(await first.tables.list()).toEqual([]);
  expect(await daemon.guest('a')).toMatchObject({ pid: before.pid, restarts: 0 });
  expect(existsSync(folder.file('b/tables'))).toBe(true);
});

test('adding a guest that meets another one, or removing one that is not there, changes nothing', async () => {
  await using daemon = await Daemon.start(folder, [
    '--root',
    folder.file('a'),
    '--channel',
    address('a'),
    '--name',
    'a',
  ]);
  const control = ['--control', daemon.control];
  const add = (name: string, root: string, channel: string) =>
    vamos('host', 'add', name, '--root', folder.file(root), '--channel', channel, ...control);

  expect((await add('a', 'b', address('b'))).stderr).toBe(
    'vamos: BAD_CONFIGURATION: name: there is a guest a already\n',
  );
  expect((await add('b', 'a', address('b'))).stderr).toMatch(
    /^vamos: BAD_CONFIGURATION: guests\.b\.root: .*overlap/,
  );
  expect((await add('b', 'b', address('a'))).stderr).toMatch(
    /^vamos: BAD_CONFIGURATION: .*belongs to guest a already/,
  );
  expect((await add('b', 'b', 'nonsense')).stderr).toMatch(
    /^vamos: BAD_CONFIGURATION: guest\.channels\.0\.address: /,
  );
  expect((await add('b/c', 'b', address('b'))).stderr).toMatch(
    /^vamos: BAD_CONFIGURATION: name: expected a guest name/,
  );
  writeFileSync(folder.file('file'), '');
  expect((await add('b', 'file/b', address('b'))).code).toBe(1);
  expect(await vamos('host', 'remove', 'b', ...control)).toMatchObject({
    code: 1,
    stderr: 'vamos: BAD_REQUEST: there is no guest b\n',
  });
  expect((await daemon.status()).guests.map(({ name }) => name)).toEqual(['a']);
});

test('a changed file takes guests in and out at SIGHUP and reload; unchanged guests go on', async () => {
  const file = folder.file('host.yaml');
  const guest = (name: string, more = '') =>
    `  ${name}: {root: ${name}, channels: ["${address(name)}"]${more}}\n`;
  writeFileSync(file, `guests:\n${guest('a')}${guest('b')}${guest('c')}`);
  await using daemon = await Daemon.start(folder, ['--config', file]);
  const [a, b] = [await daemon.serving('a'), await daemon.serving('b')];
  await using connector = await connect(address('a'));

  writeFileSync(file, `guests:\n${guest('a')}${guest('b', ', limits: {threads: 2}')}${guest('d')}`);
  daemon.process.kill('SIGHUP');
  await until(() => daemon.log.some(({ msg }) => msg === 'daemon: configuration reloaded'));
  expect((await daemon.status()).guests.map(({ name }) => name).sort()).toEqual(['a', 'b', 'd']);
  expect((await daemon.serving('a')).pid).toBe(a.pid);
  expect((await daemon.serving('b')).pid).not.toBe(b.pid);
  expect(await connector.tables.list()).toEqual([]);
  expect(connector.counters.reconnects).toBe(0);

  writeFileSync(file, `guests:\n${guest('a')}`);
  expect(await vamos('host', 'reload', '--control', daemon.control)).toMatchObject({
    code: 0,
    stdout: 'vamos: added: none; changed: none; removed: b, d\n',
  });

  writeFileSync(file, 'guests: 17\n');
  const refused = await vamos('host', 'reload', '--control', daemon.control);
  expect(refused.stderr).toMatch(/^vamos: BAD_CONFIGURATION: .*host\.yaml:1: guests: expected a map/);
  expect((await daemon.serving('a')).pid).toBe(a.pid);
});

test('with a state directory, added guests come back with the daemon', async () => {
  const args = ['--config', folder.file('host.yaml'), '--state', folder.file('state')];
  writeFileSync(folder.file('host.yaml'), '');
  {
    await using daemon = await Daemon.start(folder, args);
    const control = ['--control', daemon.control];
    await vamos(
      'host',
      'add',
      'b',
      '--root',
      folder.file('b'),
      '--channel',
      address('b'),
      '--token',
      'secret',
      ...control,
    );
    await vamos('host', 'stop', ...control);
    expect(statSync(folder.file('state/guests.json')).mode & 0o777).toBe(0o600);
  }
  await using daemon = await Daemon.start(folder, args);
  await daemon.serving('b');
  await using connector = await connect(address('b'), { token: 'secret' });
  expect(await connector.tables.list()).toEqual([]);
});

test('a guest with a token refuses connectors without it, and no log or status shows it', async () => {
  const token = 'a-very-secret-token';
  writeFileSync(folder.file('token'), `${token}\n`);
  const args = ['--root', folder.file('a'), '--channel', address('a'), '--log-level', 'trace'];
  await using daemon = await Daemon.start(folder, [...args, '--token-file', folder.file('token')]);
  await expect(connect(address('a'), { token: 'another' })).rejects.toMatchObject({ code: 'BAD_TOKEN' });
  await using connector = await connect(address('a'), { token });
  expect(await connector.tables.list()).toEqual([]);
  expect(JSON.stringify(await daemon.status())).not.toContain(token);
  await vamos('host', 'stop', '--control', daemon.control);
  expect(daemon.stderr).toContain('session: begun');
  expect(daemon.stderr + daemon.stdout).not.toContain(token);
});

test.skipIf(!canBecomeNobody())(
  'a worker runs as the configured user, in a process group of its own',
  async () => {
    // The worker makes its socket itself, so its folder must be its own.
    const args = [
      '--root',
      folder.file('a'),
      '--channel',
      `unix:${folder.file('a/c')}`,
      '--user',
      '65534:65534',
    ];
    chmodSync(folder.path, 0o755);
    await using daemon = await Daemon.start(folder, args);
    const { pid } = await daemon.serving('guest');
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
    expect(status).toMatch(/^Groups:\s*$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    const group = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[2];
    expect(Number(group)).toBe(pid);
  },
);
