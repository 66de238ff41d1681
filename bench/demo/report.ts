import { short, size } from '../table.js';
import type { OrderEntryRow } from './order_entry_report.js';

/** One operation in one mode, as `--json` writes it. */
export interface ReportRow {
  operation: string;
  mode: 'split' | 'unsplit';
  statements: number;
  /** Virtqueue notifications, guest to host, of the one device that carries storage in this mode. */
  kicks: number;
  /** The notifications back. */
  interrupts: number;
  /** What the connector asked for, and the frames that it took. */
  requests: number;
  frames: number;
  /** Split: over the channel, with frame headers. Unsplit: written to and read from the data disk. */
  bytesToHost: number;
  bytesToGuest: number;
  /** SHA-256 of what was read, or of what a write left behind. */
  checksum: string;
}

export interface Report {
  machine: string;
  accelerator: string;
  versions: Record<string, string>;
  /** One program, split and unsplit; then order entry on two engines of MariaDB, which have an `engine`. */
  rows: (ReportRow | OrderEntryRow)[];
}

/** A split run beside its unsplit one. */
interface Pair {
  operation: string;
  split: ReportRow;
  unsplit: ReportRow;
}

export function pairUp(rows: readonly ReportRow[]): Pair[] {
  const pairs: Pair[] = [];
  for (const split of rows.filter(({ mode }) => mode === 'split')) {
    const unsplit = rows.find((row) => row.mode === 'unsplit' && row.operation === split.operation);
    if (unsplit) pairs.push({ operation: split.operation, split, unsplit });
  }
  return pairs;
}

/** Operations whose statements or checksums differ between the modes, or that ran in one mode only. */
export function differences(rows: readonly ReportRow[]): string[] {
  const pairs = pairUp(rows);
  const found = pairs
    .filter(
      ({ split, unsplit }) => split.statements !== unsplit.statements || split.checksum !== unsplit.checksum,
    )
    .map(
      ({ operation, split, unsplit }) =>
        `${operation}: split ${split.statements} statements, ${split.checksum}; ` +
        `unsplit ${unsplit.statements} statements, ${unsplit.checksum}`,
    );
  if (pairs.length * 2 !== rows.length || pairs.length === 0)
    found.push('not every operation ran in both modes');
  return found;
}

const transitions = (row: ReportRow) => row.kicks + row.interrupts;

function modeCells(row: ReportRow): string[] {
  return [
    String(row.kicks),
    String(row.interrupts),
    short(transitions(row) / row.statements),
    size(row.bytesToHost),
    size(row.bytesToGuest),
  ];
}

const MODE_HEADINGS = ['kicks', 'interrupts', 'per stmt', 'to host', 'to guest'];

/** The table: a line an operation, split and unsplit side by side. */
export function renderTable(rows: readonly ReportRow[]): string {
  const lines = pairUp(rows).map(({ operation, split, unsplit }) => [
    operation,
    String(split.statements),
    ...modeCells(split),
    split.frames === 0 ? '-' : short(split.requests / split.frames),
    ...modeCells(unsplit),
    transitions(split) === 0
      ? '-'
      : short(transitions(unsplit) / unsplit.statements / (transitions(split) / split.statements)),
  ]);
  const headings = [
    'operation',
    'statements',
    ...MODE_HEADINGS,
    'req/frame',
    ...MODE_HEADINGS,
    'unsplit : split',
  ];
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...lines.map((line) => line[column]!.length)),
  );
  const render = (cells: string[]) =>
    cells
      .map((cell, column) => {
        const padded = column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
        return SECTION_STARTS.has(column) ? `| ${padded}` : padded;
      })
      .join('  ');
  const over = (from: number, to: number, title: string) => {
    const width = widths.slice(from, to).reduce((sum, value) => sum + value + 2, -2);
    return title.padEnd(width);
  };
  const splitTo = 2 + MODE_HEADINGS.length + 1;
  const unsplitTo = splitTo + MODE_HEADINGS.length;
  const titles = [
    over(0, 2, ''),
    `| ${over(2, splitTo, 'split: the channel')}`,
    `| ${over(splitTo, unsplitTo, 'unsplit: the data disk')}`,
    `| ${'transitions'.padStart(widths[unsplitTo]!)}`,
  ].join('  ');
  return [titles, render(headings), ...lines.map(render)].join('\n');
}

const SECTION_STARTS = new Set([2, 3 + MODE_HEADINGS.length, 3 + 2 * MODE_HEADINGS.length]);
