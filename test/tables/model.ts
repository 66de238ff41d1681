/** The module's tables as plain maps: what each operation must give, and what it may be refused for. */
export interface Item {
  id: number;
  /** No two rows have the same tag. */
  tag: string | null;
  rank: number | null;
}

export type Isolation = 'read-committed' | 'repeatable-read' | 'serializable';
type Rows = Map<number, Item>;

/** The keys of one index between two others, without these. */
interface Range {
  low: string;
  high: string;
}

/** A locked gap ends at the nearest rows on both sides, including those that others have not committed. */
interface Gap {
  /** What is certainly locked: up to the nearest keys whose rows others may have locked. */
  least: Range;
  /** The most that may be locked: up to the nearest keys that others have written. */
  most: Range;
}

/** A transaction of the model. */
export class ModelTransaction {
  /** Its own rows over the committed ones; null: deleted. */
  own = new Map<number, Item | null>();
  snapshot: Rows | undefined;
  readonly savepoints: { name: string; own: Map<number, Item | null> }[] = [];
  /** Keys whose rows it may have locked; some of them it has not. */
  readonly touched = new Set<string>();
  /** Gaps around keys that it read with a lock where there were none. */
  readonly gaps: Gap[] = [];
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

  /** Returns what a plain read of this transaction sees; undefined: a read outside of any. */
  visible(transaction: ModelTransaction | undefined): Rows {
    if (!transaction) return this.committed;
    if (transaction.isolation !== 'repeatable-read') return this.latest(transaction);
    transaction.snapshot ??= this.committed;
    return over(transaction.snapshot, transaction.own);
  }

  /** Returns what locking reads and writes see. */
  latest(transaction: ModelTransaction | undefined): Rows {
    return transaction ? over(this.committed, transaction.own) : this.committed;
  }

  /** Whether another open transaction has written one of these keys, so that no other one may. */
  isWrittenByOthers(transaction: ModelTransaction | undefined, keys: Iterable<string>): boolean {
    const written = this.#writtenByOthers(transaction);
    return [...keys].some((key) => written.has(key));
  }

  /** Whether another open transaction may have locked the row of one of these keys. */
  mayBeLocked(transaction: ModelTransaction | undefined, keys: Iterable<string> | 'ranges'): boolean {
    return this.#others(transaction).some((other) => {
      if (other.hasTouchedRanges) return true;
      return keys === 'ranges' ? other.touched.size > 0 : [...keys].some((key) => other.touched.has(key));
    });
  }

  /** Notes that a locking read found nothing with this key: its gap is locked, except in READ COMMITTED. */
  lockGap(transaction: ModelTransaction, key: string): void {
    if (transaction.isolation === 'read-committed') return;
    const there = [...this.latest(transaction).values()].flatMap(keysOf);
    const touched = this.#others(transaction).flatMap((other) => [...other.touched]);
    transaction.gaps.push({
      least: between([...there, ...touched], key),
      most: between([...there, ...this.#writtenByOthers(transaction)], key),
    });
  }

  /** Whether another open transaction has locked a gap that one of these keys would come into. */
  isInGap(transaction: ModelTransaction | undefined, keys: readonly string[]): boolean {
    return this.#others(transaction).some((other) =>
      other.gaps.some(({ least }) => keys.some((key) => contains(least, key))),
    );
  }

  mayBeInGap(transaction: ModelTransaction | undefined, keys: readonly string[]): boolean {
    return this.#others(transaction).some(({ gaps }) =>
      keys.some(
        (key) =>
          gaps.some(({ most }) => contains(most, key)) ||
          // Gaps on both sides of a key may have become one: when it goes, it can't come back.
          (gaps.some(({ most }) => most.high === key) && gaps.some(({ most }) => most.low === key)),
      ),
    );
  }

  #writtenByOthers(transaction: ModelTransaction | undefined): Set<string> {
    const keys = new Set<string>();
    for (const other of this.#others(transaction)) {
      for (const [id, row] of other.own) {
        keys.add(`id ${id}`);
        for (const each of [this.committed.get(id), row]) if (each) keys.add(tagKey(each));
      }
    }
    return keys;
  }

  #others(transaction: ModelTransaction | undefined): ModelTransaction[] {
    return [...this.open].filter((other) => other !== transaction);
  }
}

/** The key of a tag. NULL can be there often, so its entry has the row's number, too. */
function tagKey({ tag, id }: Item): string {
  return tag === null ? `tag 0${id}` : tagKeyOf(tag);
}

export function tagKeyOf(tag: string): string {
  return `tag 1${tag}`;
}

/** Returns the keys under which a row is locked. They compare as in their index; ids have one digit. */
export function keysOf(row: Item): string[] {
  return [`id ${row.id}`, tagKey(row)];
}

/** Returns the range from the nearest of these keys before one to the nearest behind it, in its index. */
function between(keys: readonly string[], key: string): Range {
  const index = key.split(' ')[0]!;
  const range = { low: `${index} `, high: `${index} \uffff` };
  for (const each of keys) {
    if (each < key && each > range.low) range.low = each;
    if (each > key && each < range.high) range.high = each;
  }
  return range;
}

function contains(range: Range, key: string): boolean {
  return range.low < key && key < range.high;
}

function over(rows: Rows, own: ReadonlyMap<number, Item | null>): Rows {
  const result = new Map(rows);
  for (const [id, row] of own) {
    if (row) result.set(id, row);
    else result.delete(id);
  }
  return result;
}

/** Sorts rows in the order of an index. */
export function sorted(rows: Iterable<Item>, index: 'primary' | 'byTag' | 'byRank'): Item[] {
  const all = [...rows].sort((a, b) => a.id - b.id);
  if (index === 'byTag') {
    return all.sort((a, b) =>
      a.tag === b.tag ? 0 : a.tag === null ? -1 : b.tag === null ? 1 : a.tag < b.tag ? -1 : 1,
    );
  }
  // The order is descending, so NULL comes last.
  if (index === 'byRank') return all.sort((a, b) => (b.rank ?? -1000) - (a.rank ?? -1000));
  return all;
}
