/** The module's tables as plain maps: what each operation must give, and what it may be refused for. */
export interface Item {
  id: number;
  /** Unique. */
  tag: string | null;
  rank: number | null;
}

export type Isolation = 'read-committed' | 'repeatable-read' | 'serializable';
type Rows = Map<number, Item>;

/** A transaction of the model. */
export class ModelTransaction {
  /** Own rows over the committed ones; null: deleted. */
  own = new Map<number, Item | null>();
  snapshot: Rows | undefined;
  readonly savepoints: { name: string; own: Map<number, Item | null> }[] = [];
  /** Keys that it may have locked: more than it has. */
  readonly touched = new Set<string>();
  /** It may have locked ranges, and with them any key. */
  hasTouchedRanges = false;

  constructor(readonly isolation: Isolation) {}
}

export class Model {
  committed: Rows = new Map();
  readonly open = new Set<ModelTransaction>();

  begin(isolation: Isolation): ModelTransaction {
    const transaction = new ModelTransaction(isolation);
    this.open.add(transaction);
    return transaction;
  }

  commit(transaction: ModelTransaction): void {
    this.committed = over(this.committed, transaction.own);
    this.open.delete(transaction);
  }

  rollback(transaction: ModelTransaction): void {
    this.open.delete(transaction);
  }

  /** What a plain read of this transaction sees; undefined: outside of any. */
  visible(transaction: ModelTransaction | undefined): Rows {
    if (!transaction) return this.committed;
    if (transaction.isolation !== 'repeatable-read') return this.latest(transaction);
    transaction.snapshot ??= this.committed;
    return over(transaction.snapshot, transaction.own);
  }

  /** What locking reads and writes see. */
  latest(transaction: ModelTransaction | undefined): Rows {
    return transaction ? over(this.committed, transaction.own) : this.committed;
  }

  /** Whether another open transaction has written one of these keys: then nobody else may. */
  isWrittenByOthers(transaction: ModelTransaction | undefined, keys: Iterable<string>): boolean {
    const wanted = new Set(keys);
    return this.#others(transaction).some((other) =>
      [...other.own].some(([id, row]) => {
        const before = this.committed.get(id);
        return [`id ${id}`, ...tagKeys(before), ...tagKeys(row)].some((key) => wanted.has(key));
      }),
    );
  }

  /** Whether another open transaction may have locked one of these keys. */
  mayBeLocked(transaction: ModelTransaction | undefined, keys: Iterable<string> | 'ranges'): boolean {
    return this.#others(transaction).some((other) => {
      if (other.hasTouchedRanges) return true;
      return keys === 'ranges' ? other.touched.size > 0 : [...keys].some((key) => other.touched.has(key));
    });
  }

  #others(transaction: ModelTransaction | undefined): ModelTransaction[] {
    return [...this.open].filter((other) => other !== transaction);
  }
}

function tagKeys(row: Item | null | undefined): string[] {
  return typeof row?.tag === 'string' ? [`tag ${row.tag}`] : [];
}

/** What a row's keys are locked as. */
export function keysOf(row: Item): string[] {
  return [`id ${row.id}`, ...tagKeys(row)];
}

function over(rows: Rows, own: ReadonlyMap<number, Item | null>): Rows {
  const result = new Map(rows);
  for (const [id, row] of own) {
    if (row) result.set(id, row);
    else result.delete(id);
  }
  return result;
}

/** In the order of an index. */
export function sorted(rows: Iterable<Item>, index: 'primary' | 'byTag' | 'byRank'): Item[] {
  const all = [...rows].sort((a, b) => a.id - b.id);
  if (index === 'byTag') {
    return all.sort((a, b) =>
      a.tag === b.tag ? 0 : a.tag === null ? -1 : b.tag === null ? 1 : a.tag < b.tag ? -1 : 1,
    );
  }
  // Descending, so NULL comes last.
  if (index === 'byRank') return all.sort((a, b) => (b.rank ?? -1000) - (a.rank ?? -1000));
  return all;
}
