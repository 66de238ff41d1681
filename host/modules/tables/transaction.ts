import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { CommitMark, NativeStore } from './binding.js';
import type { HostTable } from './host_table.js';
import { native } from './operations.js';
import type { PendingBlob } from './pending_blobs.js';

/** A commit's place among those of its stream; `stream`: 16 bytes session, u32 big-endian stream. */
export interface CommitNumber {
  stream: Uint8Array;
  mark: CommitMark;
}

/** Those of statements counted too. */
const MAX_SAVEPOINTS = 2048;

interface Savepoint {
  /** undefined: another took the name, or it is a statement's. */
  name: string | undefined;
  /** Of the statement that begins to write here; 0: a savepoint with a name. */
  statement: number;
  rows: Map<HostTable, number>;
  adopted: number;
}

/** What the module keeps of a transaction; its data, locks and savepoints are the store's. */
export class HostTransaction {
  /** The store's. */
  readonly number: number;
  readonly isReadOnly: boolean;
  readonly #store: NativeStore;
  readonly #isolation: number;
  /** Of the request that came last. */
  #statement = 0;
  readonly #tables = new Set<HostTable>();
  #hasWritten = false;
  /** Of a shared one: the request that came last depends on none of its writes. */
  standsAlone = false;
  /** Rows added, by table. */
  #rows = new Map<HostTable, number>();
  /** Rows changed, by table; those that a savepoint undid count too. */
  readonly #changed = new Map<HostTable, number>();
  readonly #savepoints: Savepoint[] = [];
  readonly #adopted: PendingBlob[] = [];

  constructor(store: NativeStore, number: number, isolation: number, isReadOnly: boolean) {
    this.#store = store;
    this.number = number;
    this.#isolation = isolation;
    this.isReadOnly = isReadOnly;
  }

  /** Plain reads take no locks, and it doesn't matter of which statement they are. */
  get readsItsSnapshot(): boolean {
    return this.#isolation === Number(vamos.tables.Isolation.REPEATABLE_READ);
  }

  get statement(): number {
    return this.#statement;
  }

  /** A request of this statement comes; 0: it is one by itself. */
  beginStatement(statement: number): void {
    if (statement !== 0 && statement === this.#statement) return;
    this.#statement = statement;
    if (this.#isolation === Number(vamos.tables.Isolation.READ_COMMITTED)) {
      native(() => {
        this.#store.beginStatement(this.number);
      });
    }
  }

  /** The table stays as it is until the transaction ends. */
  use(table: HostTable): void {
    if (this.#tables.has(table)) return;
    this.#tables.add(table);
    table.use.begin();
  }

  /** Whether there may be something to commit. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** A write was done, which adds so many rows, and changed so many. */
  addRows(table: HostTable, added: number, changed: number): void {
    this.#hasWritten = true;
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + added);
    this.#changed.set(table, (this.#changed.get(table) ?? 0) + changed);
  }

  /** One of its rows, which was written, owns the blob. */
  adopt(blob: PendingBlob): void {
    blob.adopt();
    this.#adopted.push(blob);
  }

  /** Undoes all that the work wrote where any of it fails; a deadlock's victim is undone whole. */
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

  /** It is over: the blobs that have an owner now. */
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

  /** The rows are undone. */
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

  /** Before each write of a statement: the first one sets a savepoint, in place of the statement's before. */
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

  /** The savepoint and those after it go. @throws VamosError SAVEPOINT_MISSING */
  releaseSavepoint(name: string): void {
    this.#popAbove(this.#positionNamed(name) - 1);
  }

  /** To the savepoint, which stays. @throws VamosError SAVEPOINT_MISSING */
  rollbackToSavepoint(name: string): void {
    this.#popAbove(this.#positionNamed(name));
    this.#rollbackToLast();
  }

  #positionNamed(name: string): number {
    const position = this.#savepoints.findIndex((savepoint) => savepoint.name === name);
    if (position < 0) throw new VamosError('SAVEPOINT_MISSING', `the transaction has no savepoint ${name}`);
    return position;
  }

  /** Of the savepoint of a statement, -1: none. It is the last one unless others were set within the statement. */
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
