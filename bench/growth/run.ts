import { writeFile } from 'node:fs/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { MariadbServer } from '../../lab/mariadb/server.js';
import { draw } from '../draw.js';
import {
  plotGrowth,
  renderGrowth,
  type GrowthEngine,
  type GrowthOperation,
  type GrowthRow,
} from './report.js';

const MB = 1_000_000;
const MIB = 2 ** 20;
const FIRST_BYTES = 10 * MB;
/**
 * About what a row takes with its three index entries: the row's 100 bytes of text, its numbers, and its
 * keys.
 */
const ROW_BYTES = 240;
const LOAD_ROWS = 20_000;
const INSERT_STATEMENTS = 10;
const INSERT_ROWS = 500;
const POINT_READS = 1000;
const RANGE_READS = 100;
const RANGE_ROWS = 100;
/**
 * Values of the column whose ranges are read, for each row: RANGE_ROWS rows lie in a range of this width
 * times as many.
 */
const VALUES_A_ROW = 16;

const ENGINES: readonly GrowthEngine[] = ['VAMOS', 'InnoDB'];

export interface GrowthOptions {
  cacheMib: number;
  times: number;
  json?: string;
  plot?: string;
}

export async function runGrowth(options: GrowthOptions): Promise<void> {
  const cacheBytes = options.cacheMib * MIB;
  await using server = await MariadbServer.start({
    args: [
      `--innodb-buffer-pool-size=${cacheBytes}`,
      '--innodb-log-file-size=512M',
      '--innodb-flush-log-at-trx-commit=1',
    ],
    limits: { blockCacheBytes: cacheBytes },
  });
  for (const engine of ENGINES) {
    await server.query(
      `CREATE TABLE ${tableOf(engine)} (id BIGINT PRIMARY KEY, a INT, b BIGINT, c VARCHAR(20), filler VARCHAR(100),
       KEY (a), KEY (b), KEY (c)) ENGINE=${engine}`,
    );
  }
  const rows: GrowthRow[] = [];
  const loaded = new Map(ENGINES.map((engine) => [engine, 0]));
  for (const tableBytes of sizes(cacheBytes * options.times)) {
    for (const engine of ENGINES) {
      rows.push(...(await measureAt(server, engine, tableBytes, loaded)));
    }
  }
  showProgress('');
  console.log(renderGrowth(rows, cacheBytes));
  const report = { date: new Date().toISOString(), cacheBytes, rowBytes: ROW_BYTES, rows };
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (options.plot !== undefined) await writeFile(options.plot, await draw(plotGrowth(rows, cacheBytes)));
}

/** Returns sizes from 10 MB on, each twice the one before, up to `lastBytes`. */
function sizes(lastBytes: number): number[] {
  const result: number[] = [];
  for (let bytes = FIRST_BYTES; bytes < lastBytes; bytes *= 2) result.push(bytes);
  return [...result, lastBytes];
}

async function measureAt(
  server: MariadbServer,
  engine: GrowthEngine,
  tableBytes: number,
  loaded: Map<GrowthEngine, number>,
): Promise<GrowthRow[]> {
  const table = tableOf(engine);
  const wanted = Math.round(tableBytes / ROW_BYTES);
  const insert = async (count: number): Promise<void> => {
    const first = loaded.get(engine)!;
    await server.query(insertText(table, first, count));
    loaded.set(engine, first + count);
  };
  while (loaded.get(engine)! < wanted) {
    showProgress(`${engine}: filling, ${loaded.get(engine)!} of ${wanted} rows`);
    await insert(Math.min(LOAD_ROWS, wanted - loaded.get(engine)!));
  }
  showProgress(`${engine}: measuring at ${wanted} rows`);
  const random = numbers(wanted);
  const result: GrowthRow[] = [];
  const measure = async (
    operation: GrowthOperation,
    count: number,
    run: () => Promise<void>,
  ): Promise<void> => {
    const started = performance.now();
    for (let done = 0; done < count; done++) await run();
    result.push({ engine, operation, tableBytes, tableRows: wanted, ms: performance.now() - started, count });
  };
  await measure('insert', INSERT_STATEMENTS, () => insert(INSERT_ROWS));
  await measure('point', POINT_READS, async () => {
    await server.query<RowDataPacket[]>(`SELECT * FROM ${table} WHERE id = ${idOf(String(random(wanted)))}`);
  });
  await measure('range', RANGE_READS, async () => {
    const low = random(wanted * VALUES_A_ROW);
    const high = low + RANGE_ROWS * VALUES_A_ROW;
    await server.query<RowDataPacket[]>(
      `SELECT SUM(LENGTH(filler)) FROM ${table} FORCE INDEX (b) WHERE b BETWEEN ${low} AND ${high}`,
    );
  });
  return result;
}

const tableOf = (engine: GrowthEngine): string => `growth_${engine.toLowerCase()}`;

/**
 * Scrambles 32 bits one to one, so that rows which are inserted together lie far apart (Knuth's
 * multiplicative hash).
 */
const idOf = (number: string): string => `(${number} * 2654435761 MOD 4294967296)`;

/**
 * Returns an INSERT of rows with numbers from `first`; all keys lie at random places, the same in each
 * engine.
 */
function insertText(table: string, first: number, count: number): string {
  const number = `(seq + ${first})`;
  const id = idOf(number);
  const spread = `CRC32(${number})`;
  return `INSERT INTO ${table} SELECT ${id}, ${spread} MOD 1000000, ${spread} MOD ${(first + count) * VALUES_A_ROW},
    HEX(${spread} * 65599), REPEAT(CHAR(97 + ${number} MOD 26), 100) FROM seq_0_to_${count - 1}`;
}

/** Returns the same sequence for each engine: a linear congruential generator (Numerical Recipes). */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function showProgress(message: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${message}`);
  else if (message.includes('measuring')) process.stderr.write(`${message}\n`);
}
