import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { CommitMark, NativeStore } from './binding.js';
import type { HostTable } from './host_table.js';
import { native } from './operations.js';
import type { PendingBlob } from './pending_blobs.js';

/**
 * A commit's place among those of its stream. `stream` is 16 bytes of session and the stream's number as u32
 * big-endian.
 */
export interface CommitNumber {
  stream: Uint8Array;
  mark: CommitMark;
}

/** The most savepoints, including those of statements. */
const MAX_SAVEPOINTS = 2048;

interface Savepoint {
  /** The savepoint's name; undefined: another savepoint took the name, or this is a statement's. */
  name: string | undefined;
  /** The statement that begins to write here; 0: this is a savepoint with a name. */
  statement: number;
  rows: Map<HostTable, number>;
  adopted: number;
}

/** What the module keeps of a transaction; its data, locks and savepoints are the store's. */
export class HostTransaction {
  /** The store's number of the transaction. */
  readonly number: number;
  readonly isReadOnly: boolean;
  readonly #store: NativeStore;
  readonly #isolation: number;
  /** The statement of the latest request. */
  #statement = 0;
  readonly #tables = new Set<HostTable>();
  #hasWritten = false;
  /** For a shared transaction: the latest request depends on none of its writes. */
  standsAlone = false;
  /** Rows added, by table. */
  #rows = new Map<HostTable, number>();
  /** Rows changed, by table, including those that a savepoint undid. */
  readonly #changed = new Map<HostTable, number>();
  readonly #savepoints: Savepoint[] = [];
  readonly #adopted: PendingBlob[] = [];

  constructor(store: NativeStore, number: number, isolation: number, isReadOnly: boolean) {
    this.#store = store;
    this.number = number;
    this.#isolation = isolation;
    this.isReadOnly = isReadOnly;
  }

  /** Plain reads take no locks, and it does not matter which statement they belong to. */
  get readsItsSnapshot(): boolean {
    return this.#isolation === Number(vamos.tables.Isolation.REPEATABLE_READ);
  }

  get statement(): number {
    return this.#statement;
  }

  /** Notes that a request of this statement comes; 0: the request is a statement by itself. */
  beginStatement(statement: number): void {
    if (statement !== 0 && statement === this.#statement) return;
    this.#statement = statement;
    if (this.#isolation === Number(vamos.tables.Isolation.READ_COMMITTED)) {
      native(() => {
        this.#store.beginStatement(this.number);
      });
    }
  }

  /** Keeps the table's definition as it is until the transaction ends. */
  use(table: HostTable): void {
    if (this.#tables.has(table)) return;
    this.#tables.add(table);
    table.use.begin();
  }

  /** Whether there may be something to commit. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** Notes that a write added and changed this many rows. */
  addRows(table: HostTable, added: number, changed: number): void {
    this.#hasWritten = true;
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + added);
    this.#changed.set(table, (this.#changed.get(table) ?? 0) + changed);
  }

  /** Notes that a row which the transaction wrote owns the blob. */
  adopt(blob: PendingBlob): void {
    blob.adopt();
    this.#adopted.push(blob);
  }

  /**
   * Undoes all that the work wrote if any of it fails. If it is a deadlock's victim the whole transaction is
   * undone.
   */
  async allOrNothing<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#push(undefined, 0);
    try {
      const result = await work();
      this.#pop();
      return result;
    } catch (error) {
      if (!(error instanceof VamosError && error.code === 'DEADLOCK')) {
        this.#rollbackToLast();
        this.#pop();
      }
      throw error;
    }
  }

  /** Ends it. Returns the blobs that have an owner now. */
  end(isCommitted: boolean): number[] {
    if (isCommitted) this.#count();
    if (!isCommitted) this.#discardAdopted(0);
    for (const table of this.#tables) table.use.end();
    this.#tables.clear();
    return this.adoptedBlobs;
  }

  #count(): void {
    for (const [table, added] of this.#rows) table.rows += added;
    for (const [table, changed] of this.#changed) {
      table.sample.changed += changed;
      table.sample.updatedMs = Date.now();
    }
  }

  /** Gives blobs up whose rows are undone. */
  #discardAdopted(from: number): void {
    for (const blob of this.#adopted.splice(from)) blob.discard();
  }

  /** Blobs that rows of the transaction came to own. */
  get adoptedBlobs(): number[] {
    return this.#adopted.map(({ number }) => number);
  }

  setSavepoint(name: string): void {
    if (this.#savepoints.length >= MAX_SAVEPOINTS) {
      throw new VamosError('BAD_REQUEST', `a transaction has at most ${MAX_SAVEPOINTS} savepoints`);
    }
    const before = this.#savepoints.find((savepoint) => savepoint.name === name);
    this.#push(name, 0);
    if (before) before.name = undefined;
  }

  /**
   * To be called before each write of a statement: the first write sets a savepoint, in place of the previous
   * statement's.
   */
  beginWrite(statement: number): void {
    if (statement === 0 || this.#positionOf(statement) >= 0) return;
    if ((this.#savepoints.at(-1)?.statement ?? 0) !== 0) this.#pop();
    this.#push(undefined, statement);
  }

  /** Undoes what the statement wrote, if anything. */
  rollbackStatement(statement: number): void {
    const position = this.#positionOf(statement);
    if (position < 0) return;
    this.#popAbove(position);
    this.#rollbackToLast();
    this.#pop();
  }

  /**
   * Removes the savepoint and those after it.
   * @throws VamosError SAVEPOINT_MISSING
   */
  releaseSavepoint(name: string): void {
    this.#popAbove(this.#positionNamed(name) - 1);
  }

  /**
   * Rolls back to the savepoint, which stays.
   * @throws VamosError SAVEPOINT_MISSING
   */
  rollbackToSavepoint(name: string): void {
    this.#popAbove(this.#positionNamed(name));
    this.#rollbackToLast();
  }

  #positionNamed(name: string): number {
    const position = this.#savepoints.findIndex((savepoint) => savepoint.name === name);
    if (position < 0) throw new VamosError('SAVEPOINT_MISSING', `the transaction has no savepoint ${name}`);
    return position;
  }

  /**
   * Returns the position of a statement's savepoint, -1: none. It is the last one unless others were set
   * within the statement.
   */
  #positionOf(statement: number): number {
    const last = this.#savepoints.length - 1;
    if (last < 0 || this.#savepoints[last]!.statement === statement) return last;
    return this.#savepoints.findLastIndex((savepoint) => savepoint.statement === statement);
  }

  #push(name: string | undefined, statement: number): void {
    native(() => {
      this.#store.setSavepoint(this.number);
    });
    this.#savepoints.push({ name, statement, rows: new Map(this.#rows), adopted: this.#adopted.length });
  }

  #pop(): void {
    native(() => {
      this.#store.releaseSavepoint(this.number);
    });
    this.#savepoints.pop();
  }

  #popAbove(position: number): void {
    while (this.#savepoints.length - 1 > position) this.#pop();
  }

  #rollbackToLast(): void {
    native(() => {
      this.#store.rollbackToSavepoint(this.number);
    });
    const savepoint = this.#savepoints.at(-1)!;
    this.#rows = new Map(savepoint.rows);
    this.#discardAdopted(savepoint.adopted);
  }
}
