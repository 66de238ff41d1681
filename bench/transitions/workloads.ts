/** The workloads that are measured: W1 to W13. */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { RowChecksum } from './data.js';
import { choices, payload, type ResultRows } from './data.js';
import type { ScaleName, WorkloadName } from './result.js';
import { MIX_STATEMENTS, MIX_COLUMNS, runMix } from './sysbench_mix.js';
import {
  contentQuery,
  customersTable,
  ordersTable,
  payloadBytes,
  ROW_COLUMNS,
  rowsTable,
  sysbenchTable,
  type TableDefinition,
} from './tables.js';

/** How much a repetition does. */
export interface Scale {
  inserts: number;
  batches: number;
  /** Bytes of a scanned table, whatever the size of its rows. */
  scanBytes: number;
  points: number;
  updates: number;
  /** Inserts of each of the connections. */
  concurrentInserts: number;
  customers: number;
  /** Transactions of each of the connections. */
  mixTransactions: number;
}

export const SCALES: Record<ScaleName, Scale> = {
  full: {
    inserts: 1000,
    batches: 10,
    scanBytes: 20_000 * 1024,
    points: 500,
    updates: 500,
    concurrentInserts: 60,
    customers: 10_000,
    mixTransactions: 8,
  },
  quick: {
    inserts: 100,
    batches: 3,
    scanBytes: 5000 * 1024,
    points: 100,
    updates: 100,
    concurrentInserts: 20,
    customers: 2000,
    mixTransactions: 2,
  },
};

/** The least number of repetitions; a row of the benchmark's results has a value for each. */
export const REPETITIONS = 3;

/** One repetition of a workload with rows of one size. */
export interface Run {
  rowBytes: number;
  scale: Scale;
  /** The number of the repetition, from 0. Writes go to keys that no other repetition has. */
  repetition: number;
}

export interface Workload {
  name: WorkloadName;
  /** Describes a statement of the workload. */
  title: string;
  rowSizes: readonly number[];
  connections: number;
  /** Begins with nothing cached by engine, guest or host. */
  isCold: boolean;
  tables(rowBytes: number, scale: Scale): TableDefinition[];
  statements(run: Run): number;
  /** Bytes of the rows that its statements are about. */
  dataBytes(run: Run): number;
  /** Runs before it is measured. */
  warmUp?(connection: Connection, run: Run): Promise<void>;
  /** Does what is measured. Adds the results of reads to the checksum. */
  perform(connections: readonly Connection[], run: Run, checksum: RowChecksum): Promise<void>;
  /** Returns a query, to run after the measurement, for what it left behind. */
  content?(run: Run): string;
}

const KIB = 1024;
const WRITE_SIZES = [64, KIB, 8 * KIB, 32 * KIB];
const READ_SIZES = [KIB, 8 * KIB];
const BATCH_ROWS = 100;
const JOINED_ORDERS = 1000;
const ORDER_BYTES = 18;
const DELETED_ROWS = 1000;
const SORTED_ROWS = 10;
const MIX_ROWS = 8000;
const MIX_ROW_BYTES = 188;
const MIX_CONNECTIONS = 8;
const CONCURRENT_CONNECTIONS = 16;
/**
 * The value (of a hundred) that the filter without an index selects; and how many of them the aggregates are
 * over.
 */
const FILTERED_NUMBER = 42;
const AGGREGATED_NUMBERS = 10;

const scannedRows = ({ scanBytes }: Scale, rowBytes: number): number => Math.floor(scanBytes / rowBytes);
/** A table of the workload's own, which no other workload has read. */
const rowsOf = (workload: WorkloadName, rowBytes: number): string =>
  `${workload}_rows_${rowBytes}`.toLowerCase();
const filledTable =
  (workload: WorkloadName) =>
  (rowBytes: number, scale: Scale): TableDefinition[] => [
    rowsTable(rowsOf(workload, rowBytes), rowBytes, scannedRows(scale, rowBytes)),
  ];

type Value = string | number;

/** Returns a row's values for an INSERT by mysql2: number, amount and version follow from the id. */
function rowValues(id: number, rowBytes: number): Value[] {
  return [id, id % 100, (id * 31) % 1000, 0, payload(id, payloadBytes(rowBytes))];
}

async function read(connection: Connection, sql: string, values: Value[] = []): Promise<ResultRows> {
  const [rows] = await connection.query<RowDataPacket[][]>({ sql, values, rowsAsArray: true });
  return rows;
}

/** Inserts one row each, in autocommit. */
async function insertRows(
  connection: Connection,
  table: string,
  first: number,
  count: number,
  rowBytes: number,
): Promise<void> {
  for (let id = first; id < first + count; id++) {
    await connection.query(`INSERT INTO ${table} VALUES (?)`, [rowValues(id, rowBytes)]);
  }
}

