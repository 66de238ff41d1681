import { alignColumns } from '../table.js';
import type { ChannelRow, Figures } from './measure.js';

const COLUMNS: [string, (row: ChannelRow) => string][] = [
  ['transport', (row) => row.transport],
  ['in flight', (row) => String(row.inFlight)],
  ['rpc/s', ({ rpc }) => rate(rpc)],
  ['bare echo/s', ({ bare }) => rate(bare)],
  ['rpc/bare', ({ rpc, bare }) => (rpc.roundTripsPerSecond / bare.roundTripsPerSecond).toFixed(2)],
  ['requests/frame', ({ rpc }) => rpc.requestsPerFrame.toFixed(1)],
  ['calls/request', ({ rpc }) => calls(rpc)],
  ['(bare)', ({ bare }) => calls(bare)],
  ['transitions/request', ({ rpc }) => transitions(rpc)],
  ['(bare)', ({ bare }) => transitions(bare)],
];

export function formatTable(rows: ChannelRow[]): string {
  const lines = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row)))];
  return alignColumns(lines);
}

function rate({ roundTripsPerSecond, marginPercent }: Figures): string {
  return `${Math.round(roundTripsPerSecond).toLocaleString('en')} ±${marginPercent.toFixed(0)}%`;
}

/** System calls of the connector's end for each request; local: has none. */
function calls({ writeCallsPerRequest, readCallsPerRequest }: Figures): string {
  const count = writeCallsPerRequest + readCallsPerRequest;
  return count === 0 ? '-' : count.toFixed(3);
}

function transitions({ kicksPerRequest, interruptsPerRequest }: Figures): string {
  if (kicksPerRequest === undefined || interruptsPerRequest === undefined) return '-';
  return (kicksPerRequest + interruptsPerRequest).toFixed(3);
}
