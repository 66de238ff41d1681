import { alignColumns, short, size } from '../table.js';

/** One kind of work on one engine, as `--json` writes it. */
export interface OrderEntryRow {
  operation: string;
  engine: 'vamos' | 'innodb';
  mode: 'split' | 'unsplit';
  transactions: number;
  statements: number;
  /** Deadlocks and lock wait timeouts, after which the transaction was made again. */
  retried: number;
  /** Of the channel's device and the data disk together: mariadbd uses both. */
  kicks: number;
  interrupts: number;
  /** What the plugin asked of the host, and the frames that it took; 0 of InnoDB. */
  requests: number;
  frames: number;
  /** VAMOS: over the channel, with frame headers. InnoDB: written to and read from the data disk. */
  bytesToHost: number;
  bytesToGuest: number;
  seconds: number;
}

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
