import type { RowDataPacket } from 'mysql2/promise';
import { describe, expect, test } from 'vitest';
import { RowChecksum } from '../../bench/transitions/data.js';
import { ENGINE_SETTINGS, SESSION_SETTINGS } from '../../bench/transitions/engines.js';
import { makeStatements } from '../../bench/transitions/tables.js';
import { WORKLOAD_LIST, type Run, type Scale, type Workload } from '../../bench/transitions/workloads.js';
import { until } from '../../lab/daemon/daemon.js';
import type { MariadbServer } from '../../lab/mariadb/server.js';
import { useServer } from '../mariadb/suite.js';

const SCALE: Scale = {
  inserts: 5,
  batches: 1,
  scanBytes: 400 * 1024,
  points: 20,
  updates: 20,
  concurrentInserts: 3,
  customers: 300,
  mixTransactions: 2,
};
/** Clauses of the engines, each once: tuned settings change no results. */
const CLAUSES = [...new Set(Object.values(ENGINE_SETTINGS).map(({ clause }) => clause))];

const server = useServer();

describe.each(WORKLOAD_LIST)('$name', (workload) => {
  test.each(workload.rowSizes)('rows of %i bytes: all engines give the same results', async (rowBytes) => {
    const results: Record<string, string[]> = {};
    for (const clause of CLAUSES) {
      results[clause] = await performTwice(server(), workload, rowBytes, clause);
    }
    expect(
      new Set(Object.values(results).map((checksums) => checksums.join())).size,
      JSON.stringify(results),
    ).toBe(1);
  });
});

async function performTwice(
  at: MariadbServer,
  workload: Workload,
  rowBytes: number,
  clause: string,
): Promise<string[]> {
  const database = `${workload.name}_${rowBytes}_${clause}`;
  await at.query(`CREATE DATABASE ${database}`);
  const connections = await Promise.all(
    Array.from({ length: workload.connections }, () => at.connect({ database })),
  );
  try {
    for (const connection of connections) await connection.query(SESSION_SETTINGS);
    for (const table of workload.tables(rowBytes, SCALE)) {
      for (const sql of makeStatements(table, clause)) await connections[0]!.query(sql);
    }
    // The goodbyes of earlier connections count as statements, too, whenever the server comes to them.
    await until(async () => (await status(at, 'Threads_connected')) === connections.length + 1);
    const checksums: string[] = [];
    for (const repetition of [0, 1]) {
      const run: Run = { rowBytes, scale: SCALE, repetition };
      const checksum = new RowChecksum();
      await workload.warmUp?.(connections[0]!, run);
      const before = await status(at, 'Questions');
      await workload.perform(connections, run, checksum);
      // The query for the number is one of them.
      expect((await status(at, 'Questions')) - before - 1).toBe(workload.statements(run));
      const sql = workload.content?.(run);
      if (sql !== undefined) {
        const [rows] = await connections[0]!.query<RowDataPacket[][]>({ sql, rowsAsArray: true });
        checksum.add(rows);
      }
      checksums.push(checksum.digest());
    }
    return checksums;
  } finally {
    await Promise.all(connections.map((connection) => connection.end()));
    await at.query(`DROP DATABASE ${database}`);
  }
}

/** Returns how many statements the server was sent since its start. */
async function status(at: MariadbServer, name: string): Promise<number> {
  const [row] = await at.query<RowDataPacket[]>(`SHOW GLOBAL STATUS LIKE '${name}'`);
  return Number(row!.Value);
}
