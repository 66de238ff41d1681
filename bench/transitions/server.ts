import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Vm } from '../../host/vm/index.js';
import type { HostDaemon } from '../daemon.js';
import { dropPageCache, settle } from '../demo/measure.js';
import { GuestMariadb } from '../guest_mariadb.js';
import { ENGINE_SETTINGS, SESSION_SETTINGS } from './engines.js';
import type { EngineName } from './result.js';
import { makeStatements, type TableDefinition } from './tables.js';

/**
 * Each engine has a database of its own: a server finds VAMOS tables of its databases on the host, whichever
 * server made them.
 */
const databaseOf = (engine: EngineName): string => `transitions_${engine.replace('-', '_')}`;

export interface ServerPlace {
  vm: Vm;
  /** A port of this machine, which leads to MariaDB's in the guest. */
  port: number;
  daemon: HostDaemon;
  /** The daemon's root, where VAMOS tables are. */
  root: string;
  /** The data disk's file on the host. */
  dataDisk: string;
}

/** One engine's mariadbd in the guest, and its tables. */
export class EngineServer {
  readonly place: ServerPlace;
  readonly #engine: EngineName;
  readonly #mariadb: GuestMariadb;
  readonly #filled = new Set<string>();
  /** Tables that something was read from or written to since the server's start. */
  readonly #touched = new Set<string>();

  private constructor(place: ServerPlace, engine: EngineName, mariadb: GuestMariadb) {
    this.place = place;
    this.#engine = engine;
    this.#mariadb = mariadb;
  }

  /**
   * Starts a server.
   * @param args arguments of mariadbd beside the engine's
   */
  static async start(place: ServerPlace, engine: EngineName, args: readonly string[]): Promise<EngineServer> {
    const options = { args: [...ENGINE_SETTINGS[engine].args, ...args], dataFolder: engine };
    const mariadb = await GuestMariadb.start(place.vm, place.port, options);
    const connection = await mariadb.connect();
    await connection.query(`CREATE DATABASE IF NOT EXISTS ${databaseOf(engine)}`);
    mariadb.disconnect();
    return new EngineServer(place, engine, mariadb);
  }

  /** Makes and fills the tables that do not exist yet. */
  async makeTables(tables: readonly TableDefinition[], onProgress: (what: string) => void): Promise<void> {
    const missing = tables.filter(({ name }) => !this.#filled.has(name));
    if (missing.length === 0) return;
    const connection = await this.#mariadb.connect(databaseOf(this.#engine));
    for (const table of missing) {
      const { name } = table;
      onProgress(`filling ${name}`);
      for (const sql of makeStatements(table, ENGINE_SETTINGS[this.#engine].clause))
        await connection.query(sql);
      this.#filled.add(name);
      this.#touched.add(name);
    }
    this.#mariadb.disconnect();
  }

  /**
   * Opens connections with open tables, on a disk that rests.
   * @param isCold with nothing of these tables in memory: neither in the engine nor in the page caches of
   * guest and host
   */
  async prepare(count: number, tables: readonly TableDefinition[], isCold: boolean): Promise<Connection[]> {
    if (isCold && tables.some(({ name }) => this.#touched.has(name))) {
      await this.#mariadb.restart(() => this.#restartDaemon());
      this.#touched.clear();
    }
    const connections: Connection[] = [];
    while (connections.length < count) {
      const connection = await this.#mariadb.connect(databaseOf(this.#engine));
      await connection.query(SESSION_SETTINGS);
      // This opens a table without a look at its rows.
      for (const { name } of tables) await connection.query(`SELECT * FROM ${name} LIMIT 0`);
      connections.push(connection);
    }
    await settle(this.place.vm);
    if (isCold) await this.#dropPageCaches();
    for (const { name } of tables) this.#touched.add(name);
    return connections;
  }

  status(): Promise<Record<string, number>> {
    return this.#mariadb.status();
  }

  /** Returns the worker's process, if the engine's storage has one of its own. */
  workerPid(): Promise<number | undefined> {
    return this.#engine === 'vamos' ? this.place.daemon.workerPid() : Promise.resolve(undefined);
  }

  async variable(name: string): Promise<string> {
    const connection = await this.#mariadb.connect();
    const [rows] = await connection.query<RowDataPacket[]>('SHOW GLOBAL VARIABLES LIKE ?', [name]);
    return String(rows[0]?.Value ?? '');
  }

  disconnect(): void {
    this.#mariadb.disconnect();
  }

  stop(): Promise<void> {
    return this.#mariadb.stop();
  }

  /** Restarts the daemon: a new worker has an empty block cache. */
  async #restartDaemon(): Promise<void> {
    if (this.#engine !== 'vamos') return;
    await this.place.daemon.stop();
    await this.place.daemon.start();
  }

  async #dropPageCaches(): Promise<void> {
    await dropPageCache(this.place.vm);
    if (this.#engine !== 'vamos') return dropFromPageCache([this.place.dataDisk]);
    const entries = await readdir(this.place.root, { recursive: true, withFileTypes: true });
    await dropFromPageCache(
      entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => path.join(parentPath, name)),
    );
  }
}

/** Drops clean pages of these files from this machine's page cache, which does not take root's rights. */
async function dropFromPageCache(files: readonly string[]): Promise<void> {
  await Promise.all(
    files.map(async (file) => {
      await promisify(execFile)('sync', [file]);
      await promisify(execFile)('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
    }),
  );
}
