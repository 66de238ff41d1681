import type { Vamos } from '../../entry/guest.js';
import type { Table } from '../../guest/tables/index.js';
import {
  CUSTOMERS,
  type LINES,
  ORDERS,
  PRODUCTS,
  RowMaker,
  type Checksum,
  type LineRow,
  type OrderRow,
} from './orders.js';

/** How much each operation does. */
export interface Scale {
  /** The least number of line items to load; orders have four on average. */
  lines: number;
  loadBatchRows: number;
  inserts: number;
  streams: number;
  insertsPerStream: number;
  batches: number;
  batchRows: number;
  chains: number;
  chainRows: number;
  pointReads: number;
  rangeScans: number;
  updates: number;
  appends: number;
  appendBytes: number;
  fileMiB: number;
}

export const FULL: Scale = {
  lines: 20_000,
  loadBatchRows: 500,
  inserts: 500,
  streams: 16,
  insertsPerStream: 50,
  batches: 20,
  batchRows: 100,
  chains: 20,
  chainRows: 100,
  pointReads: 500,
  rangeScans: 20,
  updates: 100,
  appends: 200,
  appendBytes: 4096,
  fileMiB: 16,
};

export const QUICK: Scale = {
  ...FULL,
  lines: 2_000,
  inserts: 50,
  insertsPerStream: 10,
  batches: 4,
  chains: 4,
  pointReads: 50,
  rangeScans: 4,
  updates: 20,
  appends: 20,
  fileMiB: 4,
};

/** What the operations work on, between `open` and `close`. */
export interface Session {
  vamos: Vamos;
  orders: Table<typeof ORDERS>;
  lines: Table<typeof LINES>;
  scale: Scale;
}

/**
 * One operation. `run` does it and returns how many statements it was; a read adds what it saw to the checksum, a write
 * has `verify` do so, outside the measurement.
 */
export interface Phase {
  name: string;
  /** Runs with nothing in memory: the guest's page cache is dropped, and the store was just opened. */
  isCold?: boolean;
  run(session: Session, checksum: Checksum): Promise<number>;
  verify?(session: Session, checksum: Checksum): Promise<void>;
}

/** Where the ids of added orders begin, separate for each operation that adds some. */
const ADDED = { single: 1_000_000, streams: 2_000_000, batch: 3_000_000, chain: 4_000_000 };
const SEED = { load: 1, single: 2, streams: 3, batch: 4, chain: 5, point: 6, range: 7, update: 8, file: 9 };
const MIB = 1024 * 1024;
const LOG = 'demo-log';
const FILE = 'demo-file';

function* firstOrders(scale: Scale): Generator<{ id: number; lines: LineRow[] }, void> {
  // The same generator makes orders and lines, one after another.
  const maker = new RowMaker(SEED.load);
  for (let id = 1, lines = 0; lines < scale.lines; id += 1) {
    const rows = maker.lines(id);
    lines += rows.length;
    yield { id, lines: rows };
  }
}

const orderCounts = new Map<Scale, number>();

/** Returns how many orders `load` makes at this scale. */
function orderCount(scale: Scale): number {
  const known = orderCounts.get(scale);
  if (known !== undefined) return known;
  let count = 0;
  for (const { id } of firstOrders(scale)) count = id;
  orderCounts.set(scale, count);
  return count;
}

async function load({ orders, lines, scale }: Session): Promise<number> {
  const maker = new RowMaker(SEED.load + 100);
  let statements = 0;
  let waitingOrders: OrderRow[] = [];
  let waitingLines: LineRow[] = [];
  const flush = async () => {
    await orders.writeRows(waitingOrders);
    await lines.writeRows(waitingLines);
    statements += 2;
    waitingOrders = [];
    waitingLines = [];
  };
  for (const order of firstOrders(scale)) {
    waitingOrders.push(maker.order(order.id));
    waitingLines.push(...order.lines);
    if (waitingLines.length >= scale.loadBatchRows) await flush();
  }
  if (waitingLines.length > 0) await flush();
  return statements;
}

