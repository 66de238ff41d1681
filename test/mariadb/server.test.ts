import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { MariadbServer } from '../../lab/mariadb/server.js';
import { packageRoot } from '../../src/native.js';
import { useServer } from './suite.js';

const server = useServer({ args: ['--log-bin', '--server-id=7'] });

test('the server has the engine, and what it was given', async () => {
  const engines = await server().query('SELECT engine, support FROM information_schema.engines');
  expect(engines).toContainEqual({ engine: 'VAMOS', support: 'YES' });
  expect(await server().query('SELECT @@server_id AS id, @@log_bin AS log')).toEqual([{ id: 7, log: 1 }]);
});

test('the engine has the version of the package', async () => {
  const [plugin] = await server().query(
    "SELECT plugin_version AS short, plugin_auth_version AS whole FROM information_schema.all_plugins WHERE plugin_name = 'VAMOS'",
  );
  const { version } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect(plugin).toEqual({ short: version.replace(/\.\d+$/, ''), whole: version });
});

test('rows of InnoDB outlive an ordered end and a kill of the server', async () => {
  await server().query('CREATE TABLE kept (n INT PRIMARY KEY) ENGINE=InnoDB');
  await server().query('INSERT INTO kept VALUES (1)');
  await server().stop();
  await server().start();
  await server().query('INSERT INTO kept VALUES (2)');
  await server().kill();
  await server().start();
  expect(await server().query('SELECT * FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
});

test('a killed worker is replaced, a killed host starts again', async () => {
  const host = server().host!;
  const first = await host.workerPid();
  await host.killWorker();
  expect(await host.workerPid()).not.toBe(first);
  await host.kill();
  await host.start();
  expect(await host.workerPid()).toBeGreaterThan(0);
});

test('a server that does not come up says why, and leaves nothing', async () => {
  await expect(MariadbServer.start({ args: ['--no-such-option'] })).rejects.toThrow(/unknown option/);
});

test('without the engine there is no host', async () => {
  let folder: string;
  {
    await using plain = await MariadbServer.start({ host: 'none' });
    folder = plain.folder.path;
    expect(plain.host).toBeUndefined();
    const engines = await plain.query("SELECT 1 FROM information_schema.engines WHERE engine = 'VAMOS'");
    expect(engines).toEqual([]);
  }
  expect(existsSync(folder)).toBe(false);
});
