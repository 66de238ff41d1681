/**
 * done: acknowledged. undone: refused, or rolled back on purpose. unknown: either, until an audit finds out.
 */
export type Outcome = 'done' | 'undone' | 'unknown';

/** Why transactions may fail while parts are killed, frozen or cut. Anything else is a fault. */
const EXPECTED = [
  /^Deadlock found when trying to get lock/,
  /^Lock wait timeout exceeded/,
  /^Connection lost: |^read ECONNRESET|^write EPIPE|^This socket has been ended/,
  /^Got (temporary )?error 2\d\d\d '/,
  /^Got (temporary )?error \d+ "?.* during COMMIT/i,
  /^(SESSION_LOST|OUTCOME_UNKNOWN|DEADLOCK|LOCK_TIMEOUT|HOST_STOPPING|CHANNEL_\w+): /,
];

/** How many transactions ended in which way. */
export interface Counts {
  acknowledged: number;
  refused: number;
  /** Transactions whose outcome the client was not told, by what was found. */
  foundDone: number;
  foundUndone: number;
  /** Connections that clients had to make again. */
  reconnects: number;
}

/** What clients were told of their transactions, each of which has a number of its own. */
export class Book {
  readonly #outcomes = new Map<number, Outcome>();
  readonly #unknown = new Set<number>();
  readonly #surprises: string[] = [];
  /** Why transactions were refused, and how often. */
  readonly refusals = new Map<string, number>();
  readonly counts: Counts = { acknowledged: 0, refused: 0, foundDone: 0, foundUndone: 0, reconnects: 0 };
  #next = 1;

  /** Returns a number for the next transaction. */
  take(): number {
    return this.#next++;
  }

  outcome(id: number): Outcome | undefined {
    return this.#outcomes.get(id);
  }

  /**
   * Enters what a client was told.
   * @param reason why the transaction is not done
   */
  enter(id: number, outcome: Outcome, reason?: string): void {
    if (this.#outcomes.has(id)) throw new Error(`transaction ${id} has an outcome already`);
    this.#outcomes.set(id, outcome);
    if (outcome === 'done') this.counts.acknowledged++;
    else if (outcome === 'undone') this.counts.refused++;
    else this.#unknown.add(id);
    if (reason !== undefined) {
      if (!EXPECTED.some((expected) => expected.test(reason)))
        this.#surprises.push(`${id} failed: ${reason}`);
      const kind = reason
        .replaceAll(/\d{3,}/g, 'N')
        .replaceAll(/\/tmp\/[\w-]+/g, '…')
        .slice(0, 250);
      this.refusals.set(kind, (this.refusals.get(kind) ?? 0) + 1);
    }
  }

  /** Returns failures that nothing explains, since the last call. */
  takeSurprises(): string[] {
    return this.#surprises.splice(0);
  }

  get unknown(): ReadonlySet<number> {
    return this.#unknown;
  }

  /** Enters what an audit found of a transaction whose outcome was not known; from now on that holds. */
  settle(id: number, isDone: boolean): void {
    if (!this.#unknown.delete(id)) throw new Error(`the outcome of transaction ${id} is known`);
    this.#outcomes.set(id, isDone ? 'done' : 'undone');
    if (isDone) this.counts.foundDone++;
    else this.counts.foundUndone++;
  }

  /** All transactions whose outcome is known, with it. */
  get outcomes(): ReadonlyMap<number, Outcome> {
    return this.#outcomes;
  }
}
