import type { DaemonStatus } from './daemon.js';
import type { MetricsOf } from '../../src/protocol/generated/metrics.js';
import { formatBytes } from './configuration.js';
import type { RepairReport } from '../modules/tables/binding.js';
import type { Report } from './messages.js';
import type { GuestReport } from './supervisor.js';

/** Columns of the table, which has a line for each guest. */
const COLUMNS: [title: string, cell: (guest: GuestReport, report: Report | undefined) => string][] = [
  ['GUEST', (guest) => guest.name],
  ['STATE', (guest) => guest.state],
  ['FOR', (guest) => formatDuration(Date.now() - Date.parse(guest.since))],
  ['PID', (guest) => String(guest.pid ?? '-')],
  ['RESTARTS', (guest) => String(guest.restarts)],
  ['SESSIONS', (_, report) => count(report?.server.sessions.length)],
  ['REQUESTS', (_, report) => count(report?.server.requests)],
  ['REQ/FRAME', (_, report) => ratio(report?.server.requests, report?.server.requestFrames)],
  ['IN', (_, report) => size(report?.server.channels.bytesReceived)],
  ['OUT', (_, report) => size(report?.server.channels.bytesSent)],
  ['COMMITS', (_, report) => count(tablesOf(report)?.commits)],
  ['COMMITS/SYNC', (_, report) => ratio(tablesOf(report)?.commits, tablesOf(report)?.syncs)],
  ['CPU', (_, report) => (report ? `${report.process.cpuSeconds.toFixed(1)}s` : '-')],
  ['MEMORY', (_, report) => size(report?.process.residentBytes)],
];

/** Gives what the module `tables` counts. A worker that is older or newer than this daemon may know other counts. */
function tablesOf(report: Report | undefined): Partial<MetricsOf<'tables'>> | undefined {
  return report?.modules.tables;
}

/** Formats the status for people: a table of guests, then what went wrong. */
export function formatStatus(status: DaemonStatus): string {
  const head = `daemon ${status.pid}, up ${formatDuration(Date.now() - Date.parse(status.startedAt))}${
    status.metrics ? `, metrics at http://${status.metrics}/metrics` : ''
  }`;
  if (status.guests.length === 0) return `${head}\nno guests`;
  const rows = [
    COLUMNS.map(([title]) => title),
    ...status.guests.map((guest) => COLUMNS.map(([, cell]) => cell(guest, guest.report))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  const troubles = status.guests.flatMap(({ name, error, lastExit, report }) => [
    ...scrubLines(name, report),
    ...(error ? [`${name}: ${error.code}: ${error.message}`] : []),
    ...(lastExit ? [`${name}: its worker last ended at ${lastExit.at}: ${lastExit.reason}`] : []),
  ]);
  return [head, ...lines, ...troubles].join('\n');
}

/**
 * Formats a repair's report for people.
 * @param again the command that accepts the loss
 */
export function formatRepair(report: RepairReport, again: string): string {
  if (report.damage === '') return 'vamos: nothing is damaged';
  const isAccepted = report.keptIn !== '';
  const atLeast = report.isIncomplete ? 'at least ' : '';
  const { lostCommits, lostRecords, lostBytes, parts } = report;
  return [
    `vamos: ${report.damage}`,
    `${isAccepted ? 'lost' : 'lost, if that is accepted'}: ${atLeast}${lostCommits} commits that can still be read, and what is ` +
      `damaged; together ${atLeast}${lostRecords} records, ${formatBytes(lostBytes)} of the log:`,
    ...parts.map(({ file, fromByte }) => `  ${file} from byte ${fromByte} on`),
    isAccepted
      ? `the logs as they were are kept in ${report.keptIn}; the rest is served again`
      : `nothing was changed. Restore a backup, or accept the loss: ${again}`,
  ].join('\n');
}

function scrubLines(name: string, report: Report | undefined): string[] {
  const { scrubFindings = 0, scrubActive = 0, scrubBytes = 0 } = tablesOf(report) ?? {};
  return [
    ...(scrubActive
      ? [`${name}: scrub goes on, ${formatBytes(scrubBytes)} read since its worker started`]
      : []),
    ...(scrubFindings
      ? [`${name}: scrub found ${scrubFindings} faults: vamos host verify ${name} names them`]
      : []),
  ];
}

function count(value: number | undefined): string {
  return value === undefined ? '-' : String(value);
}

function size(bytes: number | undefined): string {
  return bytes === undefined ? '-' : formatBytes(bytes);
}

function ratio(above: number | undefined, below: number | undefined): string {
  return above !== undefined && below ? (above / below).toFixed(2) : '-';
}

function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3600)}h`;
}
