import { alignSections, short, size } from '../table.js';
import type { OrderEntryRow } from './order_entry_report.js';

/** One operation in one mode, as `--json` writes it. */
export interface ReportRow {
  operation: string;
  mode: 'split' | 'unsplit';
  statements: number;
  /** Virtqueue notifications, guest to host, of the only device that carries storage in this mode. */
  kicks: number;
  /** The notifications from host to guest. */
  interrupts: number;
  /** Requests of the connector, and the frames that they took. */
  requests: number;
  frames: number;
  /**
   * Split: bytes over the channel, with frame headers. Unsplit: bytes written to and read from the data disk.
   */
  bytesToHost: number;
  bytesToGuest: number;
  /** SHA-256 of what was read, or of what a write left behind. */
  checksum: string;
}

export interface Report {
  machine: string;
  accelerator: string;
  versions: Record<string, string>;
  /**
   * One program, split and unsplit; then order entry on two engines of MariaDB, whose rows have an `engine`.
   */
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

/**
 * Returns operations whose statements or checksums differ between the modes, or that ran in one mode only.
 */
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
const perStatement = (row: ReportRow) => transitions(row) / row.statements;

/** What an operation costs in transitions, split and unsplit side by side. */
export function renderTransitions(rows: readonly ReportRow[]): string {
  const cells = (row: ReportRow) => [String(row.kicks), String(row.interrupts), short(perStatement(row))];
  const headings = ['kicks', 'interrupts', 'per stmt'];
  return alignSections(
    [
      ['', ['operation', 'statements']],
      ['split: the channel', headings],
      ['unsplit: the data disk', headings],
      ['unsplit', [': split']],
    ],
    pairUp(rows).map(({ operation, split, unsplit }) => [
      operation,
      String(split.statements),
      ...cells(split),
      ...cells(unsplit),
      transitions(split) === 0 ? '-' : short(perStatement(unsplit) / perStatement(split)),
    ]),
  );
}

/** What an operation sends: requests and frames, and bytes in both directions. */
export function renderTraffic(rows: readonly ReportRow[]): string {
  const cells = (row: ReportRow) => [size(row.bytesToHost), size(row.bytesToGuest)];
  const headings = ['to host', 'to guest'];
  return alignSections(
    [
      ['', ['operation', 'requests', 'frames', 'req/frame']],
      ['split', headings],
      ['unsplit', headings],
    ],
    pairUp(rows).map(({ operation, split, unsplit }) => [
      operation,
      String(split.requests),
      String(split.frames),
      split.frames === 0 ? '-' : short(split.requests / split.frames),
      ...cells(split),
      ...cells(unsplit),
    ]),
  );
}
