import type { Counts } from './book.js';
import type { FaultName } from './faults.js';

/** The time within which a service that is back is promised to serve. */
export const PROMISED_MS = 5000;

/** What rounds with one fault came to. */
interface Line extends Counts {
  rounds: number;
  longestMs: number;
  /** Rounds in which some client waited longer than promised. */
  late: number;
}

/** Counts over all rounds, by fault. */
export class Report {
  readonly #lines = new Map<FaultName, Line>();
  readonly #refusals = new Map<string, number>();

  /** Adds why transactions were not done, or are not known to be. */
  addRefusals(refusals: ReadonlyMap<string, number>): void {
    for (const [reason, times] of refusals)
      this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + times);
  }

  /** The reasons, the most frequent first. */
  get refusals(): string {
    return [...this.#refusals]
      .sort(([, a], [, b]) => b - a)
      .map(([reason, times]) => `${String(times).padStart(8)} × ${reason}`)
      .join('\n');
  }

  /** @param before the book's counts at the round's beginning */
  add(fault: FaultName, before: Counts, after: Counts, serviceMs: number): void {
    const line = this.#lines.get(fault) ?? {
      rounds: 0,
      longestMs: 0,
      late: 0,
      acknowledged: 0,
      refused: 0,
      foundDone: 0,
      foundUndone: 0,
      reconnects: 0,
    };
    line.rounds++;
    line.longestMs = Math.max(line.longestMs, serviceMs);
    if (serviceMs > PROMISED_MS) line.late++;
    for (const name of Object.keys(before) as (keyof Counts)[]) line[name] += after[name] - before[name];
    this.#lines.set(fault, line);
  }

  get total(): Line {
    const total = {
      rounds: 0,
      longestMs: 0,
      late: 0,
      acknowledged: 0,
      refused: 0,
      foundDone: 0,
      foundUndone: 0,
      reconnects: 0,
    };
    for (const line of this.#lines.values()) {
      for (const name of Object.keys(total) as (keyof Line)[])
        total[name] = name === 'longestMs' ? Math.max(total[name], line[name]) : total[name] + line[name];
    }
    return total;
  }

  toString(): string {
    const head = [
      'fault',
      'rounds',
      'acknowledged',
      'refused',
      'unknown: done',
      'not done',
      'reconnects',
      'longest to service',
      `beyond ${PROMISED_MS / 1000} s`,
    ];
    const row = (name: string, line: Line) => [
      name,
      ...[
        line.rounds,
        line.acknowledged,
        line.refused,
        line.foundDone,
        line.foundUndone,
        line.reconnects,
      ].map(String),
      `${(line.longestMs / 1000).toFixed(2)} s`,
      String(line.late),
    ];
    const rows = [
      head,
      ...[...this.#lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, line]) => row(name, line)),
      row('all', this.total),
    ];
    const widths = head.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
    return rows
      .map((cells) =>
        cells
          .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
          .join('  '),
      )
      .join('\n');
  }
}
