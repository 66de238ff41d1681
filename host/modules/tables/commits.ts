import type { Ending, Outcome } from './binding.js';
import type { Operations } from './operations.js';

type End = (ending: Ending, transactions: number[], durability: number) => number[];

interface Waiting {
  ending: Ending;
  durability: number;
  transactions: number[];
  resolve: ((outcome: Outcome) => void)[];
}

/**
 * Gathers the commits of one event-loop turn, and other ends of transactions, so that they share one write
 * and one sync.
 */
export class Commits {
  readonly #end: End;
  readonly #operations: Operations;
  #waiting: Waiting[] = [];
  #last: (() => void)[] = [];
  #isScheduled = false;

  constructor(end: End, operations: Operations) {
    this.#end = end;
    this.#operations = operations;
  }

  /** Ends a transaction as the store's `end` does. */
  end(ending: Ending, transaction: number, durability: number): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#schedule();
      let group = this.#waiting.find((each) => each.ending === ending && each.durability === durability);
      if (!group) {
        group = { ending, durability, transactions: [], resolve: [] };
        this.#waiting.push(group);
      }
      group.transactions.push(transaction);
      group.resolve.push(resolve);
    });
  }

  /** Calls `last` at the end of this turn; the transactions that it ends go with the others. */
  beforeFlush(last: () => void): void {
    this.#schedule();
    this.#last.push(last);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      const last = this.#last;
      this.#last = [];
      try {
        for (const call of last) call();
      } finally {
        this.#isScheduled = false;
        this.#flush();
      }
    });
  }

  #flush(): void {
    const groups = this.#waiting;
    this.#waiting = [];
    for (const { ending, durability, transactions, resolve } of groups) {
      for (const [number, operation] of this.#end(ending, transactions, durability).entries()) {
        this.#operations.onEnd(operation, resolve[number]!);
      }
    }
  }
}
