import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  AggregateOptions,
  CursorOptions,
  NativeStore,
  NativeStoreModule,
  Outcome,
} from '../../host/modules/tables/binding.js';
import { loadNative } from '../../src/native.js';
import { readWindow, WriteBatch } from '../../src/protocol/batches.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { ProgramWriter, ValueType } from '../../src/protocol/program.js';
import { asBuffer, RowFormat } from '../../src/protocol/rows.js';
import { COLUMNS, expressions, order, row, type Expression, type Row, type Value } from './program_model.js';

const { Function } = vamos.tables.Aggregate;
/** The numbers of the functions, as the store takes them. */
const [COUNT, SUM, MIN, MAX] = [Function.COUNT, Function.SUM, Function.MIN, Function.MAX].map(Number) as [
  number,
  number,
  number,
  number,
];
const TABLE = 1;
const format = new RowFormat(COLUMNS);

describe('programs in the store give what the model gives', () => {
  let directory: string;
  let store: NativeStore;
  let rounds = 0;
  const waiting = new Map<number, (outcome: Outcome) => void>();

  beforeAll(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'vamos-programs-'));
    const options = { path: directory, blockCacheBytes: 8 << 20, maxTransactionBytes: 8 << 20, threads: 2 };
    store = (loadNative('vamos_store') as NativeStoreModule).openStore(options, (events) => {
      for (const event of events) if (!event.parked) waiting.get(event.operation)?.(event.outcome);
    });
    store.defineTable({
      isNew: false,
      table: TABLE,
      indexes: [{ space: 1, isUnique: true, parts: [] }],
      columns: COLUMNS.map(({ kind, widthBytes, nullable }) => ({ kind, widthBytes, isNullable: nullable })),
    });
  });
  afterAll(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });

  async function finish(started: Outcome | number): Promise<Outcome> {
    const outcome =
      typeof started === 'number'
        ? await new Promise<Outcome>((resolve) => waiting.set(started, resolve))
        : started;
    expect(outcome.message).toBeUndefined();
    return outcome;
  }

  /** Writes the rows under a prefix of their own, and returns it. */
  async function load(rows: readonly Row[]): Promise<Buffer> {
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(++rounds);
    const batch = new WriteBatch();
    rows.forEach(({ values }, number) => {
      const key = Buffer.concat([prefix, Buffer.of(number)]);
      batch.add({ inserted: { row: format.pack(values), entries: [{ key, hasNull: false }] } });
    });
    const transaction = store.begin(0, false, false);
    await finish(store.write(transaction, TABLE, 0, batch.finish(), 0, 0));
    await finish(store.end(0, [transaction], 2)[0]!);
    return prefix;
  }

  async function fetch(prefix: Buffer, options: Partial<CursorOptions>): Promise<Buffer> {
    const cursor = store.openCursor(0, {
      ...{
        table: TABLE,
        index: 0,
        lower: prefix,
        upper: prefix,
        lowerExclusive: false,
        upperExclusive: false,
      },
      ...{ reverse: false, limitRows: 0, lock: 0, wait: 0, columns: [], withKeys: false, aggregates: [] },
      ...options,
    });
    const { result, atEnd } = await finish(store.fetch(cursor, 1 << 20));
    expect(atEnd).toBe(true);
    return asBuffer(result ?? Buffer.of());
  }

  async function passing(prefix: Buffer, filter: Buffer): Promise<number[]> {
    const window = await fetch(prefix, { filter, columns: [0], withKeys: true });
    return [...readWindow(window, true)].map(({ primaryKey }) => primaryKey![4]!);
  }

  /** Returns COUNT, SUM where there is one, MIN and MAX. */
  async function aggregates(prefix: Buffer, of: Expression, isPadded: boolean, reverse: boolean) {
    const value = of.write(new ProgramWriter()).finish();
    const isNumber = of.type === ValueType.INTEGER || of.type === ValueType.DOUBLE;
    const wanted: AggregateOptions[] = [
      { function: COUNT, value, isPadded: false },
      ...(isNumber ? [{ function: SUM, value, isPadded: false }] : []),
      { function: MIN, value, isPadded },
      { function: MAX, value, isPadded },
    ];
    const window = await fetch(prefix, { aggregates: wanted, reverse });
    const reader = new Reader(window.subarray(4));
    expect(window.readUInt32LE(0)).toBe(window.length - 4);
    const results = wanted.map((aggregate) => {
      const count = reader.uint64();
      if (aggregate.function === COUNT) return Number(count);
      return count === 0n ? null : reader.value(of.type, aggregate.function === SUM ? 32 : 16);
    });
    expect(reader.isAtEnd).toBe(true);
    return results;
  }

  const someRows = fc.array(row, { minLength: 1, maxLength: 12 });

  it('which rows pass a filter, and for which it is unknown', async () => {
    await fc.assert(
      fc.asyncProperty(
        someRows,
        fc.array(expressions.boolean, { minLength: 8, maxLength: 8 }),
        async (rows, filters) => {
          const prefix = await load(rows);
          for (const filter of filters) {
            const numbers = (wanted: Value): number[] =>
              rows.flatMap((each, number) => (filter.value(each) === wanted ? [number] : []));
            const program = () => filter.write(new ProgramWriter());
            expect(await passing(prefix, program().finish()), filter.text).toEqual(numbers(true));
            expect(await passing(prefix, program().operation('NOT').finish()), filter.text).toEqual(
              numbers(false),
            );
            expect(await passing(prefix, program().operation('IS_NULL').finish()), filter.text).toEqual(
              numbers(null),
            );
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('counts, sums, least and largest values, in the order of the scan', async () => {
    await fc.assert(
      fc.asyncProperty(
        someRows,
        fc.array(fc.oneof(expressions.integer, expressions.double, expressions.bytes), {
          minLength: 8,
          maxLength: 8,
        }),
        fc.boolean(),
        fc.boolean(),
        async (rows, values, padding, reverse) => {
          const prefix = await load(rows);
          for (const of of values) {
            const isPadded = padding && of.type === ValueType.BYTES;
            const scanned = rows.map((each) => of.value(each)).filter((value) => value !== null);
            if (reverse) scanned.reverse();
            const extreme = (sign: number): Value =>
              scanned.reduce(
                (kept, value) => (sign * order(value, kept, isPadded) < 0 ? value : kept),
                scanned[0]!,
              ) ?? null;
            expect(await aggregates(prefix, of, isPadded, reverse), of.text).toEqual([
              scanned.length,
              ...(of.type === ValueType.BYTES ? [] : [scanned.length === 0 ? null : sum(scanned)]),
              extreme(1),
              extreme(-1),
            ]);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('refuses random bytes or runs them, and goes on', async () => {
    const prefix = await load(fc.sample(row, { numRuns: 3, seed: 1 }));
    const code = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 60 }),
      // This is a program with something changed in it.
      fc.tuple(expressions.boolean, fc.nat(), fc.nat(255)).map(([expression, at, byte]) => {
        const bytes = expression.write(new ProgramWriter()).finish();
        bytes[at % bytes.length] = byte;
        return bytes;
      }),
    );
    await fc.assert(
      fc.asyncProperty(code, async (filter) => {
        try {
          await passing(prefix, Buffer.from(filter));
        } catch (error) {
          expect(String(error)).toMatch(/^Error: filter: (byte \d+: |gives )/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function sum(values: readonly Value[]): Value {
  if (typeof values[0] === 'bigint') return (values as bigint[]).reduce((total, value) => total + value, 0n);
  return (values as number[]).reduce((total, value) => total + value, 0);
}

class Reader {
  #offset = 0;
  constructor(private readonly bytes: Buffer) {}

  get isAtEnd(): boolean {
    return this.#offset === this.bytes.length;
  }

  uint64(): bigint {
    this.#offset += 8;
    return this.bytes.readBigUInt64LE(this.#offset - 8);
  }

  value(type: ValueType, integerBytes: number): Value {
    const lengthBytes =
      type === ValueType.INTEGER
        ? integerBytes
        : type === ValueType.DOUBLE
          ? 8
          : this.bytes.readUInt32LE(this.#offset);
    if (type === ValueType.BYTES) this.#offset += 4;
    const bytes = this.bytes.subarray(this.#offset, this.#offset + lengthBytes);
    this.#offset += lengthBytes;
    if (type === ValueType.DOUBLE) return bytes.readDoubleLE();
    if (type === ValueType.BYTES) return Buffer.from(bytes);
    return BigInt.asIntN(8 * lengthBytes, BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`));
  }
}
