import { vamos } from '../../../src/protocol/generated/messages.js';
import type { Call } from '../../../src/rpc/contract.js';
import { startCounters } from '../counters.js';
import { Ending, type NativeStore, type Outcome } from './binding.js';
import type { Catalogue } from './catalogue.js';
import type { Commits } from './commits.js';
import type { NowOrLater } from './now_or_later.js';
import { checked, native, parkIfSlow, type Operations } from './operations.js';
import type { PreparedTransactions } from './prepared.js';
import type { Scope } from './requests.js';
import { SharedCommits } from './shared_commit.js';
import { type CommitNumber, HostTransaction } from './transaction.js';

export interface TablesLimits {
  /** How long a request waits for a lock where it doesn't say. */
  lockTimeoutMs: number;
  /** How long DDL waits for the transactions that use a table. */
  definitionTimeoutMs: number;
  /** The most simultaneously open cursors of one session. */
  maxCursors: number;
  maxTransactions: number;
  /** The most blobs that no row refers to. */
  maxPendingBlobs: number;
}

/** What all sessions of one root share. */
export class TablesHost {
  readonly counters = startCounters('tables');
  readonly sharedCommits: SharedCommits;

  constructor(
    readonly store: NativeStore,
    readonly operations: Operations,
    readonly commits: Commits,
    readonly prepared: PreparedTransactions,
    readonly catalogue: Catalogue,
    readonly limits: TablesLimits,
  ) {
    this.sharedCommits = new SharedCommits(store, commits, this.commit.bind(this));
  }

  begin(isolation: number, isReadOnly: boolean, snapshotNow: boolean): HostTransaction {
    const number = native(() => this.store.begin(isolation, isReadOnly, snapshotNow));
    return new HostTransaction(this.store, number, isolation, isReadOnly);
  }

  /** Begins a transaction for a single request. */
  beginAutocommit(): HostTransaction {
    return this.begin(vamos.tables.Isolation.REPEATABLE_READ, false, false);
  }

  /**
   * Ends the transaction. Returns the blobs that have an owner now, synchronously if the transaction wrote
   * nothing.
   * @param numbers all the commits that this one is
   * @param calls the calls that wait for it
   * @throws VamosError: then the transaction is rolled back
   */
  commit(
    transaction: HostTransaction,
    durability: number,
    numbers: readonly CommitNumber[],
    calls: readonly Call[],
  ): NowOrLater<number[]> {
    if (!transaction.hasWritten) {
      native(() => {
        this.store.rollback(transaction.number);
      });
      return transaction.end(true);
    }
    return this.#commitWrites(transaction, durability, numbers, calls);
  }

  async #commitWrites(
    transaction: HostTransaction,
    durability: number,
    numbers: readonly CommitNumber[],
    calls: readonly Call[],
  ): Promise<number[]> {
    const slow = parkIfSlow(calls);
    try {
      native(() => {
        for (const { stream, mark } of numbers) {
          this.store.numberCommit(transaction.number, stream, mark.number, mark.token);
        }
      });
      checked(await this.commits.end(Ending.COMMIT, transaction.number, durability));
    } catch (error) {
      this.rollback(transaction);
      throw error;
    } finally {
      slow.done();
    }
    return transaction.end(true);
  }

  rollback(transaction: HostTransaction): void {
    native(() => {
      this.store.rollback(transaction.number);
    });
    transaction.end(false);
    this.counters.rollbacks++;
  }

  /**
   * Waits for a store call and returns its successful outcome.
   * @throws VamosError, also through the promise
   */
  finish(started: () => Outcome | number, call: Call, scope?: Scope): NowOrLater<Outcome> {
    const lockTimeoutMs = scope?.lockTimeoutMs || this.limits.lockTimeoutMs;
    return this.operations.finish(native(started), call, lockTimeoutMs);
  }
}
