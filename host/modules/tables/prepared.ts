import { VamosError } from '../../../src/protocol/errors.js';
import type { Call } from '../../../src/rpc/contract.js';
import { Ending, type NativeStore } from './binding.js';
import type { Catalogue } from './catalogue.js';
import type { Commits } from './commits.js';
import { checked, native, parkIfSlow } from './operations.js';
import { refuse } from './requests.js';
import { HostTransaction } from './transaction.js';
import { MAX_XID_BYTES } from '../../../src/protocol/generated/limits.js';

/** The most prepared transactions of one root: each holds memory and locks until it is ended. */
const MAX_PREPARED = 16_384;

interface Prepared {
  xid: Uint8Array;
  transaction: HostTransaction;
  /** Settles, and never rejects, when the current change of it is over; undefined: it is prepared. */
  change: Promise<unknown> | undefined;
}

/** The prepared transactions of a root. They belong to no session, and are known by their xids. */
export class PreparedTransactions {
  readonly #store: NativeStore;
  readonly #commits: Commits;
  readonly #byXid = new Map<string, Prepared>();

  constructor(store: NativeStore, commits: Commits) {
    this.#store = store;
    this.#commits = commits;
  }

  get size(): number {
    return this.#byXid.size;
  }

  /**
   * Loads the transactions that the store found when it opened: their tables are in use, and their rows count
   * once they are committed.
   */
  load(catalogue: Catalogue): void {
    for (const { xid, transaction: number, spaces } of native(() => this.#store.prepared())) {
      const transaction = new HostTransaction(this.#store, number, 0, false);
      for (const { space, added } of spaces) {
        const table = catalogue.bySpace(space);
        if (!table) continue;
        transaction.use(table);
        if (table.firstSpace === space) transaction.addRows(table, added, Math.abs(added));
      }
      this.#byXid.set(keyOf(xid), { xid, transaction, change: undefined });
    }
  }

  /**
   * Checks that the xid may be prepared.
   * @throws VamosError BAD_REQUEST, PREPARED_EXISTS: then the transaction is as it was
   */
  check(xid: Uint8Array): void {
    if (xid.length === 0 || xid.length > MAX_XID_BYTES)
      throw refuse(`an xid has 1 to ${MAX_XID_BYTES} bytes`);
    if (this.#byXid.has(keyOf(xid))) {
      throw new VamosError(
        'PREPARED_EXISTS',
        "a transaction is prepared with this xid already: end that one first. If the guest's memory was rolled back, it may be " +
          'this one, prepared before',
      );
    }
    if (this.#byXid.size >= MAX_PREPARED) throw refuse(`at most ${MAX_PREPARED} transactions are prepared`);
  }

  /**
   * Prepares a transaction. If that fails the caller must roll it back.
   * @throws VamosError
   */
  async add(xid: Uint8Array, transaction: HostTransaction, durability: number, call: Call): Promise<void> {
    this.check(xid);
    xid = Uint8Array.prototype.slice.call(xid);
    native(() => {
      this.#store.setXid(transaction.number, xid);
    });
    const prepared: Prepared = { xid, transaction, change: undefined };
    this.#byXid.set(keyOf(xid), prepared);
    try {
      await this.#change(prepared, Ending.PREPARE, durability, call);
    } catch (error) {
      this.#byXid.delete(keyOf(xid));
      throw error;
    }
  }

  /**
   * Commits or rolls back a prepared transaction.
   * @throws VamosError PREPARED_MISSING; after other errors it is as before
   */
  async end(xid: Uint8Array, isCommit: boolean, durability: number, call: Call): Promise<void> {
    const key = keyOf(xid);
    let prepared = this.#byXid.get(key);
    while (prepared?.change) {
      await prepared.change;
      prepared = this.#byXid.get(key);
    }
    if (!prepared) throw new VamosError('PREPARED_MISSING', 'no transaction is prepared with this xid');
    await this.#change(prepared, isCommit ? Ending.COMMIT : Ending.ROLLBACK, durability, call);
    this.#byXid.delete(key);
    prepared.transaction.end(isCommit);
  }

  /**
   * Lists xids, after the present changes: a connector that comes back to end its transactions must see all
   * of them.
   */
  async list(): Promise<Uint8Array[]> {
    await Promise.all([...this.#byXid.values()].flatMap(({ change }) => change ?? []));
    return [...this.#byXid.values()].filter(({ change }) => !change).map(({ xid }) => xid);
  }

  async #change(prepared: Prepared, ending: Ending, durability: number, call: Call): Promise<void> {
    const slow = parkIfSlow([call]);
    const outcome = this.#commits.end(ending, prepared.transaction.number, durability);
    prepared.change = outcome;
    try {
      checked(await outcome);
    } finally {
      prepared.change = undefined;
      slow.done();
    }
  }
}

function keyOf(xid: Uint8Array): string {
  return Buffer.from(xid.buffer, xid.byteOffset, xid.length).toString('latin1');
}
