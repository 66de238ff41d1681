/**
 * Guests with MariaDB and ENGINE=VAMOS.
 *
 *     const image = await buildImage({ ...(await mariadbPackages()), onProgress });
 *     const vm = await startVm({
 *       image, payload, memoryMiB: 1024,
 *       dataDisk: { path, sizeMiB: 2048 },                        // InnoDB's tables, and the system's
 *       channels: [{ name: MARIADB_CHANNEL, socketPath }],        // VAMOS tables: what the plugin opens by default
 *       forwardPorts: [{ host: 13306, guest: MARIADB_PORT }],     // a network device that no storage counts on
 *     });
 *     await startMariadb(vm, { args: ['--innodb-buffer-pool-size=128M'] });
 *     const connection = await mysql.createConnection({ host: '127.0.0.1', port: 13306, user: 'root', database: 'test' });
 *
 * The host daemon serves `virtio-serial:${socketPath}`. In the image, /var/lib/mysql holds a fresh data folder, and
 * `mariadb` as root is a client.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../../src/native.js';
import { VmError } from './errors.js';
import type { ImageOptions } from './image.js';
import type { Vm } from './machine.js';
import { runTool } from './tools.js';

/** The port that the plugin opens where nothing else is configured. */
export const MARIADB_CHANNEL = 'vamos.0';
/** The TCP port of MariaDB in the guest. */
export const MARIADB_PORT = 3306;

/** The log of mariadbd in the guest, which all starts append to. */
export const MARIADB_LOG = '/var/log/mariadbd.log';

const PACKAGE_FOLDER = path.join(packageRoot, 'build/package');
const START_TIMEOUT_MS = 180_000;
/** Server packages, which all get the plugin's version. */
const PACKAGES = [
  'mariadb-server',
  'mariadb-server-core',
  'mariadb-client',
  'mariadb-client-core',
  'mariadb-common',
];

/** The engine's package that `npm run package:mariadb` made; undefined if there is none. */
export async function enginePackage(): Promise<string | undefined> {
  const names = await readdir(PACKAGE_FOLDER).catch(() => []);
  return names.find((name) => name.endsWith('.deb'));
}

/**
 * Returns what an image with MariaDB and the engine's package is built of. The server's version is the one
 * that the package in build/package depends on.
 * @throws VmError BAD_OPTION if the package is not made
 */
export async function mariadbPackages(): Promise<Required<Pick<ImageOptions, 'packages' | 'packageFiles'>>> {
  const name = await enginePackage();
  if (name === undefined) {
    throw new VmError(
      'BAD_OPTION',
      `no package in ${PACKAGE_FOLDER}: run 'npm run package:mariadb' in ${packageRoot}`,
    );
  }
  const file = path.join(PACKAGE_FOLDER, name);
  const depends = await runTool('dpkg-deb', ['--field', file, 'Depends']);
  const version = /mariadb-server-core \(= ([^)]+)\)/.exec(depends)?.[1];
  if (version === undefined) throw new VmError('BAD_OPTION', `${file} does not say which server it is for`);
  return { packages: PACKAGES.map((each) => `${each}=${version}`), packageFiles: [file] };
}

/**
 * Starts the server. Its tables are on the data disk where there is one. The copy writes the files in full:
 * first writes into a file with holes would cost InnoDB the file system's journal.
 */
const START = `set -e
mkdir -p /run/mysqld
chown mysql:mysql /run/mysqld
data=/var/lib/mysql
if grep -q ' /data ' /proc/mounts; then
  data=/data/$1
  [ -d $data/mysql ] || { cp -a --sparse=never /var/lib/mysql $data.new; mv $data.new $data; sync; }
fi
shift
[ "$(stat -c %U $data)" = mysql ] || chown -R mysql:mysql $data
rm -f /run/mysqld/mysqld.sock
cat > /run/mysqld/init.sql <<'END'
CREATE USER IF NOT EXISTS root@'%';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS test;
END
setsid mariadbd --user=mysql --datadir=$data --bind-address=0.0.0.0 --skip-name-resolve \\
  --init-file=/run/mysqld/init.sql "$@" </dev/null >> ${MARIADB_LOG} 2>&1 &
until [ -S /run/mysqld/mysqld.sock ] && mariadb-admin --silent ping 2>/dev/null; do
  kill -0 $! 2>/dev/null || { tail -n 30 ${MARIADB_LOG} >&2; exit 1; }
  sleep 0.1
done
`;

export interface MariadbOptions {
  /** Arguments of mariadbd, beside the configuration in the image. */
  args?: readonly string[];
  /** The server's folder on the data disk, made where it is missing. Default `mysql`. */
  dataFolder?: string;
}

/**
 * Starts mariadbd in a guest and waits until it serves. It goes on when the machine is detached, and ends in
 * order with it. User root needs no password.
 * @throws VmError BAD_OPTION, EXEC_FAILED with the server's log, TIMEOUT
 */
export async function startMariadb(vm: Vm, options: MariadbOptions = {}): Promise<void> {
  const { args = [], dataFolder = 'mysql' } = options;
  if (!/^[\w-]+$/.test(dataFolder)) throw new VmError('BAD_OPTION', `'${dataFolder}' is not a folder's name`);
  const command = ['sh', '-c', START, 'sh', dataFolder, ...args];
  const { code, stderr } = await vm.exec(command, { timeoutMs: START_TIMEOUT_MS });
  if (code !== 0) throw new VmError('EXEC_FAILED', `MariaDB does not start in the guest:\n${stderr}`);
}
