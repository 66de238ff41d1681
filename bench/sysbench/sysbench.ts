import { spawn } from 'node:child_process';

/** The scripts that sysbench brings, by the names that people use. */
export const TESTS = {
  point_select: 'oltp_point_select',
  read_only: 'oltp_read_only',
  update_index: 'oltp_update_index',
  read_write: 'oltp_read_write',
  insert: 'oltp_insert',
  delete: 'oltp_delete',
} as const;
export type TestName = keyof typeof TESTS;

/** The number of tables, and the rows in each. */
export interface TableSize {
  tables: number;
  rows: number;
}

/** Where the tables are. */
export interface Target {
  socketPath: string;
  user: string;
  database: string;
  /** The engine's name in CREATE TABLE. */
  engine: string;
  size: TableSize;
}

export interface Sample {
  transactions: number;
  seconds: number;
  p95Ms: number;
  /** Deadlocks and lock timeouts, after which sysbench made the transaction again. Any other error fails the run. */
  retried: number;
}

export async function sysbenchVersion(): Promise<string> {
  return (await sysbench(['--version'])).trim().replace(/^sysbench /, '');
}

/** Makes the tables and fills them; the secondary index is made when the rows are in. */
export async function prepare(target: Target): Promise<void> {
  await sysbench(['oltp_read_write', ...places(target), `--threads=${target.size.tables}`, 'prepare']);
}

export async function dropTables(target: Target): Promise<void> {
  await sysbench(['oltp_read_write', ...places(target), 'cleanup']);
}

/**
 * Runs a test for this many seconds, or a number of deletes.
 * @throws Error with what sysbench said, for errors other than deadlocks and lock timeouts
 */
export async function runTest(
  target: Target,
  test: TestName,
  threads: number,
  seconds: number,
): Promise<Sample> {
  const length =
    test === 'delete'
      ? // Its own choice of rows prefers a hundredth of them, which would be gone after a moment.
        ['--time=0', `--events=${deleteCount(target.size, threads)}`, '--rand-type=uniform']
      : [`--time=${seconds}`];
  const settings = [`--threads=${threads}`, ...length, '--percentile=95'];
  return parseSample(await sysbench([TESTS[test], ...places(target), ...settings, 'run']));
}

/**
 * Returns how many rows to delete, the same for all engines: in a given time the faster one would come sooner
 * to rows that are gone, which cost it less. A seventh of these deletes find their row gone.
 */
function deleteCount({ tables, rows }: TableSize, threads: number): number {
  return Math.round(Math.min(tables * rows * 0.3, threads * 5000));
}

function places({ socketPath, user, database, engine, size }: Target): string[] {
  return [
    '--db-driver=mysql',
    // Deadlock, record changed since last read, lock wait timeout: after these an application runs the
    // transaction again.
    '--mysql-ignore-errors=1213,1020,1205',
    `--mysql-socket=${socketPath}`,
    `--mysql-user=${user}`,
    `--mysql-db=${database}`,
    `--mysql-storage-engine=${engine}`,
    `--tables=${size.tables}`,
    `--table-size=${size.rows}`,
  ];
}

/** Parses the end of sysbench's own report. */
export function parseSample(output: string): Sample {
  const number = (pattern: RegExp): number => {
    const text = pattern.exec(output)?.[1];
    if (text === undefined) throw new Error(`sysbench's report lacks ${pattern.source}:\n${output}`);
    return Number(text);
  };
  return {
    transactions: number(/^\s+transactions:\s+(\d+)/m),
    seconds: number(/^\s+total time:\s+([\d.]+)s/m),
    p95Ms: number(/^\s+95th percentile:\s+([\d.]+)/m),
    retried: number(/^\s+ignored errors:\s+(\d+)/m),
  };
}

function sysbench(args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('sysbench', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      // After an error in a thread sysbench goes on with the others, and ends with 0.
      const fatal = output.split('\n').filter((line) => line.startsWith('FATAL'));
      if (code === 0 && fatal.length === 0) return resolve(output);
      const why =
        fatal.length > 0
          ? fatal
              .slice(0, 5)
              .map((line) => line.slice(0, 300))
              .join('\n')
          : output.slice(-2000);
      reject(new Error(`sysbench ${args[0]} ended with ${code ?? signal}:\n${why}`));
    });
  });
}
