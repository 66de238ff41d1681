import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection, type Connection } from 'mysql2/promise';
import { packageRoot } from '../../src/native.js';
import { HostDaemon } from '../daemon.js';
import type { EngineName } from './report.js';

const S = path.join(packageRoot, 'build/mariadb/server/usr');
const SHARE = path.join(S, 'share/mysql');

export interface Server extends AsyncDisposable {
  socketPath: string;
  user: string;
  versions: Record<string, string>;
  execute(statement: string): Promise<void>;
}

export async function startServer(engines: readonly EngineName[]): Promise<Server> {
  const folder = await mkdtemp('/var/tmp/vamos-sysbench-');
  const datadir = path.join(folder, 'data');
  await mkdir(datadir);
  const channel = `unix:${path.join(folder, 'channel.sock')}`;
  const common = [
    '--no-defaults',
    '--user=root',
    `--datadir=${datadir}`,
    `--lc-messages-dir=${SHARE}`,
    `--character-sets-dir=${SHARE}/charsets`,
  ];
  const scripts = ['mysql_system_tables.sql', 'mysql_performance_tables.sql', 'mysql_system_tables_data.sql'];
  const input = [
    'create database mysql;\nuse mysql;\n',
    ...scripts.map((name) => readFileSync(path.join(SHARE, name), 'utf8')),
  ].join('');
  spawnSync(path.join(S, 'sbin/mariadbd'), [...common, '--bootstrap'], { input });
  const plugins = {
    vamos: path.join(packageRoot, 'build/plugin'),
    rocksdb: path.join(S, 'lib/mysql/plugin'),
  };
  const args = [
    '--skip-networking',
    `--socket=${folder}/sock`,
    '--character-set-server=utf8mb4',
    '--innodb-buffer-pool-size=512M',
    '--innodb-log-file-size=512M',
    '--max-connections=200',
    '--plugin-maturity=experimental',
  ];
  let daemon: HostDaemon | undefined;
  const pluginDir = path.join(folder, 'plugin');
  await mkdir(pluginDir);
  if (engines.includes('rocksdb')) {
    spawnSync('cp', [path.join(plugins.rocksdb, 'ha_rocksdb.so'), pluginDir]);
    args.push('--plugin-load-add=ha_rocksdb.so', '--rocksdb-block-cache-size=512M');
  }
  if (engines.includes('vamos')) {
    spawnSync('cp', [path.join(plugins.vamos, 'ha_vamos.so'), pluginDir]);
    args.push('--plugin-load-add=ha_vamos.so', `--vamos-address=${channel}`);
    daemon = new HostDaemon(path.join(folder, 'root'), channel, path.join(folder, 'control.sock'));
    await daemon.start();
  }
  const child = spawn(path.join(S, 'sbin/mariadbd'), [...common, `--plugin-dir=${pluginDir}`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  child.stdout.resume();
  let connection: Connection | undefined;
  for (let tries = 0; !connection; tries++) {
    try {
      connection = await createConnection({ socketPath: `${folder}/sock`, user: 'root' });
    } catch (error) {
      if (tries > 100 || child.exitCode !== null) throw new Error(log.slice(-3000), { cause: error });
      await sleep(100);
    }
  }
  const open = connection;
  return {
    socketPath: `${folder}/sock`,
    user: 'root',
    versions: {},
    async execute(statement) {
      await open.query(statement);
    },
    async [Symbol.asyncDispose]() {
      open.destroy();
      child.kill('SIGTERM');
      await once(child, 'exit');
      await daemon?.stop();
      await rm(folder, { recursive: true });
    },
  };
}
