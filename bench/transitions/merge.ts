import { ENGINES, WORKLOADS, type TransitionReport, type TransitionRow } from './result.js';

const keyOf = ({ workload, rowBytes, engine }: TransitionRow): string => `${workload} ${rowBytes} ${engine}`;

/**
 * Puts what was measured now in the place of what was measured before; the rest stays, in the order of the
 * workloads.
 */
export function mergeReports(before: TransitionReport | undefined, now: TransitionReport): TransitionReport {
  const rows = new Map((before?.rows ?? []).map((row) => [keyOf(row), row]));
  for (const row of now.rows) rows.set(keyOf(row), row);
  const hasVamos = now.rows.some(({ engine }) => engine === 'vamos');
  return {
    ...now,
    gatherUs: hasVamos ? now.gatherUs : (before?.gatherUs ?? now.gatherUs),
    rows: [...rows.values()].sort(inOrder),
  };
}

function inOrder(one: TransitionRow, other: TransitionRow): number {
  return (
    WORKLOADS.indexOf(one.workload) - WORKLOADS.indexOf(other.workload) ||
    one.rowBytes - other.rowBytes ||
    ENGINES.indexOf(one.engine) - ENGINES.indexOf(other.engine)
  );
}

/**
 * Returns workloads whose engines gave different results, each as a line of text. Only rows of one scale are
 * compared, since another scale does other work.
 */
export function checksumDifferences(rows: readonly TransitionRow[]): string[] {
  const groups = new Map<string, TransitionRow[]>();
  for (const row of rows) {
    const key = `${row.workload}, rows of ${row.rowBytes} bytes, ${row.scale}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups].flatMap(([key, group]) =>
    new Set(group.map(({ checksum }) => checksum)).size === 1
      ? []
      : [`${key}: ${group.map(({ engine, checksum }) => `${engine} ${checksum}`).join(', ')}`],
  );
}
