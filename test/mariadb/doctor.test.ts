import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { useServer } from './suite.js';

const DOCTOR = path.join(packageRoot, 'build/plugin/vamos-doctor');
const server = useServer();

/** The doctor looks at the private server as it would at a guest's; later options come before these. */
function examine(...options: string[]): Promise<{ code: unknown; output: string }> {
  const { folder, host, client } = server();
  const configuration = folder.file('server.cnf');
  writeFileSync(
    configuration,
    `[mariadbd]\nplugin_load_add = ha_vamos\nloose_vamos_channel = ${host!.channel}\n`,
  );
  const usual = {
    '--server': path.join(packageRoot, 'build/mariadb/server/usr/sbin/mariadbd'),
    '--defaults-file': configuration,
    '--plugin-dir': folder.file('plugins'),
    '--client': client,
    '--user': 'root',
    '--timeout': '60',
  };
  return new Promise((resolve) => {
    execFile(DOCTOR, [...Object.entries(usual).flat(), ...options], (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, output: stdout + stderr });
    });
  });
}

test('where nothing is wrong the doctor finds nothing', async () => {
  const { code, output } = await examine();
  expect(output).not.toContain('WRONG');
  expect(output).toContain('the host answers');
  expect(output).toContain('the running server has ENGINE=VAMOS');
  expect(code).toBe(0);
});

test('a plugin that the server does not load is named, with the reason', async () => {
  writeFileSync(server().folder.file('ha_vamos.so'), 'no library');
  const { code, output } = await examine('--plugin-dir', server().folder.path);
  expect(output).toMatch(/WRONG {2}the server does not load .*ha_vamos\.so/);
  expect(output).toContain('file too short');
  expect(code).toBe(1);
});

test('a missing port, a closed one and a silent host are told apart', async () => {
  const missing = await examine('--channel', 'virtio-serial:no.such.port');
  expect(missing.output).toContain('WRONG  /dev/virtio-ports/no.such.port: No such file or directory');
  expect(missing.output).toContain("<target type='virtio'");

  const closed = await examine('--user', 'nobody');
  expect(closed.output).toContain('WRONG  user nobody may not open');

  const mute = createServer().listen(server().folder.file('mute.sock'));
  const silent = await examine('--channel', `unix:${server().folder.file('mute.sock')}`, '--timeout', '1');
  mute.close();
  expect(silent.output).toContain('WRONG  the host does not answer');
  expect(silent.code).toBe(1);
});

test('what it does not understand ends with its usage', async () => {
  const { code, output } = await examine('--nonsense', 'x');
  expect(code).toBe(2);
  expect(output).toContain('usage: vamos-doctor');
});
