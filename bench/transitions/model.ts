/** What the report and the plots compute from the measured rows. */
import {
  ENGINES,
  spread,
  WORKLOADS,
  type EngineName,
  type TransitionRow,
  type WorkloadName,
} from './result.js';

/** Engines whose commits survive a crash, as those of VAMOS do. */
export const DURABLE_PEERS = ['innodb', 'innodb-tuned', 'aria'] as const satisfies readonly EngineName[];

/**
 * What a transition costs in the model, in cycles: by itself, and with what it does to caches and scheduling
 * (SplitX, WIOV 2011).
 */
export const TRANSITION_CYCLES = [2_000, 10_000] as const;

/** A workload with rows of one size, as all engines that were measured did it. */
export interface Group {
  workload: WorkloadName;
  rowBytes: number;
  rows: ReadonlyMap<EngineName, TransitionRow>;
}

/** Groups rows in the order of workloads, row sizes and engines, whatever the order of the rows. */
export function groupsOf(rows: readonly TransitionRow[]): Group[] {
  return WORKLOADS.flatMap((workload) => {
    const ofWorkload = rows.filter((row) => row.workload === workload);
    const sizes = [...new Set(ofWorkload.map(({ rowBytes }) => rowBytes))].sort((one, other) => one - other);
    return sizes.map((rowBytes) => {
      const ofSize = ofWorkload.filter((row) => row.rowBytes === rowBytes);
      const inOrder = ENGINES.flatMap((engine) => ofSize.filter((row) => row.engine === engine));
      return { workload, rowBytes, rows: new Map(inOrder.map((row) => [row.engine, row])) };
    });
  });
}

/** Returns undefined where it was not measured. */
export function median(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : spread(values).median;
}

/** Returns the median for a statement; undefined where it was not measured. */
export function medianAStatement(row: TransitionRow, values: readonly number[]): number | undefined {
  const value = median(values);
  return value === undefined ? undefined : value / row.statements;
}

/** Returns kicks and interrupts of each repetition, added up. */
export function transitionsOf({ kicks, interrupts }: TransitionRow): number[] {
  return kicks.map((count, repetition) => count + (interrupts[repetition] ?? 0));
}

/**
 * A model of the cycles that a statement takes on the guest's processors: one an instruction, and `transitionCycles` for
 * each transition. Under TCG times mean nothing, and so does what the memory would take; these two are counted.
 * @returns the median, or undefined where instructions were not counted
 */
export function modelCycles(row: TransitionRow, transitionCycles: number): number | undefined {
  const transitions = transitionsOf(row);
  return medianAStatement(
    row,
    row.guestInstructions.map(
      (instructions, repetition) => instructions + transitionCycles * (transitions[repetition] ?? 0),
    ),
  );
}

/** How many times longer than on VAMOS the work takes on another engine; above 1 VAMOS is faster. */
export interface Improvement {
  workload: WorkloadName;
  rowBytes: number;
  peer: EngineName;
  /** The model's cycles a transition; undefined for measured time. */
  transitionCycles: number | undefined;
  factor: number;
}

/** Compares by measured time where times mean something, else by the model. */
export function improvements(groups: readonly Group[], accelerator: 'kvm' | 'tcg'): Improvement[] {
  const costs = accelerator === 'kvm' ? [undefined] : TRANSITION_CYCLES;
  const found: Improvement[] = [];
  for (const { workload, rowBytes, rows } of groups) {
    for (const [peer, row] of rows) {
      if (peer === 'vamos') continue;
      for (const transitionCycles of costs) {
        const cost = (measured: TransitionRow | undefined) =>
          measured &&
          (transitionCycles === undefined
            ? medianAStatement(measured, measured.seconds)
            : modelCycles(measured, transitionCycles));
        const ours = cost(rows.get('vamos'));
        const theirs = cost(row);
        if (ours && theirs) found.push({ workload, rowBytes, peer, transitionCycles, factor: theirs / ours });
      }
    }
  }
  return found;
}

/** Returns the durable engine of today with the fewest transitions a statement. */
export function bestDurablePeer({ rows }: Group): { engine: EngineName; transitions: number } | undefined {
  let best: { engine: EngineName; transitions: number } | undefined;
  for (const engine of DURABLE_PEERS) {
    const row = rows.get(engine);
    const transitions = row && medianAStatement(row, transitionsOf(row));
    if (transitions !== undefined && (best === undefined || transitions < best.transitions)) {
      best = { engine, transitions };
    }
  }
  return best;
}

/** Names a row size, which is round: `64 B`, `8 KiB`. */
export function sizeName(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const [value, unit] = bytes < 1 << 20 ? [bytes / 1024, 'KiB'] : [bytes / (1 << 20), 'MiB'];
  return `${Number(value.toPrecision(3))} ${unit}`;
}