async function addAll(rows: AsyncIterable<object>, checksum: Checksum): Promise<number> {
  let count = 0;
  for await (const row of rows) {
    checksum.row(row);
    count += 1;
  }
  return count;
}

/** Adds the orders of a range of ids, which must be as many as expected. */
async function addOrders(
  { orders }: Session,
  first: number,
  count: number,
  checksum: Checksum,
): Promise<void> {
  const range = { lower: { id: first }, upper: { id: first + 999_999 } };
  const found = await addAll(orders.indexScan('primary', range), checksum);
  if (found !== count) throw new Error(`${found} orders from ${first} on, not ${count}`);
}

async function insertFromStreams({ vamos, scale }: Session): Promise<number> {
  const write = async (number: number) => {
    const stream = vamos.stream();
    const orders = await stream.tables.open(ORDERS);
    return { stream, orders, maker: new RowMaker(SEED.streams + 1000 * number), number };
  };
  const writers = await Promise.all(Array.from({ length: scale.streams }, (_, number) => write(number)));
  return Promise.all(
    writers.map(async ({ stream, orders, maker, number }) => {
      const first = ADDED.streams + number * scale.insertsPerStream;
      for (let index = 0; index < scale.insertsPerStream; index += 1) {
        await orders.writeRow(maker.order(first + index, 1024));
      }
      await stream.close();
    }),
  ).then(() => scale.streams * scale.insertsPerStream);
}

async function pointReads({ lines, scale }: Session, checksum: Checksum): Promise<number> {
  const maker = new RowMaker(SEED.point);
  const limit = orderCount(scale);
  for (let index = 0; index < scale.pointReads; index += 1) {
    const row = await lines.get({ order: 1 + maker.below(limit), number: 1 });
    if (row === undefined) throw new Error('a loaded line item is missing');
    checksum.row(row);
  }
  return scale.pointReads;
}

async function rangeScans({ lines, scale }: Session, checksum: Checksum): Promise<number> {
  const maker = new RowMaker(SEED.range);
  for (let index = 0; index < scale.rangeScans; index += 1) {
    const product = maker.below(PRODUCTS - 10);
    await addAll(
      lines.indexScan('byProduct', { lower: { product }, upper: { product: product + 9 } }),
      checksum,
    );
  }
  return scale.rangeScans;
}

async function fullScan({ lines, scale }: Session, checksum: Checksum): Promise<number> {
  const count = await addAll(lines.rndScan(), checksum);
  if (count < scale.lines) throw new Error(`${count} line items, not the ${scale.lines} that were loaded`);
  return 1;
}

/**
 * Runs transactions that each read orders of a customer with a lock; their changes and the commit go
 * together.
 */
async function updates({ vamos, orders, scale }: Session): Promise<number> {
  const maker = new RowMaker(SEED.update);
  for (let index = 0; index < scale.updates; index += 1) {
    const customer = maker.below(CUSTOMERS);
    await using transaction = vamos.tables.begin();
    const scan = { equal: { customer }, limit: 5, lock: 'exclusive' } as const;
    const rows = await transaction.table(orders).indexScan('byCustomer', scan).all();
    await transaction.chain((chain) => {
      for (const old of rows) chain.updateRow(orders, old, { status: `checked ${index}` });
      chain.commit();
    });
  }
  return scale.updates;
}

async function addFile({ vamos }: Session, name: string, checksum: Checksum): Promise<void> {
  checksum.bytes(await vamos.files.readFile(name));
}

