/**
 * The same order entry on both engines of one MariaDB in the guest: ENGINE=VAMOS over the channel, InnoDB on the guest's
 * virtio-blk disk.
 */
import type { Connection } from 'mysql2/promise';
import type { Vm } from '../../host/vm/index.js';
import type { GuestMariadb } from '../guest_mariadb.js';
import { initialViolations, violations } from '../order_entry/consistency.js';
import { firstUndeliveredOrder, load } from '../order_entry/load.js';
import type { Scale } from '../order_entry/schema.js';
import { TRANSACTION_TYPES, type TransactionType } from '../order_entry/transactions.js';
import { MIX, runTerminals } from '../order_entry/workload.js';
import type { OrderEntryRow } from './order_entry_report.js';
import { dropPageCache, settle } from './measure.js';
import type { OnProgress } from './progress.js';

export const TERMINALS = 8;
const ENGINES = { vamos: 'VAMOS', innodb: 'InnoDB' } as const;
type EngineName = keyof typeof ENGINES;
const ENGINE_NAMES = Object.keys(ENGINES) as EngineName[];

/** What was done while the transitions were counted. */
interface Work {
  transactions: number;
  retried: number;
}

export interface OrderEntryResult {
  rows: OrderEntryRow[];
  /** Consistency conditions that did not hold at the end, by engine. */
  violations: string[];
}

export const SCALES: Record<'full' | 'quick', Scale & { mixDecks: number; singles: number }> = {
  full: { warehouses: 2, districts: 10, customers: 60, items: 1000, mixDecks: 2, singles: 2 },
  quick: { warehouses: 1, districts: 10, customers: 30, items: 200, mixDecks: 1, singles: 1 },
};

/** Runs each engine's order entry, one after the other; then a new server, with nothing cached, reads what both hold. */
export async function measureOrderEntry(
  vm: Vm,
  server: GuestMariadb,
  scaleName: 'full' | 'quick',
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<OrderEntryResult> {
  const scale = SCALES[scaleName];
  const result: OrderEntryResult = { rows: [], violations: [] };
  const each = async (visit: (engine: EngineName, report: OnProgress) => Promise<void>) => {
    for (const engine of ENGINE_NAMES) {
      signal.throwIfAborted();
      await visit(engine, (step, count) => onProgress(`${ENGINES[engine]}: ${step}`, count));
      server.disconnect();
    }
  };
  const measureWork = async (engine: EngineName, operation: string, work: () => Promise<Work>) => {
    signal.throwIfAborted();
    await settle(vm);
    result.rows.push(await measureOne(vm, server, engine, operation, work));
  };
  const add = (engine: EngineName, broken: string[]) => {
    result.violations.push(...broken.map((line) => `${ENGINES[engine]}: ${line}`));
  };

  await each(async (engine, report) => {
    report('loading the nine tables');
    const connections = await connectTerminals(server, `orders_${engine}`);
    await measureWork(engine, 'load', async () => {
      await load(connections[0]!, ENGINES[engine], scale);
      return { transactions: 1, retried: 0 };
    });
    add(engine, await initialViolations(connections[0]!, firstUndeliveredOrder(scale) - 1));
    const works: [string, readonly TransactionType[], number][] = [
      ...TRANSACTION_TYPES.map((type): [string, TransactionType[], number] => [type, [type], scale.singles]),
      ['the mix', MIX, scale.mixDecks],
    ];
    for (const [operation, deck, decks] of works) {
      await measureWork(engine, operation, async () => {
        const onTransaction = (done: number, total: number) => report(operation, `${done}/${total}`);
        const done = await runTerminals(connections, scale, { deck, decks }, onTransaction);
        const transactions = Object.values(done.transactions).reduce((sum, count) => sum + count, 0);
        return { transactions, retried: done.retried };
      });
    }
  });
  onProgress('a new server');
  await server.restart(() => dropPageCache(vm));
  await each(async (engine, report) => {
    report('checking the consistency conditions');
    const connection = await server.connect(`orders_${engine}`);
    await measureWork(engine, 'all conditions, cold', async () => {
      add(engine, await violations(connection));
      return { transactions: 1, retried: 0 };
    });
  });
  return result;
}

async function connectTerminals(server: GuestMariadb, database: string): Promise<Connection[]> {
  await (await server.connect()).query(`CREATE DATABASE ${database}`);
  const terminals: Connection[] = [];
  while (terminals.length < TERMINALS) terminals.push(await server.connect(database));
  return terminals;
}

async function measureOne(
  vm: Vm,
  server: GuestMariadb,
  engine: EngineName,
  operation: string,
  work: () => Promise<Work>,
): Promise<OrderEntryRow> {
  const before = await server.status();
  const started = performance.now();
  await vm.counters.start();
  const { transactions, retried } = await work();
  const { kicks, interrupts, dataDisk } = await vm.counters.stop();
  const seconds = (performance.now() - started) / 1000;
  const after = await server.status();
  const delta = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0);
  const isVamos = engine === 'vamos';
  return {
    operation: `order entry: ${operation}`,
    engine,
    mode: isVamos ? 'split' : 'unsplit',
    transactions,
    statements: delta('questions'),
    retried,
    kicks,
    interrupts,
    requests: isVamos ? delta('vamos_requests') : 0,
    frames: isVamos ? delta('vamos_frames') : 0,
    bytesToHost: isVamos ? delta('vamos_bytes_sent') : dataDisk.bytesWritten,
    bytesToGuest: isVamos ? delta('vamos_bytes_received') : dataDisk.bytesRead,
    seconds: Number(seconds.toFixed(2)),
  };
}
