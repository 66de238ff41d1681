import { alignColumns } from '../table.js';
import type { Costs } from './costs.js';
import type { Sample, TestName } from './sysbench.js';

export const ENGINES = ['vamos', 'innodb', 'rocksdb'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface MeasuredSample extends Sample {
  costs: Costs;
}

export interface SysbenchRow {
  test: TestName;
  engine: EngineName;
  threads: number;
  transactionsPerSecond: number;
  /** The mean of its rounds' 95th percentiles. */
  p95Ms: number;
  /** Deadlocks and lock timeouts, after which sysbench made the transaction again. */
  retried: number;
  /**
   * Costs of a transaction: processor time of mariadbd and of the host's worker; the channel's requests and
   * frames.
   */
  serverMicroseconds: number;
  workerMicroseconds: number;
  requests: number;
  frames: number;
  /** Transactions a second of each round; how far they differ shows how noisy the machine was. */
  rounds: number[];
}

export function summarize(
  test: TestName,
  engine: EngineName,
  threads: number,
  samples: readonly MeasuredSample[],
): SysbenchRow {
  const sum = (value: (sample: MeasuredSample) => number): number =>
    samples.reduce((total, sample) => total + value(sample), 0);
  const count = Math.max(
    1,
    sum(({ transactions }) => transactions),
  );
  return {
    test,
    engine,
    threads,
    transactionsPerSecond: round(sum(({ transactions }) => transactions) / sum(({ seconds }) => seconds), 1),
    p95Ms: round(sum(({ p95Ms }) => p95Ms) / samples.length, 2),
    retried: sum(({ retried }) => retried),
    serverMicroseconds: round((1000 * sum(({ costs }) => costs.serverMs)) / count, 1),
    workerMicroseconds: round((1000 * sum(({ costs }) => costs.workerMs)) / count, 1),
    requests: round(sum(({ costs }) => costs.requests) / count, 2),
    frames: round(sum(({ costs }) => costs.frames) / count, 3),
    rounds: samples.map(({ transactions, seconds }) => round(transactions / seconds, 1)),
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Formats a line for each test and number of threads, the engines side by side. */
export function renderTable(rows: readonly SysbenchRow[]): string {
  const engines = ENGINES.filter((engine) => rows.some((row) => row.engine === engine));
  const others = engines.includes('vamos') ? engines.filter((engine) => engine !== 'vamos') : [];
  const head = [
    'test',
    'threads',
    ...engines.map((engine) => `${engine}/s`),
    ...others.map((engine) => `vamos : ${engine}`),
    ...engines.map((engine) => `${engine} p95 ms`),
    ...engines.map((engine) => `${engine} CPU us`),
    'vamos requests, frames',
    'made again',
  ];
  const lines = [head];
  for (const key of new Set(rows.map(({ test, threads }) => `${test} ${threads}`))) {
    const group = rows.filter(({ test, threads }) => `${test} ${threads}` === key);
    const of = (engine: EngineName) => group.find((row) => row.engine === engine);
    const vamos = of('vamos');
    const rate = (engine: EngineName) => of(engine)?.transactionsPerSecond;
    lines.push([
      ...key.split(' '),
      ...engines.map((engine) => rate(engine)?.toLocaleString('en', { maximumFractionDigits: 0 }) ?? '-'),
      ...others.map((engine) => ratio(rate('vamos'), rate(engine))),
      ...engines.map((engine) => of(engine)?.p95Ms.toFixed(2) ?? '-'),
      ...engines.map((engine) => cpuText(engine, of(engine))),
      vamos === undefined ? '-' : `${vamos.requests.toFixed(2)}, ${vamos.frames.toFixed(3)}`,
      String(group.reduce((total, row) => total + row.retried, 0)),
    ]);
  }
  return alignColumns(lines);
}

/** Formats the CPU time of mariadbd, and of the worker where it has a part in it. */
function cpuText(engine: EngineName, row: SysbenchRow | undefined): string {
  if (row === undefined) return '-';
  const server = row.serverMicroseconds.toFixed(0);
  return engine === 'vamos' ? `${server} + ${row.workerMicroseconds.toFixed(0)}` : server;
}

function ratio(rate: number | undefined, other: number | undefined): string {
  return rate === undefined || other === undefined ? '-' : (rate / other).toFixed(2);
}
