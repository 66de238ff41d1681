import { createServer } from 'node:net';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { startMariadb, type MariadbOptions, type Vm } from '../host/vm/index.js';

const CONNECT_TIMEOUT_MS = 20_000;

/**
 * Settings for InnoDB at its best for small commits: a pool that holds everything, pages written only when
 * they must be, no statistics gathered while it is measured. Every commit is synced, as on the other side.
 */
export const TUNED_INNODB = [
  '--innodb-buffer-pool-size=128M',
  '--innodb-flush-log-at-trx-commit=1',
  '--innodb-max-dirty-pages-pct=99',
  '--innodb-max-dirty-pages-pct-lwm=0',
  '--innodb-adaptive-flushing=OFF',
  '--innodb-stats-auto-recalc=OFF',
  // A new server begins with an empty pool, as VAMOS begins with nothing.
  '--innodb-buffer-pool-load-at-startup=OFF',
];

const AWAIT_END = `for try in $(seq 1200); do
  /usr/lib/vamos/busybox pidof mariadbd >/dev/null || exit 0
  sleep 0.1
done
exit 1`;

/** MariaDB in the guest with its files on the data disk, reached from here through a forwarded port. */
export class GuestMariadb {
  readonly #connections: Connection[] = [];

  private constructor(
    private readonly vm: Vm,
    private readonly port: number,
    private readonly options: MariadbOptions,
  ) {}

  /** @param port a port of this machine, which leads to MariaDB's in the guest */
  static async start(vm: Vm, port: number, options: MariadbOptions = {}): Promise<GuestMariadb> {
    await startMariadb(vm, options);
    return new GuestMariadb(vm, port, options);
  }

  async connect(database?: string): Promise<Connection> {
    const connection = await createConnection({
      host: '127.0.0.1',
      port: this.port,
      user: 'root',
      connectTimeout: CONNECT_TIMEOUT_MS,
      ...(database === undefined ? {} : { database }),
    });
    this.#connections.push(connection);
    return connection;
  }

  /** Returns the numbers of SHOW GLOBAL STATUS, by their names in lower case. */
  async status(): Promise<Record<string, number>> {
    const connection = this.#connections[0] ?? (await this.connect());
    const [rows] = await connection.query<RowDataPacket[]>(
      "SHOW GLOBAL STATUS WHERE Variable_name LIKE 'vamos%' OR Variable_name = 'Questions'",
    );
    return Object.fromEntries(
      rows.map((row) => [String(row.Variable_name).toLowerCase(), Number(row.Value)]),
    );
  }

  /**
   * Ends the server in order and starts it again, with nothing in memory.
   * @param between runs while it is down
   */
  async restart(between: () => Promise<void>): Promise<void> {
    await this.stop();
    await between();
    await startMariadb(this.vm, this.options);
  }

  /** Ends the server in order, with its data written. */
  async stop(): Promise<void> {
    await (await this.connect()).query('SHUTDOWN');
    this.disconnect();
    const { code } = await this.vm.exec(['sh', '-c', AWAIT_END]);
    if (code !== 0) throw new Error('MariaDB in the guest does not end');
  }

  disconnect(): void {
    for (const connection of this.#connections.splice(0)) connection.destroy();
  }
}

/** Returns a TCP port of this machine that is not in use. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  });
}
