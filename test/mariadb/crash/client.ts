import { setTimeout as delay } from 'node:timers/promises';
import type { Choices } from '../../../bench/order_entry/random.js';
import { ACCOUNTS, tableOf, type Bank } from './bank.js';

/**
 * The pause of a client after a failure, so that it does not keep the machine busy while nothing serves it.
 */
const PAUSE_MS = 10;

/** A client that works at the bank until it is told to stop, whatever happens to the parts that serve it. */
export abstract class Client {
  /** When the latest transaction began of this client's that were acknowledged. */
  lastServedMs = -Infinity;

  constructor(
    protected readonly number: number,
    protected readonly bank: Bank,
    protected readonly choices: Choices,
  ) {}

  /** Works until told to stop, and ends with its last transaction. */
  async work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const beganMs = performance.now();
      if (await this.turn()) this.lastServedMs = beganMs;
      else await delay(PAUSE_MS);
    }
  }

  /**
   * Runs one transaction.
   * @returns whether it was acknowledged
   */
  protected abstract turn(): Promise<boolean>;

  abstract close(): Promise<void>;

  protected chooseMove(): Move {
    const origin = this.choices.between(0, ACCOUNTS - 1);
    const target = (origin + this.choices.between(1, ACCOUNTS - 1)) % ACCOUNTS;
    return { origin, target, amount: this.choices.between(1, 9) };
  }

  /** Chooses a transfer within one of the two tables. */
  protected chooseMoveInTable(): Move {
    const move = this.chooseMove();
    if (tableOf(move.origin) === tableOf(move.target)) return move;
    return { ...move, target: (move.target + ACCOUNTS / 2) % ACCOUNTS };
  }
}

export interface Move {
  origin: number;
  target: number;
  amount: number;
}
