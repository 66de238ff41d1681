import { setTimeout as delay } from 'node:timers/promises';
import type { Choices } from '../../../bench/order_entry/random.js';
import { ACCOUNTS, tableOf, type Bank } from './bank.js';

/** After a failure a client waits so long: it must not keep the machine busy while nothing is there to serve it. */
const PAUSE_MS = 10;

/** One that works at the bank for as long as it is told to, whatever happens to the parts that serve it. */
export abstract class Client {
  /** Transactions of this client that were acknowledged, by when they began: of the latest. */
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

  /** One transaction. @returns whether it was acknowledged */
  protected abstract turn(): Promise<boolean>;

  abstract close(): Promise<void>;

  protected chooseMove(): Move {
    const origin = this.choices.between(0, ACCOUNTS - 1);
    const target = (origin + this.choices.between(1, ACCOUNTS - 1)) % ACCOUNTS;
    return { origin, target, amount: this.choices.between(1, 9) };
  }

  /** Within one of the two tables. */
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
