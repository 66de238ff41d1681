import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { MariadbServer } from '../../lab/mariadb/server.js';
import { CostMeter } from './costs.js';
import { renderTable, summarize, type EngineName, type MeasuredSample, type SysbenchRow } from './report.js';
import {
  dropTables,
  prepare,
  runTest,
  sysbenchVersion,
  type TableSize,
  type Target,
  type TestName,
} from './sysbench.js';

interface Scale {
  size: TableSize;
  rounds: number;
  roundSeconds: number;
}

const FULL: Scale = { size: { tables: 4, rows: 50_000 }, rounds: 2, roundSeconds: 6 };
const QUICK: Scale = { size: { tables: 4, rows: 10_000 }, rounds: 1, roundSeconds: 2 };
/**
 * The pause between two samples, so that one does not pay for what the engine before still writes in the
 * background.
 */
const REST_MS = 500;

/** Enough memory for all tables, in every engine. */
const CACHE_BYTES = 512 * 2 ** 20;
const SERVER_ARGUMENTS = [
  // These are set by Debian's packages.
  '--character-set-server=utf8mb4',
  '--max-connections=200',
  `--innodb-buffer-pool-size=${CACHE_BYTES}`,
  '--innodb-log-file-size=512M',
  // This is the default of each engine, and the basis of the comparison: every commit is synced.
  '--innodb-flush-log-at-trx-commit=1',
  '--loose-rocksdb-flush-log-at-trx-commit=1',
];
/** The engines' names in sysbench's CREATE TABLE. */
const ENGINE_CLAUSES: Record<EngineName, string> = { vamos: 'VAMOS', innodb: 'InnoDB', rocksdb: 'ROCKSDB' };

export interface SysbenchOptions {
  json?: string;
  quick?: boolean;
  test: TestName[];
  engine: EngineName[];
  threads: number[];
}

export async function runSysbench(options: SysbenchOptions): Promise<void> {
  const scale = options.quick ? QUICK : FULL;
  const started = new Date();
  showProgress('starting the server');
  await using server = await startServer(options.engine);
  const versions = { sysbench: await sysbenchVersion(), mariadb: await serverVersion(server) };
  const targets = new Map<EngineName, Target>();
  for (const engine of options.engine) {
    targets.set(engine, await makeTables(server, engine, scale.size));
  }
  const rows: SysbenchRow[] = [];
  const meter = new CostMeter(server);
  for (const test of options.test) {
    for (const threads of options.threads) {
      rows.push(...(await measure(targets, test, threads, scale, meter)));
    }
  }
  showProgress('');

  console.log(renderTable(rows));
  const names = Object.entries(versions).map(([name, text]) => `${name} ${text}`);
  const machine = describeMachine();
  console.log(`\n${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.kernel}; ${names.join(', ')}`);
  console.log(
    `${scale.size.tables} tables of ${scale.size.rows} rows; ${scale.rounds} rounds of ${scale.roundSeconds} s each; all ` +
      `programs share the machine; every commit is synced.`,
  );
  if (options.json === undefined) return;
  const report = {
    date: started.toISOString(),
    seconds: Math.round((Date.now() - started.getTime()) / 1000),
    machine,
    versions,
    scale,
    rows,
  };
  await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
}

function startServer(engines: readonly EngineName[]): Promise<MariadbServer> {
  const isWith = (engine: EngineName): boolean => engines.includes(engine);
  return MariadbServer.start({
    args: [...SERVER_ARGUMENTS, ...(isWith('rocksdb') ? [`--rocksdb-block-cache-size=${CACHE_BYTES}`] : [])],
    plugins: isWith('rocksdb') ? ['ha_rocksdb.so'] : [],
    host: isWith('vamos') ? 'own' : 'none',
    limits: { blockCacheBytes: CACHE_BYTES },
  });
}

async function serverVersion(server: MariadbServer): Promise<string> {
  const [row] = await server.query<RowDataPacket[]>('SELECT VERSION() AS version');
  return String(row!.version);
}

async function makeTables(server: MariadbServer, engine: EngineName, size: TableSize): Promise<Target> {
  showProgress(`${engine}: filling ${size.tables} tables of ${size.rows} rows`);
  const database = `sysbench_${engine}`;
  await server.query(`CREATE DATABASE ${database}`);
  const engineClause = ENGINE_CLAUSES[engine];
  const target = { socketPath: server.socket, user: 'root', database, engine: engineClause, size };
  await prepare(target);
  return target;
}

/** Runs one test with all engines, which take turns. */
async function measure(
  targets: ReadonlyMap<EngineName, Target>,
  test: TestName,
  threads: number,
  scale: Scale,
  meter: CostMeter,
): Promise<SysbenchRow[]> {
  const engines = [...targets.keys()];
  const samples = new Map<EngineName, MeasuredSample[]>(engines.map((engine) => [engine, []]));
  for (let round = 0; round < scale.rounds; round++) {
    // Each round starts with another engine.
    const order = engines.map((_, index) => engines[(index + round) % engines.length]!);
    for (const engine of order) {
      const target = targets.get(engine)!;
      const what = `${test}, ${threads} threads, round ${round + 1}/${scale.rounds}: ${engine}`;
      if (test === 'delete') {
        showProgress(`${what}: filling the tables again`);
        await dropTables(target);
        await prepare(target);
      }
      showProgress(what);
      await sleep(REST_MS);
      const { result: sample, costs } = await meter.measure(() =>
        runTest(target, test, threads, scale.roundSeconds),
      );
      samples.get(engine)!.push({ ...sample, costs });
      showProgress(`${what}: ${Math.round(sample.transactions / sample.seconds)}/s`);
    }
  }
  return engines.map((engine) => summarize(test, engine, threads, samples.get(engine)!));
}

function describeMachine() {
  return {
    cpu: os.cpus()[0]?.model ?? os.arch(),
    cpus: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
    /**
     * The load of the last minute when the run ended. The run itself adds about as much as its processes that
     * want a CPU simultaneously.
     */
    loadAverage: os.loadavg()[0],
  };
}

function showProgress(message: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${message}`);
  else if (message !== '') process.stderr.write(`${message}\n`);
}