export const PHASES: readonly Phase[] = [
  {
    name: 'load in batches',
    run: load,
    async verify(session, checksum) {
      await addAll(session.orders.rndScan(), checksum);
      await addAll(session.lines.rndScan(), checksum);
    },
  },
  {
    name: 'insert, committed',
    async run({ orders, scale }) {
      const maker = new RowMaker(SEED.single);
      for (let index = 0; index < scale.inserts; index += 1) {
        await orders.writeRow(maker.order(ADDED.single + index, 1024));
      }
      return scale.inserts;
    },
    verify: (session, checksum) => addOrders(session, ADDED.single, session.scale.inserts, checksum),
  },
  {
    name: 'insert, committed, 16 streams',
    run: insertFromStreams,
    verify: (session, checksum) =>
      addOrders(session, ADDED.streams, session.scale.streams * session.scale.insertsPerStream, checksum),
  },
  {
    name: 'insert of 100 rows',
    async run({ orders, scale }) {
      const maker = new RowMaker(SEED.batch);
      for (let index = 0; index < scale.batches; index += 1) {
        const first = ADDED.batch + index * scale.batchRows;
        await orders.writeRows(Array.from({ length: scale.batchRows }, (_, row) => maker.order(first + row)));
      }
      return scale.batches;
    },
    verify: (session, checksum) =>
      addOrders(session, ADDED.batch, session.scale.batches * session.scale.batchRows, checksum),
  },
  {
    name: 'transaction of 100 inserts, chain',
    async run({ vamos, orders, scale }) {
      const maker = new RowMaker(SEED.chain);
      for (let index = 0; index < scale.chains; index += 1) {
        await vamos.tables.chain((chain) => {
          for (let row = 0; row < scale.chainRows; row += 1) {
            chain.writeRow(orders, maker.order(ADDED.chain + index * scale.chainRows + row, 1024));
          }
          chain.commit();
        });
      }
      return scale.chains;
    },
    verify: (session, checksum) =>
      addOrders(session, ADDED.chain, session.scale.chains * session.scale.chainRows, checksum),
  },
  { name: 'point read, cold', isCold: true, run: pointReads },
  { name: 'point read, warm', run: pointReads },
  { name: 'index range of 200 rows, cold', isCold: true, run: rangeScans },
  { name: 'index range of 200 rows, warm', run: rangeScans },
  { name: 'full scan, cold', isCold: true, run: fullScan },
  { name: 'full scan, warm', run: fullScan },
  {
    name: 'update of 5 rows, transaction',
    run: updates,
    async verify({ orders }, checksum) {
      await addAll(orders.rndScan(), checksum);
    },
  },
  {
    name: 'file append of 4 KiB + fsync',
    async run({ vamos, scale }) {
      const maker = new RowMaker(SEED.file);
      await using file = await vamos.files.open(LOG, 'a');
      for (let index = 0; index < scale.appends; index += 1) {
        const written = file.write(maker.bytes(scale.appendBytes));
        await Promise.all([written, file.sync()]);
      }
      return scale.appends;
    },
    verify: (session, checksum) => addFile(session, LOG, checksum),
  },
  {
    name: 'file write of 1 MiB',
    async run({ vamos, scale }) {
      const maker = new RowMaker(SEED.file);
      await using file = await vamos.files.open(FILE, 'w');
      for (let index = 0; index < scale.fileMiB; index += 1) {
        const piece = Buffer.alloc(MIB, maker.bytes(4096));
        await file.write(piece, 0, MIB, index * MIB);
      }
      await file.sync();
      return scale.fileMiB;
    },
    verify: (session, checksum) => addFile(session, FILE, checksum),
  },
  { name: 'file read of 1 MiB, cold', isCold: true, run: readFile },
  { name: 'file read of 1 MiB, warm', run: readFile },
];

async function readFile({ vamos, scale }: Session, checksum: Checksum): Promise<number> {
  await using file = await vamos.files.open(FILE, 'r');
  const piece = Buffer.alloc(MIB);
  for (let index = 0; index < scale.fileMiB; index += 1) {
    const { bytesRead } = await file.read(piece, 0, MIB, index * MIB);
    checksum.bytes(piece.subarray(0, bytesRead));
  }
  return scale.fileMiB;
}
