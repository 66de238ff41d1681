import { alignSections, short, size } from '../table.js';

/** One kind of work on one engine, as `--json` writes it. */
export interface OrderEntryRow {
  operation: string;
  engine: 'vamos' | 'innodb';
  mode: 'split' | 'unsplit';
  transactions: number;
  statements: number;
  /** Deadlocks and lock wait timeouts, after which the transaction was run again. */
  retried: number;
  /** Transitions of the channel's device and the data disk together: mariadbd uses both. */
  kicks: number;
  interrupts: number;
  /** Requests of the plugin to the host, and the frames that they took; 0 for InnoDB. */
  requests: number;
  frames: number;
  /**
   * VAMOS: bytes over the channel, with frame headers. InnoDB: bytes written to and read from the data disk.
   */
  bytesToHost: number;
  bytesToGuest: number;
  seconds: number;
}

/** Formats a line for each operation, with the engines side by side. */
export function renderOrderEntry(rows: readonly OrderEntryRow[]): string {
  const headings = ['kicks', 'interrupts', 'per tx'];
  const cells = (row: OrderEntryRow) => [
    String(row.kicks),
    String(row.interrupts),
    short(perTransaction(row)),
  ];
  return alignSections(
    [
      ['', ['order entry', 'transactions']],
      ['vamos', headings],
      ['innodb', headings],
      ['innodb', [': vamos']],
    ],
    pairs(rows).map(({ vamos, innodb }) => [
      operationOf(vamos),
      String(vamos.transactions),
      ...cells(vamos),
      ...cells(innodb),
      ratio(perTransaction(innodb), perTransaction(vamos)),
    ]),
  );
}

/** Formats what an operation sends, and how often transactions were run again, VAMOS first. */
export function renderOrderEntryTraffic(rows: readonly OrderEntryRow[]): string {
  const headings = ['to host', 'to guest'];
  const cells = (row: OrderEntryRow) => [size(row.bytesToHost), size(row.bytesToGuest)];
  return alignSections(
    [
      ['', ['order entry', 'transactions']],
      ['vamos', ['req/tx', 'frames/tx', ...headings]],
      ['innodb', headings],
      ['', ['made again']],
    ],
    pairs(rows).map(({ vamos, innodb }) => [
      operationOf(vamos),
      String(vamos.transactions),
      short(vamos.requests / vamos.transactions),
      short(vamos.frames / vamos.transactions),
      ...cells(vamos),
      ...cells(innodb),
      `${vamos.retried}, ${innodb.retried}`,
    ]),
  );
}

const operationOf = (row: OrderEntryRow) => row.operation.replace('order entry: ', '');

function pairs(rows: readonly OrderEntryRow[]): { vamos: OrderEntryRow; innodb: OrderEntryRow }[] {
  return rows
    .filter(({ engine }) => engine === 'vamos')
    .map((vamos) => {
      const isItsOwn = ({ engine, operation }: OrderEntryRow) =>
        engine === 'innodb' && operation === vamos.operation;
      return { vamos, innodb: rows.find(isItsOwn)! };
    });
}

function perTransaction({ kicks, interrupts, transactions }: OrderEntryRow): number {
  return (kicks + interrupts) / transactions;
}

function ratio(one: number, other: number): string {
  return other === 0 ? '-' : short(one / other);
}
