import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import mysql from 'mysql2/promise';
import { packageRoot } from '../../src/native.js';
import { Folder } from '../daemon/daemon.js';
import { Host } from './host.js';

const INSTALLATION = path.join(packageRoot, 'build/mariadb/server/usr');
const SHARE = path.join(INSTALLATION, 'share/mysql');
const TEMPLATES = path.join(packageRoot, 'build/mariadb-data');
export const PLUGIN = path.join(packageRoot, 'build/plugin/ha_vamos.so');

/** Options for small files, so that a data folder is copied quickly; every start may override them. */
const SMALL = [
  '--innodb-log-file-size=16M',
  '--innodb-buffer-pool-size=32M',
  '--innodb-autoextend-increment=4',
  '--aria-log-file-size=8M',
];

export interface ServerOptions {
  /** Arguments of mariadbd beside the fixed ones, such as ['--log-bin', '--server-id=1']. */
  args?: string[];
  /** Plugins of Debian's packages to load, such as ['ha_rocksdb.so']. */
  plugins?: string[];
  /**
   * The host that holds the tables of ENGINE=VAMOS: the server's own (the default), another server's, or
   * none. Without one there is no VAMOS.
   */
  host?: Host | 'own' | 'none';
  /** Limits of the own host's guest, as in the daemon's configuration. */
  limits?: Record<string, string | number>;
  /** Another build of the plugin, such as a sanitized one. */
  plugin?: string;
  /** Environment variables of mariadbd beside this process's own, such as LD_PRELOAD. */
  environment?: Record<string, string>;
}

/**
 * A private MariaDB server on a UNIX socket, with ENGINE=VAMOS and a host daemon behind it, all in a
 * temporary folder that is removed with it. Its user is root without a password, its database `test`. It dies
 * with the process that started it.
 */
export class MariadbServer implements AsyncDisposable {
  readonly folder = new Folder();
  readonly socket = this.folder.file('mariadb.sock');
  readonly dataFolder = this.folder.file('data');
  /** The host whose tables it uses. */
  readonly host: Host | undefined;
  /** Not shared with other servers: a server that starts removes the temporary tables that it finds there. */
  readonly #temporary = this.folder.file('tmp');
  readonly #options: ServerOptions;
  readonly #connections = new Set<mysql.Connection>();
  #process: ChildProcess | undefined;
  #log = '';

  private constructor(options: ServerOptions) {
    this.#options = options;
    const { host = 'own', limits } = options;
    if (host === 'own') this.host = new Host(this.folder, limits);
    else if (host !== 'none') this.host = host;
  }

