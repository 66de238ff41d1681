/** Servers that replicate from one another. */
import net from 'node:net';
import { afterEach } from 'vitest';
import { until } from '../../../lab/daemon/daemon.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import type { Session } from '../../../lab/mariadb/session.js';

/** Servers with a binary log whose tables are the engine's; they end together. */
export class Replicas implements AsyncDisposable {
  readonly #servers: MariadbServer[] = [];

  async start(id: number, engine: string, ...args: string[]): Promise<MariadbServer> {
    const server = await MariadbServer.start({
      host: engine === 'VAMOS' ? 'own' : 'none',
      args: [
        `--server-id=${id}`,
        '--log-bin=binary',
        '--binlog-format=ROW',
        `--default-storage-engine=${engine}`,
        ...args,
      ],
    });
    this.#servers.push(server);
    return server;
  }

  /** One that others can replicate from: on a port that another process may take before the server does. */
  async startSource(
    id: number,
    engine: string,
    ...args: string[]
  ): Promise<{ source: MariadbServer; port: number }> {
    for (let triesLeft = 10; ; triesLeft--) {
      const port = await freePort();
      const network = ['--skip-networking=0', '--bind-address=127.0.0.1', `--port=${port}`];
      try {
        return { source: await this.start(id, engine, ...network, ...args), port };
      } catch (error) {
        if (triesLeft === 0 || !/Bind on TCP\/IP port/.test((error as Error).message)) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.splice(0).map((server) => server[Symbol.asyncDispose]()));
  }
}

/** Servers that end with the test. */
export function useReplicas(): Replicas {
  const replicas = new Replicas();
  afterEach(() => replicas[Symbol.asyncDispose]());
  return replicas;
}

async function freePort(): Promise<number> {
  const probe = net.createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Makes the reader's server a replica of the writer's, which listens on the port. START SLAVE is left to do. */
export async function follow(reader: Session, writer: Session, port: number): Promise<void> {
  await writer.sql(
    "CREATE USER IF NOT EXISTS replica@'127.0.0.1'",
    "GRANT REPLICATION SLAVE ON *.* TO replica@'127.0.0.1'",
  );
  await reader.sql(
    `CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${port}, MASTER_USER='replica', MASTER_USE_GTID=slave_pos`,
  );
}

/**
 * Settles when the replica has done all that the source's binary log has.
 * @throws Error with what the replica stopped at
 */
export async function caughtUp(reader: Session, writer: Session): Promise<void> {
  const [[gtid]] = (await writer.sql('SELECT @@gtid_binlog_pos')) as [[string]];
  await until(async () => {
    const [rows] = await reader.connection.query('SHOW SLAVE STATUS');
    const [status] = rows as Record<string, string>[];
    const { Last_SQL_Error: refusal, Last_IO_Error: loss } = status!;
    if (refusal || loss) throw new Error(refusal || loss);
    const [[position]] = (await reader.sql('SELECT @@gtid_slave_pos')) as [[string]];
    return position === gtid;
  });
}
