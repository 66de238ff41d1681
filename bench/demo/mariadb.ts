import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import type { Vm } from '../../host/vm/index.js';
import { guestShell } from './measure.js';

/** Where MariaDB listens in the guest. */
export const GUEST_PORT = 3306;
const DATA = '/data/mysql';
const LOG = '/tmp/mariadbd.log';
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;
const USER = 'demo';

/**
 * InnoDB at its best for small commits: a pool that holds everything, pages written only when they must be, no
 * statistics gathered while it is measured. Every commit is synced, as on the other side.
 */
const INNODB = [
  '--innodb-buffer-pool-size=128M',
  '--innodb-flush-log-at-trx-commit=1',
  '--innodb-max-dirty-pages-pct=99',
  '--innodb-max-dirty-pages-pct-lwm=0',
  '--innodb-adaptive-flushing=OFF',
  '--innodb-stats-auto-recalc=OFF',
];

/** mariadbd in the guest, its data folder on the guest's data disk; reached from here through a forwarded port. */
export class GuestMariadb {
  readonly #connections: Connection[] = [];
  #process: ReturnType<Vm['spawn']> | undefined;

  constructor(
    private readonly vm: Vm,
    private readonly hostPort: number,
    /** As the plugin's setting names it. */
    private readonly channel: string,
  ) {}

  /** @throws Error with the server's log when it does not come up */
  async start(signal: AbortSignal): Promise<void> {
    // The system's copy of ibdata and logs, written here in full: InnoDB's first writes into a file with holes would
    // cost it the file system's journal.
    await guestShell(
      this.vm,
      `rm -rf ${DATA} && mkdir -p /run/mysqld && cp -a --sparse=never /var/lib/mysql ${DATA} &&
       printf 'CREATE OR REPLACE USER ${USER};\\nGRANT ALL ON *.* TO ${USER};\\n' > /tmp/init.sql && sync`,
    );
    this.#process = this.vm.spawn([
      'sh',
      '-c',
      `exec mariadbd --user=root --datadir=${DATA} --init-file=/tmp/init.sql --bind-address=0.0.0.0 --skip-name-resolve \
         --port=${GUEST_PORT} --loose-vamos-channel=${this.channel} ${INNODB.join(' ')} >${LOG} 2>&1`,
    ]);
    let isOver = false;
    void this.#process.exited.then(() => (isOver = true));
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      signal.throwIfAborted();
      try {
        await (await this.connect()).query('SELECT 1');
        return;
      } catch (error) {
        // The forwarded port takes connections before anybody listens in the guest.
        const isRefusedByServer = (error as { sqlMessage?: string }).sqlMessage !== undefined;
        if (!isOver && !isRefusedByServer && performance.now() < deadline) {
          await sleep(100);
          continue;
        }
        const log = await guestShell(this.vm, `tail -n 30 ${LOG}`);
        throw new Error(`mariadbd in the guest does not serve\n${log}`, { cause: error });
      }
    }
  }

  async connect(database?: string): Promise<Connection> {
    const connection = await createConnection({
      host: '127.0.0.1',
      port: this.hostPort,
      user: USER,
      ...(database === undefined ? {} : { database }),
      connectTimeout: 20_000,
    });
    this.#connections.push(connection);
    return connection;
  }

  /** Of SHOW GLOBAL STATUS, those whose names match. */
  async status(pattern: string): Promise<Record<string, number>> {
    const [connection] = this.#connections;
    const [rows] = await connection!.query<RowDataPacket[]>('SHOW GLOBAL STATUS LIKE ?', [pattern]);
    return Object.fromEntries(
      rows.map((row) => [String(row.Variable_name).toLowerCase(), Number(row.Value)]),
    );
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections.splice(0)) connection.destroy();
    const server = this.#process;
    this.#process = undefined;
    if (!server) return;
    const timer = setTimeout(() => {
      server.kill('SIGKILL');
    }, STOP_TIMEOUT_MS);
    server.kill('SIGTERM');
    await server.exited;
    clearTimeout(timer);
  }
}

/** A TCP port of this machine that nobody listens on. */
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
