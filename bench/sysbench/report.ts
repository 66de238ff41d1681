import { alignColumns } from '../table.js';
import type { Sample, TestName } from './sysbench.js';

export const ENGINES = ['vamos', 'innodb', 'rocksdb'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface SysbenchRow {
  test: TestName;
  engine: EngineName;
  threads: number;
  transactionsPerSecond: number;
  /** The mean of its rounds' 95th percentiles. */
  p95Ms: number;
  /** Deadlocks and lock timeouts, made again. */
  retried: number;
  /** Transactions a second of each round: how far they lie apart tells how noisy the machine was. */
  rounds: number[];
}

export function summarize(
  test: TestName,
  engine: EngineName,
  threads: number,
  samples: readonly Sample[],
): SysbenchRow {
  const sum = (value: (sample: Sample) => number): number =>
    samples.reduce((total, sample) => total + value(sample), 0);
  return {
    test,
    engine,
    threads,
    transactionsPerSecond: round(sum(({ transactions }) => transactions) / sum(({ seconds }) => seconds), 1),
    p95Ms: round(sum(({ p95Ms }) => p95Ms) / samples.length, 2),
    retried: sum(({ retried }) => retried),
    rounds: samples.map(({ transactions, seconds }) => round(transactions / seconds, 1)),
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** A line for each test and number of threads, the engines side by side. */
export function renderTable(rows: readonly SysbenchRow[]): string {
  const engines = ENGINES.filter((engine) => rows.some((row) => row.engine === engine));
  const others = engines.includes('vamos') ? engines.filter((engine) => engine !== 'vamos') : [];
  const head = [
    'test',
    'threads',
    ...engines.map((engine) => `${engine}/s`),
    ...others.map((engine) => `vamos : ${engine}`),
    ...engines.map((engine) => `${engine} p95 ms`),
    'made again',
  ];
  const lines = [head];
  for (const key of new Set(rows.map(({ test, threads }) => `${test} ${threads}`))) {
    const group = rows.filter(({ test, threads }) => `${test} ${threads}` === key);
    const of = (engine: EngineName) => group.find((row) => row.engine === engine);
    const rate = (engine: EngineName) => of(engine)?.transactionsPerSecond;
    lines.push([
      ...key.split(' '),
      ...engines.map((engine) => rate(engine)?.toLocaleString('en', { maximumFractionDigits: 0 }) ?? '-'),
      ...others.map((engine) => ratio(rate('vamos'), rate(engine))),
      ...engines.map((engine) => of(engine)?.p95Ms.toFixed(2) ?? '-'),
      String(group.reduce((total, row) => total + row.retried, 0)),
    ]);
  }
  return alignColumns(lines);
}

function ratio(rate: number | undefined, other: number | undefined): string {
  return rate === undefined || other === undefined ? '-' : (rate / other).toFixed(2);
}
