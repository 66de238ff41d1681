import { VamosError } from '../../../src/protocol/errors.js';
import type { HostTable } from './catalogue.js';

const MAX_SAVEPOINTS = 1024;

/** A blob that a session wrote and no committed row owns yet. */
export interface PendingBlob {
  lengthBytes: number;
  /** The open transaction with a row that refers to it. */
  adoptedBy: HostTransaction | undefined;
}

interface Savepoint {
  /** undefined: another took the name. */
  name: string | undefined;
  rows: Map<HostTable, number>;
  adopted: number;
}

/** What the module keeps of a transaction; its data, locks and savepoints are the store's. */
export class HostTransaction {
  /** The store's. */
  readonly number: number;
  readonly isReadOnly: boolean;
  readonly #tables = new Set<HostTable>();
  /** Rows added, by table. */
  #rows = new Map<HostTable, number>();
  readonly #savepoints: Savepoint[] = [];
  #adopted: { blob: number; pending: PendingBlob }[] = [];

  constructor(number: number, isReadOnly: boolean) {
    this.number = number;
    this.isReadOnly = isReadOnly;
  }

  /** The table stays as it is until the transaction ends. */
  use(table: HostTable): void {
    if (this.#tables.has(table)) return;
    this.#tables.add(table);
    table.use.begin();
  }

  addRows(table: HostTable, count: number): void {
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + count);
  }

  adopt(blob: number, pending: PendingBlob): void {
    pending.adoptedBy = this;
    this.#adopted.push({ blob, pending });
  }

  /** It is over: the blobs that have an owner now. */
  end(isCommitted: boolean): number[] {
    if (isCommitted) for (const [table, count] of this.#rows) table.rows += count;
    const owned = this.#adopted.map(({ blob }) => blob);
    if (!isCommitted) this.#disown(0);
    for (const table of this.#tables) table.use.end();
    this.#tables.clear();
    return isCommitted ? owned : [];
  }

  #disown(from: number): void {
    for (const { pending } of this.#adopted.splice(from)) pending.adoptedBy = undefined;
  }

  setSavepoint(name: string): void {
    if (this.#savepoints.length >= MAX_SAVEPOINTS) {
      throw new VamosError('BAD_REQUEST', `a transaction has at most ${MAX_SAVEPOINTS} savepoints`);
    }
    const before = this.#savepoints.find((savepoint) => savepoint.name === name);
    if (before) before.name = undefined;
    this.#savepoints.push({ name, rows: new Map(this.#rows), adopted: this.#adopted.length });
  }

  /** How many savepoints stand above this one. @throws VamosError SAVEPOINT_MISSING */
  savepointsAbove(name: string): number {
    const position = this.#savepoints.findIndex((savepoint) => savepoint.name === name);
    if (position < 0) throw new VamosError('SAVEPOINT_MISSING', `the transaction has no savepoint ${name}`);
    return this.#savepoints.length - position - 1;
  }

  /** The latest savepoint goes. */
  releaseSavepoint(): void {
    this.#savepoints.pop();
  }

  /** To the latest savepoint, which stays. */
  rollbackToSavepoint(): void {
    const savepoint = this.#savepoints.at(-1)!;
    this.#rows = new Map(savepoint.rows);
    this.#disown(savepoint.adopted);
  }
}
