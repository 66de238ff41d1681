import { alignColumns, short, size } from '../table.js';
import type { OrderEntryRow } from './order_entry.js';

/** A line an operation, the engines side by side. */
export function renderOrderEntry(rows: readonly OrderEntryRow[]): string {
  const counted = ['kicks', 'interrupts', 'per transaction', 'to host', 'to guest'];
  const head = [
    'order entry',
    'transactions',
    ...counted.map((name) => `vamos ${name}`),
    'requests',
    'frames',
    ...counted.map((name) => `innodb ${name}`),
    'made again',
    'innodb : vamos',
  ];
  const lines = rows
    .filter(({ engine }) => engine === 'vamos')
    .map((vamos) => {
      const innodb = rows.find(
        ({ engine, operation }) => engine === 'innodb' && operation === vamos.operation,
      )!;
      return [
        vamos.operation.replace('order entry: ', ''),
        String(vamos.transactions),
        ...cells(vamos),
        short(vamos.requests / vamos.transactions),
        short(vamos.frames / vamos.transactions),
        ...cells(innodb),
        `${vamos.retried}, ${innodb.retried}`,
        ratio(perTransaction(innodb), perTransaction(vamos)),
      ];
    });
  return alignColumns([head, ...lines]);
}

function cells(row: OrderEntryRow): string[] {
  return [
    String(row.kicks),
    String(row.interrupts),
    short(perTransaction(row)),
    size(row.bytesToHost),
    size(row.bytesToGuest),
  ];
}

function perTransaction({ kicks, interrupts, transactions }: OrderEntryRow): number {
  return (kicks + interrupts) / transactions;
}

function ratio(one: number, other: number): string {
  return other === 0 ? '-' : short(one / other);
}
