import type { Plot } from '../draw.js';
import { alignColumns, short, size } from '../table.js';

export type GrowthEngine = 'VAMOS' | 'InnoDB';
export type GrowthOperation = 'insert' | 'point' | 'range';

/** What `count` statements of a kind took when the table had that size. */
export interface GrowthRow {
  engine: GrowthEngine;
  operation: GrowthOperation;
  tableBytes: number;
  tableRows: number;
  ms: number;
  count: number;
}

const TITLES: Record<GrowthOperation, string> = {
  insert: 'INSERT of 500 rows',
  point: 'SELECT by primary key',
  range: 'range of 100 rows by a secondary index',
};
const OPERATIONS = Object.keys(TITLES) as GrowthOperation[];

const msAStatement = (row: GrowthRow): number => row.ms / row.count;

/** Formats milliseconds a statement: a line for each size, both engines side by side. */
export function renderGrowth(rows: readonly GrowthRow[], cacheBytes: number): string {
  const find = (engine: GrowthEngine, operation: GrowthOperation, tableBytes: number): number =>
    msAStatement(
      rows.find(
        (row) => row.engine === engine && row.operation === operation && row.tableBytes === tableBytes,
      )!,
    );
  const head = ['table', ...OPERATIONS.flatMap((operation) => [`${operation}: VAMOS`, 'InnoDB', 'ratio'])];
  const lines = [...new Set(rows.map(({ tableBytes }) => tableBytes))].map((tableBytes) => [
    size(tableBytes),
    ...OPERATIONS.flatMap((operation) => {
      const vamos = find('VAMOS', operation, tableBytes);
      const innodb = find('InnoDB', operation, tableBytes);
      return [short(vamos), short(innodb), short(vamos / innodb)];
    }),
  ]);
  return `Milliseconds a statement; cache and pool of ${size(cacheBytes)}\n\n${alignColumns([head, ...lines])}`;
}

export function plotGrowth(rows: readonly GrowthRow[], cacheBytes: number): Plot {
  const megabytes = (bytes: number): number => bytes / 1e6;
  const values = rows.map((row) => ({
    engine: row.engine,
    operation: TITLES[row.operation],
    megabytes: megabytes(row.tableBytes),
    ms: msAStatement(row),
  }));
  return {
    title: {
      text: 'A table that outgrows the cache',
      subtitle: [
        `Milliseconds a statement while the table grows to ${Math.round(Math.max(...values.map((value) => value.megabytes)))} MB.`,
        `Block cache and buffer pool have ${size(cacheBytes)} each (dashed line).`,
      ],
    },
    data: { values },
    facet: {
      column: { field: 'operation', title: null, sort: OPERATIONS.map((operation) => TITLES[operation]) },
    },
    resolve: { scale: { y: 'independent' } },
    spec: {
      width: 260,
      height: 220,
      layer: [
        {
          mark: { type: 'line', point: true },
          encoding: {
            x: { field: 'megabytes', type: 'quantitative', scale: { type: 'log' }, title: 'table, MB' },
            y: { field: 'ms', type: 'quantitative', scale: { type: 'log' }, title: 'ms a statement' },
            color: {
              field: 'engine',
              title: null,
              scale: { domain: ['VAMOS', 'InnoDB'], range: ['#0072B2', '#D55E00'] },
            },
          },
        },
        {
          mark: { type: 'rule', strokeDash: [4, 4], color: '#888' },
          encoding: { x: { datum: megabytes(cacheBytes) } },
        },
      ],
    },
  } as Plot;
}
