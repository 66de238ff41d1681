import { alignColumns, short } from '../table.js';
import { spread, transitionsAStatement, type TransitionRow, type WorkloadName } from './result.js';

/** A goal for VAMOS over virtio-serial: transitions a statement, by the median. */
export interface Target {
  workload: WorkloadName;
  /** Set where there are several row sizes. */
  rowBytes: number;
  atMost: number;
}

const KIB = 1024;

export const TARGETS: readonly Target[] = [
  { workload: 'W1', rowBytes: KIB, atMost: 3 },
  { workload: 'W7', rowBytes: KIB, atMost: 0.8 },
  { workload: 'W2', rowBytes: KIB, atMost: 5 },
  { workload: 'W2', rowBytes: 32 * KIB, atMost: 12 },
  { workload: 'W3', rowBytes: KIB, atMost: 4 },
  { workload: 'W3', rowBytes: 8 * KIB, atMost: 4 },
  { workload: 'W4', rowBytes: KIB, atMost: 3 },
  { workload: 'W4', rowBytes: 8 * KIB, atMost: 3 },
  { workload: 'W5', rowBytes: KIB, atMost: 20 },
  { workload: 'W5', rowBytes: 8 * KIB, atMost: 20 },
  { workload: 'W6', rowBytes: KIB, atMost: 3 },
  { workload: 'W6', rowBytes: 8 * KIB, atMost: 3 },
  { workload: 'W8', rowBytes: KIB, atMost: 20 },
  { workload: 'W9', rowBytes: KIB, atMost: 5 },
  { workload: 'W11', rowBytes: KIB, atMost: 5 },
  { workload: 'W12', rowBytes: KIB, atMost: 5 },
];

export interface TargetResult extends Target {
  /** The median of the measured repetitions, or undefined where it was not measured. */
  measured: number | undefined;
  isReached: boolean;
}

export function compareWithTargets(rows: readonly TransitionRow[]): TargetResult[] {
  return TARGETS.map((target) => {
    const row = rows.find(
      ({ engine, workload, rowBytes }) =>
        engine === 'vamos' && workload === target.workload && rowBytes === target.rowBytes,
    );
    const measured = row && spread(transitionsAStatement(row)).median;
    return { ...target, measured, isReached: measured !== undefined && measured <= target.atMost };
  });
}

export function renderTargets(rows: readonly TransitionRow[]): string {
  const lines = compareWithTargets(rows).map(({ workload, rowBytes, atMost, measured, isReached }) => [
    `${workload} ${rowBytes / KIB} KiB`,
    `<= ${atMost}`,
    measured === undefined ? '-' : short(measured),
    measured === undefined ? 'not measured' : isReached ? 'reached' : 'not reached',
  ]);
  return alignColumns([['VAMOS, transitions a statement', 'target', 'median', ''], ...lines]);
}
