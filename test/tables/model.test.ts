import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type Table, type Transaction } from '../../guest/tables/index.js';
import { VamosError } from '../../src/protocol/errors.js';
import {
  Model,
  keysOf,
  sorted,
  tagKeyOf,
  type Isolation,
  type Item,
  type ModelTransaction,
} from './model.js';
import { MODES, Place } from './place.js';

// Programs of several streams run one operation at a time, against the module and against a model of plain maps. No
// request waits for a lock (`no-wait`), so a program has one course. The model knows exactly which rows a read must give
// and which duplicates a write must find. Of locks it knows bounds: a write or locking read must be refused where another
// transaction has written the key, and may be refused only where another transaction may have locked it. What comes
// into a gap that another transaction has locked must be refused, too.

const STREAMS = 3;
const items = defineTable({
  name: 'items',
  columns: { id: t.uint8(), tag: t.text().nullable(), rank: t.int8().nullable() },
  primaryKey: ['id'],
  indexes: {
    byTag: { columns: ['tag'], unique: true },
    byRank: { columns: [{ column: 'rank', descending: true }] },
  },
});
type Items = Table<typeof items>;

const id = fc.nat({ max: 9 });
const tag = fc.constantFrom(null, null, 'a', 'b', 'a\u0000', 'é');
const rank = fc.constantFrom(null, -128, -1, 0, 1, 127);
const item = fc.record({ id, tag, rank });
const index = fc.constantFrom('primary', 'byTag', 'byRank');
const isolation = fc.constantFrom<Isolation>('read-committed', 'repeatable-read', 'serializable');
const lock = fc.constantFrom('none', 'shared', 'exclusive');

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('begin'), isolation }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('savepoint'), name: fc.constantFrom('x', 'y') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollbackTo'), name: fc.constantFrom('x', 'y') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('insert'),
      rows: fc.array(item, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('update'),
      id,
      to: fc.record({ id: fc.option(id), tag, rank }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete'), id }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('get'), id, lock }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('getByTag'), tag: fc.constantFrom('a', 'b', 'é') }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('scan'),
      index,
      reverse: fc.boolean(),
      limit: fc.constantFrom(undefined, 1, 3),
      windowBytes: fc.constantFrom(1, 16_384),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lockingScan') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('count') }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer Each> ? Each : never;
const program = fc.array(fc.tuple(fc.nat({ max: STREAMS - 1 }), operation), { minLength: 1, maxLength: 60 });

/** One stream of a program: its open transaction, here and in the model. */
interface Stream {
  table: Items;
  transaction: { real: Transaction; model: ModelTransaction } | undefined;
}

/** Runs a program and checks each step. Returns what happened, for comparison. */
class Run {
  readonly model = new Model();
  readonly trace: string[] = [];

  constructor(
    readonly place: Place,
    readonly streams: Stream[],
  ) {}

  async step(stream: Stream, operation: Operation): Promise<void> {
    const outcome = await this.#do(stream, operation);
    this.trace.push(`${operation.kind}: ${outcome}`);
  }

  async #do(stream: Stream, operation: { kind: string } & Record<string, unknown>): Promise<string> {
    const { transaction } = stream;
    const table = transaction ? transaction.real.table(stream.table) : stream.table;
    switch (operation.kind) {
      case 'begin':
        if (transaction) return 'in one already';
        stream.transaction = {
          real: this.place.tables.begin({ isolation: operation.isolation as Isolation }),
          model: this.model.begin(operation.isolation as Isolation),
        };
        return 'begun';
      case 'commit':
        return this.#end(stream, async ({ real, model }) => {
          await real.commit({ durability: 'memory' });
          this.model.commit(model);
        });
      case 'rollback':
        return this.#end(stream, async ({ real, model }) => {
          await real.rollback();
          this.model.rollback(model);
        });
      case 'savepoint':
        return transaction ? this.#savepoint(transaction, operation.name as string) : 'no transaction';
      case 'rollbackTo':
        return transaction ? this.#rollbackTo(transaction, operation.name as string) : 'no transaction';
      case 'insert':
        return this.#insert(stream, table, operation.rows as Item[]);
      case 'update':
        return this.#change(
          stream,
          table,
          operation.id as number,
          operation.to as Omit<Item, 'id'> & { id: number | null },
        );
      case 'delete':
        return this.#change(stream, table, operation.id as number, undefined);
      case 'get':
        return this.#get(
          stream,
          table,
          operation.id as number,
          operation.lock as 'none' | 'shared' | 'exclusive',
        );
      case 'getByTag': {
        const wanted = operation.tag as string;
        const find = (rows: Map<number, Item>) => [...rows.values()].find((each) => each.tag === wanted);
        // A row found by its tag is locked by its number.
        const latest = find(this.model.latest(transaction?.model));
        const key = latest ? `id ${latest.id}` : tagKeyOf(wanted);
        return this.#read(stream, [key], async (visible) => {
          const row = await table.indexRead('byTag', wanted, { wait: 'no-wait' });
          expect(row).toEqual(find(visible()));
          return row;
        });
      }
      case 'scan': {
        const { reverse, limit, windowBytes } = operation as unknown as {
          reverse: boolean;
          limit?: number;
          windowBytes: number;
        };
        const by = operation.index as 'primary' | 'byTag' | 'byRank';
        return this.#read(stream, 'ranges', async (visible) => {
          const options = { reverse, windowBytes, wait: 'no-wait', ...(limit && { limit }) } as const;
          const rows = await table.indexScan(by, options).all();
          const all = sorted(visible().values(), by);
          expect(rows).toEqual((reverse ? all.reverse() : all).slice(0, limit));
          return undefined;
        });
      }
      case 'lockingScan':
        return this.#lockingRead(stream, 'ranges', async () => {
          const rows = await table.rndScan({ lock: 'exclusive', wait: 'no-wait' }).all();
          expect(rows).toEqual(sorted(this.model.latest(transaction?.model).values(), 'primary'));
          return undefined;
        });
      default:
        return this.#read(stream, 'ranges', async (visible) => {
          expect(await table.count({ wait: 'no-wait' })).toBe(visible().size);
          return undefined;
        });
    }
  }

  async #end(
    stream: Stream,
    end: (transaction: NonNullable<Stream['transaction']>) => Promise<void>,
  ): Promise<string> {
    if (!stream.transaction) return 'no transaction';
    await end(stream.transaction);
    stream.transaction = undefined;
    return 'ended';
  }

  async #savepoint({ real, model }: NonNullable<Stream['transaction']>, name: string): Promise<string> {
    await real.savepoint(name);
    const before = model.savepoints.findIndex((savepoint) => savepoint.name === name);
    if (before >= 0) model.savepoints[before]!.name = '';
    model.savepoints.push({ name, own: new Map(model.own) });
    return 'set';
  }

  async #rollbackTo({ real, model }: NonNullable<Stream['transaction']>, name: string): Promise<string> {
    const position = model.savepoints.findIndex((savepoint) => savepoint.name === name);
    const outcome = await codeOf(real.rollbackTo(name));
    expect(outcome).toBe(position < 0 ? 'SAVEPOINT_MISSING' : 'ok');
    if (position < 0) return outcome;
    model.savepoints.length = position + 1;
    model.own = new Map(model.savepoints[position]!.own);
    return outcome;
  }

  async #insert(stream: Stream, table: Items, rows: Item[]): Promise<string> {
    const keys = rows.flatMap(keysOf);
    const outcome = await codeOf(table.writeRows(rows, { wait: 'no-wait', durability: 'memory' }));
    const after = new Map(this.model.latest(stream.transaction?.model));
    const hasDuplicate = rows.some((row) => {
      const isDuplicate = isTaken(after, row);
      after.set(row.id, row);
      return isDuplicate;
    });
    this.#checkWrite(stream, outcome, keys, keys, hasDuplicate);
    if (outcome === 'ok') this.#apply(stream, new Map(rows.map((row) => [row.id, row])));
    this.#touch(stream, keys);
    return outcome;
  }

  /** Reads the latest row with a lock, then updates or deletes it. */
  async #change(
    stream: Stream,
    table: Items,
    wanted: number,
    to: (Omit<Item, 'id'> & { id: number | null }) | undefined,
  ): Promise<string> {
    let old: Item | undefined;
    const read = await this.#lockingRead(stream, [`id ${wanted}`], async () => {
      old = await table.get(wanted, { lock: 'exclusive', wait: 'no-wait' });
      expect(old).toEqual(this.model.latest(stream.transaction?.model).get(wanted));
      return old;
    });
    if (!old || read !== 'ok') return `${read} ${old ? '' : 'no row'}`;
    const row = to && { ...to, id: to.id ?? wanted };
    const options = { wait: 'no-wait', durability: 'memory' } as const;
    const outcome = await codeOf(row ? table.updateRow(old, row, options) : table.deleteRow(old, options));
    const others = new Map(this.model.latest(stream.transaction?.model));
    others.delete(wanted);
    // Keys that stay are not checked again.
    const before = keysOf(old);
    const added = row ? keysOf(row).filter((key) => !before.includes(key)) : [];
    const keys = [...before, ...added];
    this.#checkWrite(stream, outcome, keys, added, row !== undefined && isTaken(others, row));
    this.#touch(stream, keys);
    if (outcome === 'ok') {
      this.#apply(
        stream,
        new Map<number, Item | null>([[wanted, null], ...(row ? [[row.id, row] as const] : [])]),
      );
    }
    return outcome;
  }

  async #get(
    stream: Stream,
    table: Items,
    wanted: number,
    how: 'none' | 'shared' | 'exclusive',
  ): Promise<string> {
    const keys = [`id ${wanted}`];
    if (how === 'none') {
      return this.#read(stream, keys, async (visible) => {
        const row = await table.get(wanted, { wait: 'no-wait' });
        expect(row).toEqual(visible().get(wanted));
        return row;
      });
    }
    return this.#lockingRead(stream, keys, async () => {
      const row = await table.get(wanted, { lock: how, wait: 'no-wait' });
      expect(row).toEqual(this.model.latest(stream.transaction?.model).get(wanted));
      return row;
    });
  }

  /** Checks a plain read of what is visible, which takes no locks unless the transaction is serializable. */
  async #read(
    stream: Stream,
    keys: string[] | 'ranges',
    read: (visible: () => Map<number, Item>) => Promise<Item | undefined>,
  ): Promise<string> {
    const model = stream.transaction?.model;
    const visible = () => this.model.visible(model);
    if (model?.isolation !== 'serializable') {
      await read(visible);
      return 'ok';
    }
    return this.#lockingRead(stream, keys, () => read(visible));
  }

  /**
   * Checks a read of the row with one key, or of ranges, that locks what it finds, and the key's gap if it
   * finds nothing.
   */
  async #lockingRead(
    stream: Stream,
    keys: string[] | 'ranges',
    read: () => Promise<Item | undefined>,
  ): Promise<string> {
    const model = stream.transaction?.model;
    // A refused read has locked what it passed, too.
    if (keys === 'ranges') this.#touch(stream, 'ranges');
    let row: Item | undefined;
    const outcome = await codeOf(read().then((found) => (row = found)));
    if (outcome !== 'ok') {
      expect(outcome).toBe('LOCK_NOT_AVAILABLE');
      expect(this.model.mayBeLocked(model, keys)).toBe(true);
    } else if (keys !== 'ranges') {
      expect(this.model.isWrittenByOthers(model, keys)).toBe(false);
      if (row) this.#touch(stream, [`id ${row.id}`]);
      else if (model) for (const key of keys) this.model.lockGap(model, key);
    }
    return outcome;
  }

  /** `keys`: whose rows it locks; `added`: those of them that it adds to their index. */
  #checkWrite(stream: Stream, outcome: string, keys: string[], added: string[], hasDuplicate: boolean): void {
    const model = stream.transaction?.model;
    if (outcome === 'ok') {
      expect(hasDuplicate).toBe(false);
      expect(this.model.isWrittenByOthers(model, keys)).toBe(false);
      expect(this.model.isInGap(model, added)).toBe(false);
    } else if (outcome === 'DUPLICATE_KEY') {
      expect(hasDuplicate).toBe(true);
    } else {
      expect(outcome).toBe('LOCK_NOT_AVAILABLE');
      expect(this.model.mayBeLocked(model, keys) || this.model.mayBeInGap(model, added)).toBe(true);
    }
  }

  #apply(stream: Stream, changes: Map<number, Item | null>): void {
    const model = stream.transaction?.model ?? this.model.begin('read-committed');
    for (const [id, row] of changes) model.own.set(id, row);
    if (!stream.transaction) this.model.commit(model);
  }

  #touch(stream: Stream, keys: string[] | 'ranges'): void {
    const model = stream.transaction?.model;
    if (!model) return;
    if (keys === 'ranges') model.hasTouchedRanges = true;
    else for (const key of keys) model.touched.add(key);
  }

  /** Ends what is open and compares the whole table, through each index. */
  async finish(): Promise<void> {
    for (const { transaction } of this.streams) {
      await transaction?.real.rollback();
      if (transaction) this.model.rollback(transaction.model);
    }
    const { table } = this.streams[0]!;
    for (const by of ['primary', 'byTag', 'byRank'] as const) {
      expect(await table.indexScan(by).all()).toEqual(sorted(this.model.committed.values(), by));
    }
    expect((await table.statistics()).rows).toBe(this.model.committed.size);
    expect(await this.place.statistics()).toMatchObject({
      locksHeld: 0,
      transactionsOpen: 0,
      cursorsOpen: 0,
      blobsPending: 0,
    });
  }
}

