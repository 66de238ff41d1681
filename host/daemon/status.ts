import type { DaemonStatus } from './daemon.js';
import type { GuestReport } from './supervisor.js';

/** Columns of the table, by guest. */
const COLUMNS: [title: string, cell: (guest: GuestReport) => string][] = [
  ['GUEST', (guest) => guest.name],
  ['STATE', (guest) => guest.state],
  ['FOR', (guest) => formatDuration(Date.now() - Date.parse(guest.since))],
  ['PID', (guest) => String(guest.pid ?? '-')],
  ['RESTARTS', (guest) => String(guest.restarts)],
  ['SESSIONS', (guest) => counter(guest, 'sessionsOpen')],
  ['REQUESTS', (guest) => counter(guest, 'requests')],
  ['REQ/FRAME', (guest) => ratio(guest, 'requests', 'framesReceived')],
  ['BYTES IN', (guest) => counter(guest, 'bytesReceived')],
  ['BYTES OUT', (guest) => counter(guest, 'bytesSent')],
  ['COMMITS', (guest) => counter(guest, 'tables.commits')],
  ['COMMITS/SYNC', (guest) => ratio(guest, 'tables.commits', 'tables.syncs')],
  ['MEMORY', (guest) => mebibytes(guest)],
];

/** The status for people: a table of guests, then what went wrong. */
export function formatStatus(status: DaemonStatus): string {
  const head = `daemon ${status.pid}, up ${formatDuration(Date.now() - Date.parse(status.startedAt))}${
    status.metrics ? `, metrics at http://${status.metrics}/metrics` : ''
  }`;
  if (status.guests.length === 0) return `${head}\nno guests`;
  const rows = [
    COLUMNS.map(([title]) => title),
    ...status.guests.map((guest) => COLUMNS.map(([, cell]) => cell(guest))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  const troubles = status.guests.flatMap(({ name, error, lastExit }) => [
    ...(error ? [`${name}: ${error.code}: ${error.message}`] : []),
    ...(lastExit ? [`${name}: its worker last ended at ${lastExit.at}: ${lastExit.reason}`] : []),
  ]);
  return [head, ...lines, ...troubles].join('\n');
}

function counter({ report }: GuestReport, key: string): string {
  return String(report?.counters[key] ?? '-');
}

function ratio({ report }: GuestReport, above: string, below: string): string {
  const [count, of] = [report?.counters[above], report?.counters[below]];
  return count !== undefined && of ? (count / of).toFixed(2) : '-';
}

function mebibytes({ report }: GuestReport): string {
  const bytes = report?.counters['process.residentBytes'];
  return bytes === undefined ? '-' : `${Math.round(bytes / 2 ** 20)}MiB`;
}

function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3600)}h`;
}