  /**
   * Makes and starts a server.
   * @throws Error with the server's log when it does not come up
   */
  static async start(options: ServerOptions = {}): Promise<MariadbServer> {
    const plugin = path.resolve(options.plugin ?? PLUGIN);
    for (const file of [path.join(INSTALLATION, 'sbin/mariadbd'), plugin]) {
      if (!existsSync(file)) throw new Error(`${file} is missing: run \`npm run build:mariadb\``);
    }
    const server = new MariadbServer(options);
    try {
      const data = template().then((folder) => cp(folder, server.dataFolder, { recursive: true }));
      await Promise.all([
        data,
        server.#collectPlugins(plugin),
        mkdir(server.#temporary),
        server.#ownsHost ? server.host!.start() : undefined,
      ]);
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error('the server does not run');
    return this.#process.pid;
  }

  /** The command line of a client that connects to the server. */
  get client(): string {
    return `${path.join(INSTALLATION, 'bin/mariadb')} --no-defaults --user=root --socket=${this.socket} test`;
  }

  /** The server's error log since it was made. */
  get log(): string {
    return this.#log;
  }

  /** Starts mariadbd on its data, after `stop` or `kill`. */
  async start(extraArgs: string[] = []): Promise<void> {
    const { args = [], plugins = [], environment = {} } = this.#options;
    const command = [
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      path.join(INSTALLATION, 'sbin/mariadbd'),
      ...commonArguments(this.dataFolder),
      `--tmpdir=${this.#temporary}`,
      `--socket=${this.socket}`,
      `--pid-file=${this.folder.file('mariadbd.pid')}`,
      `--plugin-dir=${this.folder.file('plugins')}`,
      '--skip-networking',
      '--plugin-maturity=experimental',
      ...plugins.map((name) => `--plugin-load-add=${name}`),
      ...(this.host ? ['--plugin-load-add=ha_vamos.so', `--vamos-channel=${this.host.channel}`] : []),
      // A worker that was killed may take long to come back on a busy machine.
      '--loose-vamos-connect-timeout-ms=60000',
      ...args,
      ...extraArgs,
    ];
    // No process is left to end a server whose tests were killed.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'env', ...command], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    const before = this.#log.length;
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', () => {
        if (this.#log.includes('ready for connections', before)) resolve();
      });
      child.once('error', reject);
      child.once('close', (code, signal) => {
        reject(new Error(`mariadbd ended with ${code ?? signal}\n${this.#log.slice(before)}`));
      });
    });
    // A server whose plugin does not load runs all the same.
    const log = this.#log.slice(before);
    if (/\[ERROR\].*vamos/i.test(log)) {
      await this.kill();
      throw new Error(
        `mariadbd did not take the plugin ('API version' or 'undefined symbol': it is of another version than the ` +
          `server, see \`npm run build:mariadb\`):\n${log}`,
      );
    }
  }

  /** Opens a connection that is closed with the server, if not before. */
  async connect(options: mysql.ConnectionOptions = {}): Promise<mysql.Connection> {
    const connection = await mysql.createConnection({
      socketPath: this.socket,
      user: 'root',
      database: 'test',
      ...options,
    });
    // A server that is killed must end no test by an error without a listener.
    connection.on('error', () => undefined);
    this.#connections.add(connection);
    // What a connection buffers would stay until the server ends.
    connection.once('end', () => this.#connections.delete(connection));
    return connection;
  }

  /** Runs one statement on a connection of its own. */
  async query<Rows extends mysql.QueryResult = mysql.RowDataPacket[]>(sql: string): Promise<Rows> {
    const connection = await this.connect();
    try {
      const [rows] = await connection.query<Rows>(sql);
      return rows;
    } finally {
      this.#connections.delete(connection);
      connection.destroy();
    }
  }

  /** Shuts mariadbd down in order. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Kills mariadbd (SIGKILL). */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Kills the server and its host, and removes what they wrote. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    for (const connection of this.#connections) connection.destroy();
    if (this.#ownsHost) await this.host![Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }

  get #ownsHost(): boolean {
    return (this.#options.host ?? 'own') === 'own';
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill(signal);
    await ended;
  }

  /** Makes the only plugin folder that mariadbd has: it holds links to Debian's plugins and to ours. */
  async #collectPlugins(plugin: string): Promise<void> {
    const folder = this.folder.file('plugins');
    const theirs = path.join(INSTALLATION, 'lib/mysql/plugin');
    await mkdir(folder);
    const names = (await readdir(theirs)).filter((name) => name.endsWith('.so'));
    await Promise.all(names.map((name) => symlink(path.join(theirs, name), path.join(folder, name))));
    await symlink(plugin, path.join(folder, 'ha_vamos.so'));
  }
}

function commonArguments(dataFolder: string): string[] {
  return [
    '--no-defaults',
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
    `--basedir=${INSTALLATION}`,
    `--datadir=${dataFolder}`,
    `--lc-messages-dir=${SHARE}`,
    `--character-sets-dir=${path.join(SHARE, 'charsets')}`,
    ...SMALL,
  ];
}

/** Returns a data folder with the system tables, made once for a version of the server. */
async function template(): Promise<string> {
  const version = (await readFile(path.join(packageRoot, 'build/mariadb/version'), 'utf8')).trim();
  const key = createHash('sha256')
    .update([version, ...SMALL].join(' '))
    .digest('hex')
    .slice(0, 12);
  const folder = path.join(TEMPLATES, key);
  if (existsSync(folder)) return folder;
  await mkdir(TEMPLATES, { recursive: true });
  const making = await mkdtemp(path.join(TEMPLATES, 'making-'));
  const scripts = [
    'mysql_system_tables',
    'mysql_performance_tables',
    'mysql_system_tables_data',
    'maria_add_gis_sp_bootstrap',
    'mysql_sys_schema',
    'mysql_test_db',
  ];
  const texts = await Promise.all(scripts.map((name) => readFile(path.join(SHARE, `${name}.sql`), 'utf8')));
  const sql = ['CREATE DATABASE mysql;', 'USE mysql;', 'SET @auth_root_socket=NULL;', ...texts].join('\n');
  const bootstrap = promisify(execFile)(
    path.join(INSTALLATION, 'sbin/mariadbd'),
    [...commonArguments(making), '--bootstrap', '--enforce-storage-engine=', '--max-allowed-packet=8M'],
    { maxBuffer: 1 << 24 },
  );
  bootstrap.child.stdin!.end(sql);
  await bootstrap;
  // If several processes made one, the first wins.
  await rename(making, folder).catch(async (error: unknown) => {
    await rm(making, { recursive: true });
    if (!existsSync(folder)) throw error;
  });
  return folder;
}
