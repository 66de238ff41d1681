import type { Connection } from 'mysql2/promise';
import { Choices } from './random.js';
import type { Scale } from './schema.js';
import { makeTransaction, type Transaction, type TransactionType } from './transactions.js';

const SEED = 70_707;
/** The error numbers of a deadlock and a lock wait timeout. */
const RETRYABLE = new Set([1213, 1205]);

/** The mix of clause 5.2.4.2: a deck of cards, each dealt once in random order. */
export const MIX: readonly TransactionType[] = [
  ...Array<TransactionType>(10).fill('new order'),
  ...Array<TransactionType>(10).fill('payment'),
  'order status',
  'delivery',
  'stock level',
];

export interface WorkloadResult {
  /** Transactions that committed, or were rolled back because the application wanted it. */
  transactions: Record<TransactionType, number>;
  /** Deadlocks and lock wait timeouts, after which the transaction was run again. */
  retried: number;
  /** How many of these were lock wait timeouts. */
  lockTimeouts: number;
  seconds: number;
}

/** How much to do: a number of decks by each terminal, or as many as the time allows. */
export interface Load {
  deck: readonly TransactionType[];
  decks: number;
  /** No transaction begins later than this. */
  seconds?: number;
}

/**
 * Runs each connection as a terminal that deals decks of transactions without think times, all
 * simultaneously.
 */
export async function runTerminals(
  connections: readonly Connection[],
  scale: Scale,
  { deck, decks, seconds = Infinity }: Load,
  onTransaction: (done: number, total: number) => void = () => undefined,
): Promise<WorkloadResult> {
  const result: WorkloadResult = {
    transactions: { 'new order': 0, payment: 0, 'order status': 0, delivery: 0, 'stock level': 0 },
    retried: 0,
    lockTimeouts: 0,
    seconds: 0,
  };
  const total = connections.length * decks * deck.length;
  let done = 0;
  const started = performance.now();
  const terminal = async (connection: Connection, index: number): Promise<void> => {
    const choices = new Choices(SEED + index);
    const home = (index % scale.warehouses) + 1;
    for (let dealt = 0; dealt < decks; dealt++) {
      for (const type of choices.shuffled(deck)) {
        if (performance.now() - started > seconds * 1000) return;
        await perform(connection, makeTransaction(type, choices, home, scale), result);
        result.transactions[type]++;
        onTransaction(++done, total);
      }
    }
  };
  await Promise.all(connections.map(terminal));
  result.seconds = (performance.now() - started) / 1000;
  return result;
}

async function perform(
  connection: Connection,
  transaction: Transaction,
  result: WorkloadResult,
): Promise<void> {
  for (;;) {
    try {
      await connection.query('START TRANSACTION');
      await connection.query((await transaction.run(connection)) ? 'COMMIT' : 'ROLLBACK');
      return;
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === undefined || !RETRYABLE.has(errno)) {
        throw new Error(`${transaction.type}: ${(error as Error).message}`, { cause: error });
      }
      // After a lock wait timeout the transaction is still open.
      await connection.query('ROLLBACK');
      result.retried++;
      if (errno === 1205) result.lockTimeouts++;
    }
  }
}
