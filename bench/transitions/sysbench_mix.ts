/**
 * The statements of sysbench's oltp_read_write (1.0.20, its defaults), sent by this program's own client so
 * that only the server is counted in the guest. Each connection has a part of the table to itself: what it
 * reads and leaves then does not depend on the order of the connections, and can be compared across engines.
 */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { randomNumbers } from '../demo/orders.js';
import type { RowChecksum } from './data.js';
import { payload } from './data.js';

const POINT_SELECTS = 10;
const RANGE_ROWS = 100;
const SEED = 13_000;
/** The error numbers of a deadlock and a lock wait timeout. */
const RETRYABLE = new Set([1213, 1205]);
/** BEGIN, ten points, four ranges, two updates, a delete, an insert, COMMIT. */
export const MIX_STATEMENTS = 1 + POINT_SELECTS + 4 + 4 + 1;
export const MIX_COLUMNS = ['id', 'k', 'c', 'pad'];

const between = 'FROM sbtest WHERE id BETWEEN ? AND ?';
const RANGES = [
  `SELECT c ${between}`,
  `SELECT SUM(k) ${between}`,
  `SELECT c ${between} ORDER BY c`,
  `SELECT DISTINCT c ${between} ORDER BY c`,
];

export interface Mix {
  rows: number;
  /** Transactions of each connection. */
  transactions: number;
  repetition: number;
}

interface Transaction {
  points: number[];
  /** The first rows of the ranges. */
  ranges: number[];
  changed: { k: number; c: number; replaced: number };
}

/** Runs all connections simultaneously: each makes its transactions one after another. */
export async function runMix(
  connections: readonly Connection[],
  mix: Mix,
  checksum: RowChecksum,
): Promise<void> {
  const part = Math.floor(mix.rows / connections.length);
  await Promise.all(
    connections.map(async (connection, index) => {
      const next = randomNumbers(SEED + mix.repetition * 1000 + index);
      for (let done = 0; done < mix.transactions; done++) {
        await perform(connection, chooseTransaction(next, 1 + index * part, part), checksum);
      }
    }),
  );
}

function chooseTransaction(next: () => number, first: number, part: number): Transaction {
  const below = (limit: number): number => first + Math.floor(next() * limit);
  return {
    points: Array.from({ length: POINT_SELECTS }, () => below(part)),
    ranges: RANGES.map(() => below(part - RANGE_ROWS)),
    changed: { k: below(part), c: below(part), replaced: below(part) },
  };
}

async function perform(
  connection: Connection,
  transaction: Transaction,
  checksum: RowChecksum,
): Promise<void> {
  for (;;) {
    try {
      const rows = await performOnce(connection, transaction);
      return checksum.add(rows);
    } catch (error) {
      if (!RETRYABLE.has((error as { errno?: number }).errno ?? 0)) throw error;
      await connection.query('ROLLBACK');
    }
  }
}

async function performOnce(
  connection: Connection,
  { points, ranges, changed: { k, c, replaced } }: Transaction,
): Promise<RowDataPacket[][]> {
  const found: RowDataPacket[][] = [];
  const read = async (sql: string, values: number[]): Promise<void> => {
    const [rows] = await connection.query<RowDataPacket[][]>({ sql, values, rowsAsArray: true });
    found.push(...rows);
  };
  await connection.query('BEGIN');
  for (const id of points) await read('SELECT c FROM sbtest WHERE id = ?', [id]);
  for (const [index, from] of ranges.entries()) await read(RANGES[index]!, [from, from + RANGE_ROWS - 1]);
  await connection.query('UPDATE sbtest SET k = k + 1 WHERE id = ?', [k]);
  await connection.query('UPDATE sbtest SET c = ? WHERE id = ?', [payload(c + k, 119), c]);
  await connection.query('DELETE FROM sbtest WHERE id = ?', [replaced]);
  const row = [replaced, k, payload(replaced + c, 119), payload(replaced, 59)];
  await connection.query('INSERT INTO sbtest (id, k, c, pad) VALUES (?)', [row]);
  await connection.query('COMMIT');
  return found;
}
