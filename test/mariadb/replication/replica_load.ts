/** Order entry on a source while a replica applies it in parallel. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { violations } from '../../../bench/order_entry/consistency.js';
import { load } from '../../../bench/order_entry/load.js';
import type { Scale } from '../../../bench/order_entry/schema.js';
import { MIX, runTerminals } from '../../../bench/order_entry/workload.js';
import { follow, Replicas } from './replicas.js';
import type { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';

/** There are few rows, so that transactions conflict. */
const SCALE: Scale = { warehouses: 2, districts: 4, customers: 30, items: 100 };
const CONNECTIONS = 8;
const THREADS = 8;
/** A replica that does nothing for so long does not catch up. */
const STANDSTILL_MS = 120_000;
const MANY_DECKS = 1_000_000;

export const PARALLEL_MODES = ['optimistic', 'aggressive', 'conservative', 'minimal', 'none'] as const;

export interface ReplicaCase {
  from: string;
  to: string;
  mode: (typeof PARALLEL_MODES)[number];
}

export interface ReplicaResult {
  transactions: number;
  /** Transactions that the replica made again, because they conflicted with one before them. */
  retries: number;
  /** From the end of the load to the replica's last transaction. */
  behindSeconds: number;
}

/** @throws Error with what the replica stopped at, or with what differs */
export async function replicateLoad(
  { from, to, mode }: ReplicaCase,
  seconds: number,
): Promise<ReplicaResult> {
  await using replicas = new Replicas();
  const [{ source, port }, replica] = await Promise.all([
    replicas.startSource(1, from, '--log-slave-updates'),
    replicas.start(2, to, '--log-slave-updates', `--slave-parallel-threads=${THREADS}`),
  ]);
  await using writer = await Session.open(source);
  await using reader = await Session.open(replica);
  await follow(reader, writer, port);
  await reader.sql(`SET GLOBAL slave_parallel_mode = ${mode}`, 'START SLAVE');

  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => source.connect()));
  // No engine: each server has its own.
  await load(connections[0]!, undefined, SCALE);
  const { transactions } = await runTerminals(connections, SCALE, { deck: MIX, decks: MANY_DECKS, seconds });
  const ended = performance.now();
  await untilCaughtUp(replica, await positionOf(source));
  const behindSeconds = (performance.now() - ended) / 1000;
  await checkEqual(connections[0]!, await replica.connect());
  const [status] = await replica.query("SHOW GLOBAL STATUS LIKE 'Slave_retried_transactions'");
  return {
    transactions: Object.values(transactions).reduce((sum, count) => sum + count, 0),
    retries: Number(status!['Value']),
    behindSeconds,
  };
}

async function positionOf(source: MariadbServer): Promise<string> {
  const [row] = await source.query('SELECT @@gtid_binlog_pos AS position');
  return row!['position'] as string;
}

async function untilCaughtUp(replica: MariadbServer, wanted: string): Promise<void> {
  let reached = '';
  let reachedAt = performance.now();
  for (;;) {
    const [status] = await replica.query('SHOW SLAVE STATUS');
    const stop = (status!['Last_SQL_Error'] || status!['Last_IO_Error']) as string;
    if (stop) throw new Error(`the replica stopped: ${stop}`);
    const [row] = await replica.query('SELECT @@gtid_slave_pos AS position');
    const position = row!['position'] as string;
    if (position === wanted) return;
    if (position !== reached) [reached, reachedAt] = [position, performance.now()];
    if (performance.now() - reachedAt > STANDSTILL_MS) {
      const threads = await replica.query('SHOW FULL PROCESSLIST');
      throw new Error(`the replica stands at ${position} of ${wanted}: ${JSON.stringify(threads)}`);
    }
    await delay(100);
  }
}

/**
 * Compares all rows of all tables, and checks the conditions that the replica's rows must keep by themselves.
 */
async function checkEqual(source: Connection, replica: Connection): Promise<void> {
  const [tables] = await source.query<RowDataPacket[]>({ sql: 'SHOW TABLES', rowsAsArray: true });
  for (const [table] of tables as unknown as string[][]) {
    const [theirs, ours] = await Promise.all(
      [source, replica].map(async (connection) => {
        const [rows] = await connection.query({ sql: `SELECT * FROM ${table!}`, rowsAsArray: true });
        return (rows as unknown[]).map((row) => JSON.stringify(row)).sort();
      }),
    );
    const different = theirs!.findIndex((row, at) => row !== ours![at]);
    if (different >= 0 || theirs!.length !== ours!.length) {
      throw new Error(
        `${table!} has ${theirs!.length} rows on the source and ${ours!.length} on the replica; the first that ` +
          `differ: ${theirs![different]} and ${ours![different]}`,
      );
    }
  }
  const broken = await violations(replica);
  if (broken.length > 0) throw new Error(broken.join('\n'));
}