const selectPoints =
  (workload: WorkloadName): Workload['perform'] =>
  async ([connection], { rowBytes, scale, repetition }, checksum) => {
    const sql = `SELECT * FROM ${rowsOf(workload, rowBytes)} WHERE id = ?`;
    for (const id of choices(4000 + repetition, scale.points, scannedRows(scale, rowBytes))) {
      checksum.add(await read(connection!, sql, [id]));
    }
  };

const pointsBytes = ({ rowBytes, scale }: Run): number => scale.points * rowBytes;
const tableBytes = ({ rowBytes, scale }: Run): number => scannedRows(scale, rowBytes) * rowBytes;

/** Returns the keys of a repetition's writes: from one number to below another. */
function written(count: number, { repetition }: Run): [from: number, to: number] {
  return [1 + repetition * count, 1 + (repetition + 1) * count];
}

function contentOf(table: string, [from, to]: [number, number]): string {
  return contentQuery(table, ROW_COLUMNS, `id >= ${from} AND id < ${to}`);
}

export const WORKLOAD_LIST: readonly Workload[] = [
  {
    name: 'W1',
    title: 'INSERT of one row, autocommit',
    rowSizes: WRITE_SIZES,
    connections: 1,
    isCold: false,
    tables: (rowBytes) => [rowsTable(`inserted_${rowBytes}`, rowBytes)],
    statements: ({ scale }) => scale.inserts,
    dataBytes: ({ rowBytes, scale }) => scale.inserts * rowBytes,
    async perform([connection], run) {
      const [from] = written(run.scale.inserts, run);
      await insertRows(connection!, `inserted_${run.rowBytes}`, from, run.scale.inserts, run.rowBytes);
    },
    content: (run) => contentOf(`inserted_${run.rowBytes}`, written(run.scale.inserts, run)),
  },
  {
    name: 'W2',
    title: `INSERT of ${BATCH_ROWS} rows, autocommit`,
    rowSizes: WRITE_SIZES,
    connections: 1,
    isCold: false,
    tables: (rowBytes) => [rowsTable(`batched_${rowBytes}`, rowBytes)],
    statements: ({ scale }) => scale.batches,
    dataBytes: ({ rowBytes, scale }) => scale.batches * BATCH_ROWS * rowBytes,
    async perform([connection], run) {
      const { rowBytes, scale } = run;
      const [from, to] = written(scale.batches * BATCH_ROWS, run);
      for (let first = from; first < to; first += BATCH_ROWS) {
        const rows = Array.from({ length: BATCH_ROWS }, (_, index) => rowValues(first + index, rowBytes));
        await connection!.query(`INSERT INTO batched_${rowBytes} VALUES ?`, [rows]);
      }
    },
    content: (run) => contentOf(`batched_${run.rowBytes}`, written(run.scale.batches * BATCH_ROWS, run)),
  },
  {
    name: 'W3',
    title: 'COUNT and SUM(LENGTH) over the whole table, cold',
    rowSizes: READ_SIZES,
    connections: 1,
    isCold: true,
    tables: filledTable('W3'),
    statements: () => 1,
    dataBytes: tableBytes,
    async perform([connection], { rowBytes }, checksum) {
      checksum.add(
        await read(connection!, `SELECT COUNT(*), SUM(LENGTH(payload)) FROM ${rowsOf('W3', rowBytes)}`),
      );
    },
  },
  {
    name: 'W4',
    title: 'SELECT of a row by primary key, cold',
    rowSizes: READ_SIZES,
    connections: 1,
    isCold: true,
    tables: filledTable('W4'),
    statements: ({ scale }) => scale.points,
    dataBytes: pointsBytes,
    perform: selectPoints('W4'),
  },
  {
    name: 'W5',
    title: 'SELECT of 1 % of the rows by a column without index, cold',
    rowSizes: READ_SIZES,
    connections: 1,
    isCold: true,
    tables: filledTable('W5'),
    statements: () => 1,
    dataBytes: tableBytes,
    async perform([connection], { rowBytes }, checksum) {
      const sql = `SELECT * FROM ${rowsOf('W5', rowBytes)} WHERE number = ?`;
      checksum.add(await read(connection!, sql, [FILTERED_NUMBER]));
    },
  },
  {
    name: 'W6',
    title: 'UPDATE of a row by primary key, autocommit, cold',
    rowSizes: READ_SIZES,
    connections: 1,
    isCold: true,
    tables: filledTable('W6'),
    statements: ({ scale }) => scale.updates,
    dataBytes: ({ rowBytes, scale }) => scale.updates * rowBytes,
    async perform([connection], { rowBytes, scale, repetition }) {
      const ids = choices(6000 + repetition, scale.updates, scannedRows(scale, rowBytes));
      for (const id of ids) {
        await connection!.query(`UPDATE ${rowsOf('W6', rowBytes)} SET version = version + 1 WHERE id = ?`, [
          id,
        ]);
      }
    },
    content: ({ rowBytes }) => contentQuery(rowsOf('W6', rowBytes), ['id', 'version']),
  },
  {
    name: 'W7',
    title: `INSERT of one row, autocommit, from ${CONCURRENT_CONNECTIONS} connections`,
    rowSizes: [KIB],
    connections: CONCURRENT_CONNECTIONS,
    isCold: false,
    tables: (rowBytes) => [rowsTable('concurrent', rowBytes)],
    statements: ({ scale }) => CONCURRENT_CONNECTIONS * scale.concurrentInserts,
    dataBytes: ({ rowBytes, scale }) => CONCURRENT_CONNECTIONS * scale.concurrentInserts * rowBytes,
    async perform(connections, run) {
      const { rowBytes, scale } = run;
      const [from] = written(CONCURRENT_CONNECTIONS * scale.concurrentInserts, run);
      await Promise.all(
        connections.map((connection, index) => {
          const first = from + index * scale.concurrentInserts;
          return insertRows(connection, 'concurrent', first, scale.concurrentInserts, rowBytes);
        }),
      );
    },
    content: (run) =>
      contentOf('concurrent', written(CONCURRENT_CONNECTIONS * run.scale.concurrentInserts, run)),
  },
  {
    name: 'W8',
    title: `join of ${JOINED_ORDERS} orders to their customers by primary key, cold`,
    rowSizes: [KIB],
    connections: 1,
    isCold: true,
    tables: (_, { customers }) => [customersTable(customers), ordersTable(JOINED_ORDERS, customers)],
    statements: () => 1,
    dataBytes: ({ rowBytes }) => JOINED_ORDERS * (ORDER_BYTES + rowBytes),
    async perform([connection], _, checksum) {
      const sql = `SELECT STRAIGHT_JOIN orders.id, orders.total, customers.id, customers.name, customers.discount
        FROM orders JOIN customers ON customers.id = orders.customer`;
      checksum.add(await read(connection!, sql));
    },
  },
  {
    name: 'W9',
    title: 'MIN, MAX, AVG over a tenth of the rows, by a column without index, cold',
    rowSizes: [KIB],
    connections: 1,
    isCold: true,
    tables: filledTable('W9'),
    statements: () => 1,
    dataBytes: tableBytes,
    async perform([connection], { rowBytes }, checksum) {
      const sql = `SELECT MIN(amount), MAX(amount), AVG(amount) FROM ${rowsOf('W9', rowBytes)} WHERE number < ?`;
      checksum.add(await read(connection!, sql, [AGGREGATED_NUMBERS]));
    },
  },
  {
    name: 'W10',
    title: 'SELECT of a row by primary key, all rows read before',
    rowSizes: [KIB],
    connections: 1,
    isCold: false,
    tables: filledTable('W10'),
    statements: ({ scale }) => scale.points,
    dataBytes: pointsBytes,
    async warmUp(connection, { rowBytes }) {
      // No engine knows this sum without reading each row.
      await connection.query(`SELECT BIT_XOR(CRC32(payload)) FROM ${rowsOf('W10', rowBytes)}`);
    },
    perform: selectPoints('W10'),
  },
  {
    name: 'W11',
    title: `SELECT … ORDER BY primary key LIMIT ${SORTED_ROWS}, cold`,
    rowSizes: [KIB],
    connections: 1,
    isCold: true,
    tables: filledTable('W11'),
    statements: () => 1,
    dataBytes: ({ rowBytes }) => SORTED_ROWS * rowBytes,
    async perform([connection], { rowBytes }, checksum) {
      const sql = `SELECT * FROM ${rowsOf('W11', rowBytes)} ORDER BY id LIMIT ${SORTED_ROWS}`;
      checksum.add(await read(connection!, sql));
    },
  },
  {
    name: 'W12',
    title: `DELETE of a key range of ${DELETED_ROWS} rows, cold`,
    rowSizes: [KIB],
    connections: 1,
    isCold: true,
    tables: (rowBytes) => [rowsTable('deleted', rowBytes, 2 * REPETITIONS * DELETED_ROWS)],
    statements: () => 1,
    dataBytes: ({ rowBytes }) => DELETED_ROWS * rowBytes,
    async perform([connection], run) {
      const [from, to] = written(DELETED_ROWS, run);
      await connection!.query('DELETE FROM deleted WHERE id >= ? AND id < ?', [from, to]);
    },
    content: () => contentQuery('deleted', ROW_COLUMNS),
  },
  {
    name: 'W13',
    title: `statement of sysbench's oltp_read_write, ${MIX_CONNECTIONS} connections`,
    rowSizes: [MIX_ROW_BYTES],
    connections: MIX_CONNECTIONS,
    isCold: false,
    tables: () => [sysbenchTable(MIX_ROWS)],
    statements: ({ scale }) => MIX_CONNECTIONS * scale.mixTransactions * MIX_STATEMENTS,
    dataBytes: ({ rowBytes, scale }) => MIX_CONNECTIONS * scale.mixTransactions * MIX_STATEMENTS * rowBytes,
    perform: (connections, { scale, repetition }, checksum) =>
      runMix(connections, { rows: MIX_ROWS, transactions: scale.mixTransactions, repetition }, checksum),
    content: () => contentQuery('sbtest', MIX_COLUMNS),
  },
];
