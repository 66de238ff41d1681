/** The drill of docs/backups.md: its lines are taken from the page and run. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { packageRoot } from '../../src/native.js';
import { Daemon, Folder, until } from '../../lab/daemon/daemon.js';
import { address, Load, makeBank } from './bank.js';

function drill(): string {
  const page = readFileSync(path.join(packageRoot, 'docs/backups.md'), 'utf8');
  const lines = /<!-- drill:[^\n]*-->\n+```sh\n(.*?)```/s.exec(page)?.[1];
  if (!lines) throw new Error('docs/backups.md has no drill');
  return lines;
}

test('the drill that the page about backups shows works on a guest under load', async () => {
  using folder = new Folder();
  const control = folder.file('control.sock');
  const configuration = folder.file('host.yaml');
  writeFileSync(configuration, `guests:\n  orders: {root: root, channels: ["${address(folder)}"]}\n`);
  await using daemon = await Daemon.start(folder, ['--config', configuration]);
  await using connector = await connect(address(folder));
  await makeBank(connector);
  const load = new Load(connector, { streams: 2 });
  await until(() => load.acknowledged.size > 20);

  // Where an operator's `vamos` asks the daemon of the machine, it asks this one.
  mkdirSync(folder.file('bin'));
  const cli = path.join(packageRoot, 'dist/entry/cli.js');
  writeFileSync(
    folder.file('bin/vamos'),
    `#!/bin/sh\ncase "$2" in restore) exec "${process.execPath}" "${cli}" "$@";; esac\nexec "${process.execPath}" "${cli}" "$@" --control "${control}"\n`,
  );
  chmodSync(folder.file('bin/vamos'), 0o755);
  mkdirSync(folder.file('backups'));
  const { code, output } = await new Promise<{ code: unknown; output: string }>((resolve) => {
    const environment = {
      ...process.env,
      PATH: `${folder.file('bin')}:${process.env.PATH}`,
      BACKUPS: folder.file('backups'),
    };
    execFile('sh', ['-c', drill()], { env: environment, timeout: 100_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, output: stdout + stderr });
    });
  });
  await load.stop();
  expect(code, output).toBe(0);
  expect(output.match(/is sound;/g), output).toHaveLength(3);
  expect(output).toMatch(/drill +serving/);
  expect([...load.failures]).toEqual([]);
  expect(readdirSync(folder.file('backups')).filter((name) => name !== 'drill.sock')).toEqual([]);
  expect(daemon.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
});
