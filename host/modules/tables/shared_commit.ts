import { VamosError } from '../../../src/protocol/errors.js';
import type { Call } from '../../../src/rpc/contract.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { NativeStore } from './binding.js';
import type { Commits } from './commits.js';
import { goOn, type NowOrLater } from './now_or_later.js';
import { native } from './operations.js';
import { type CommitNumber, HostTransaction } from './transaction.js';

const { Isolation } = vamos.tables;

type Commit = (
  transaction: HostTransaction,
  durability: number,
  numbers: readonly CommitNumber[],
  calls: readonly Call[],
) => NowOrLater<unknown>;

/** A transaction that autocommit writes of one event-loop turn share, whatever their streams. */
interface Shared {
  transaction: HostTransaction;
  calls: Call[];
  numbers: CommitNumber[];
  /** Settles when it is committed. */
  committed: Promise<unknown>;
}

const isFull = (error: unknown): boolean =>
  error instanceof VamosError && error.code === 'TRANSACTION_TOO_LARGE';

/**
 * Commits autocommit writes together that come together: in one transaction, with one record of the log and
 * one outcome. They are carried out one after another, each whole or not at all, and fail together only if
 * the commit does.
 */
export class SharedCommits {
  readonly #store: NativeStore;
  readonly #commits: Commits;
  readonly #commit: Commit;
  /** The shared transactions of this turn, by durability. */
  readonly #open = new Map<number, Shared>();

  constructor(store: NativeStore, commits: Commits, commit: Commit) {
    this.#store = store;
    this.#commits = commits;
    this.#commit = commit;
  }

  /**
   * Carries out a write and commits it with the others of this turn. A write that can't be done immediately
   * (it would wait for a lock, or a row is not in memory) or that fails is not done, and throws: the caller
   * does it in a transaction of its own.
   * @throws what `write` throws
   */
  run<Result>(
    call: Call,
    durability: number,
    numbers: readonly CommitNumber[],
    write: (transaction: HostTransaction) => NowOrLater<Result>,
  ): NowOrLater<Result> {
    const shared = this.#open.get(durability) ?? this.#begin(durability);
    shared.transaction.standsAlone = false;
    return goOn(
      () => write(shared.transaction),
      (result) => {
        if (shared.transaction.standsAlone) return result;
        shared.calls.push(call);
        shared.numbers.push(...numbers);
        return shared.committed.then(() => result);
      },
      (error) => {
        // Later writes begin another one.
        if (isFull(error) || shared.calls.length === 0) this.#open.delete(durability);
        throw error;
      },
    );
  }

  #begin(durability: number): Shared {
    const number = native(() => this.#store.beginShared());
    const transaction = new HostTransaction(this.#store, number, Isolation.READ_COMMITTED, false);
    const shared: Shared = { transaction, calls: [], numbers: [], committed: Promise.resolve() };
    shared.committed = new Promise((resolve, reject) => {
      this.#commits.beforeFlush(() => {
        if (this.#open.get(durability) === shared) this.#open.delete(durability);
        try {
          resolve(this.#commit(transaction, durability, shared.numbers, shared.calls));
        } catch (error) {
          // The store was closed in the same turn.
          reject(VamosError.from(error));
        }
      });
    });
    // If all writes that shared it failed or changed nothing, nothing waits for it.
    shared.committed.catch(() => undefined);
    this.#open.set(durability, shared);
    return shared;
  }
}
