import type { Outcome } from './binding.js';
import type { Operations } from './operations.js';

interface Waiting {
  transaction: number;
  resolve: (outcome: Outcome) => void;
}

/** Gathers the commits of one event-loop turn, so that they share one write and one sync. */
export class Commits {
  readonly #commit: (transactions: number[], durability: number) => number[];
  readonly #operations: Operations;
  /** By durability. */
  readonly #waiting = new Map<number, Waiting[]>();

  constructor(commit: (transactions: number[], durability: number) => number[], operations: Operations) {
    this.#commit = commit;
    this.#operations = operations;
  }

  /** Ends the transaction; an outcome that is not good means that it was rolled back. */
  commit(transaction: number, durability: number): Promise<Outcome> {
    return new Promise((resolve) => {
      if (this.#waiting.size === 0) {
        setImmediate(() => {
          this.#flush();
        });
      }
      const waiting = this.#waiting.get(durability) ?? [];
      waiting.push({ transaction, resolve });
      this.#waiting.set(durability, waiting);
    });
  }

  #flush(): void {
    const groups = [...this.#waiting];
    this.#waiting.clear();
    for (const [durability, group] of groups) {
      const started = this.#commit(
        group.map((each) => each.transaction),
        durability,
      );
      for (const [number, operation] of started.entries()) {
        void this.#operations.settle(operation).then(group[number]!.resolve);
      }
    }
  }
}