function isTaken(rows: ReadonlyMap<number, Item>, row: Item): boolean {
  return rows.has(row.id) || (row.tag !== null && [...rows.values()].some((each) => each.tag === row.tag));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    if (error instanceof VamosError) return error.code;
    throw error;
  }
}

describe('random programs of several streams', () => {
  const places: Place[] = [];

  beforeAll(async () => {
    for (const mode of MODES) places.push(await Place.make(mode));
  });
  afterAll(async () => {
    for (const place of places) await place[Symbol.asyncDispose]();
  });

  async function runProgram(place: Place, steps: [number, Operation][]): Promise<string[]> {
    await place.tables.create(items);
    const tables = Array.from({ length: STREAMS }, () => place.stream());
    const streams = await Promise.all(
      tables.map(async (each) => ({ table: await each.open(items), transaction: undefined })),
    );
    const run = new Run(place, streams);
    try {
      for (const [number, operation] of steps) await run.step(streams[number]!, operation);
      await run.finish();
    } finally {
      for (const { transaction } of run.streams) await transaction?.real.rollback();
      await place.tables.drop('items');
    }
    return run.trace;
  }

  it('give what the model gives, and the same split and unsplit', async () => {
    await fc.assert(
      fc.asyncProperty(program, async (steps) => {
        // Both run to their end, even if one fails, so that the next program begins with nothing.
        const runs = await Promise.allSettled(places.map((place) => runProgram(place, steps)));
        const [unsplit, split] = runs.map((run) => {
          if (run.status === 'rejected') throw run.reason;
          return run.value;
        });
        expect(split).toEqual(unsplit);
      }),
      { numRuns: Number(process.env.VAMOS_MODEL_RUNS ?? 60) },
    );
  }, 600_000);
});
