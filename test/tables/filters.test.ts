import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type Filter, type NewRow, type Row, type Table } from '../../guest/tables/index.js';
import { MODES, Place, failure } from './place.js';

const things = defineTable({
  name: 'things',
  columns: {
    id: t.uint32(),
    tiny: t.int8().nullable(),
    count: t.int32(),
    huge: t.int64().nullable(),
    most: t.uint64(),
    part: t.float().nullable(),
    ratio: t.double(),
    isOpen: t.boolean(),
    name: t.text().nullable(),
    raw: t.bytes().nullable(),
    code: t.fixed(2),
    at: t.dateTime().nullable(),
    detail: t.json<{ n: number }>().nullable(),
    picture: t.blob().nullable(),
  },
  primaryKey: ['id'],
  indexes: { byName: { columns: ['name', { column: 'count', descending: true }] } },
});
type Things = typeof things;
type Thing = Row<Things>;

/** A few values of each type, with its ends, so that conditions often meet. */
const VALUES = {
  id: [0, 1, 5, 20, 2 ** 32 - 1],
  tiny: [-128, -1, 0, 1, 127],
  count: [-(2 ** 31), -1, 0, 1, 2 ** 31 - 1],
  huge: [-(2n ** 63n), -1n, 0n, 1n, 2n ** 63n - 1n],
  most: [0n, 1n, 2n ** 63n, 2n ** 64n - 1n],
  part: [-1.5, -0, 0, 0.1, 1.5, 3.4028234663852886e38],
  ratio: [-Number.MAX_VALUE, -1.5, -0, 0, 0.1, Number.MIN_VALUE, 1.5],
  isOpen: [false, true],
  name: ['', 'a', 'a ', 'ab', 'b', 'é', '\uffee', '😀', 'a\u0000'],
  raw: [[], [0], [0, 1], [0x61], [0x61, 0x20], [255]].map((bytes) => Uint8Array.from(bytes)),
  code: [
    [0, 0],
    [0x61, 0x20],
    [0x61, 0x62],
    [255, 255],
  ].map((bytes) => Uint8Array.from(bytes)),
  at: [-1, 0, 1_700_000_000_000].map((ms) => new Date(ms)),
} as const;
type Name = keyof typeof VALUES;
const NAMES = Object.keys(VALUES) as Name[];
const NULLABLE = new Set<string>(['tiny', 'huge', 'part', 'name', 'raw', 'at']);

const valueOf = (name: Name) => fc.constantFrom<unknown>(...VALUES[name]);
const maybeNull = (name: Name) =>
  NULLABLE.has(name) ? fc.option(valueOf(name), { freq: 4 }) : valueOf(name);

const newRow = fc
  .record(Object.fromEntries(NAMES.filter((name) => name !== 'id').map((name) => [name, maybeNull(name)])))
  .map((values) => values as Omit<NewRow<Things>, 'id'>);
const rowsOf = fc
  .array(newRow, { minLength: 1, maxLength: 40, size: 'max' })
  .map((rows) => rows.map((row, id) => ({ ...row, id })));

const testsOf = (name: Name): fc.Arbitrary<unknown> => {
  const value = valueOf(name);
  const some = fc.array(maybeNull(name), { maxLength: 4 });
  const operators: Record<string, fc.Arbitrary<unknown>> = {
    eq: maybeNull(name),
    ne: maybeNull(name),
    lt: value,
    lte: value,
    gt: value,
    gte: value,
    in: some,
    notIn: some,
    ...(['name', 'raw', 'code'].includes(name) && { startsWith: value }),
  };
  const one = fc
    .constantFrom(...Object.keys(operators))
    .chain((operator) => operators[operator]!.map((operand) => ({ [operator]: operand })));
  const two = fc.tuple(one, one).map(([a, b]) => ({ ...a, ...b }));
  return fc.oneof(
    { weight: 2, arbitrary: maybeNull(name) },
    { weight: 4, arbitrary: one },
    { weight: 2, arbitrary: two },
  );
};
const conditions = fc
  .uniqueArray(fc.constantFrom(...NAMES), { maxLength: 3 })
  .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, testsOf(name)]))));
const filter = fc
  .oneof(conditions, fc.array(conditions, { maxLength: 3 }))
  .map((each) => each as Filter<Things>);

/** Compares three-way, as the column sorts; undefined: the values can't be compared. */
function compare(a: unknown, b: unknown): number {
  const bytes = (value: unknown) => (typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array));
  if (typeof a === 'string' || a instanceof Uint8Array) return Buffer.compare(bytes(a), bytes(b));
  const [x, y] = [a, b].map((value) => (value instanceof Date ? value.getTime() : (value as number))) as [
    number,
    number,
  ];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Says, in the plainest way, whether the host should find the row. */
function passes(row: Thing, wanted: Filter<Things>): boolean {
  const all = (each: object): boolean =>
    Object.entries(each).every(([name, test]) => holds(name, row[name as Name], test));
  return Array.isArray(wanted) ? wanted.some(all) : all(wanted);
}

function holds(name: string, value: unknown, test: unknown): boolean {
  const isPlain =
    typeof test !== 'object' || test === null || test instanceof Uint8Array || test instanceof Date;
  const operand = (each: unknown) => (name === 'part' && each !== null ? Math.fround(each as number) : each);
  const isSame = (each: unknown): boolean =>
    value === null || each === null ? value === each : compare(value, operand(each)) === 0;
  const order = (each: unknown): number => (value === null ? NaN : compare(value, operand(each)));
  return Object.entries(isPlain ? { eq: test } : (test as Record<string, unknown>)).every(
    ([operator, each]) => {
      switch (operator) {
        case 'eq':
          return isSame(each);
        case 'ne':
          return !isSame(each);
        case 'in':
          return (each as unknown[]).some(isSame);
        case 'notIn':
          return !(each as unknown[]).some(isSame);
        case 'lt':
          return order(each) < 0;
        case 'lte':
          return order(each) <= 0;
        case 'gt':
          return order(each) > 0;
        case 'gte':
          return order(each) >= 0;
        default: {
          const whole = Buffer.from(value === null ? '' : (value as string));
          const prefix = Buffer.from(each as string);
          return value !== null && whole.subarray(0, prefix.length).equals(prefix);
        }
      }
    },
  );
}

const ids = (rows: readonly { id: number }[]): number[] => rows.map(({ id }) => id);

describe.each(MODES)('filters, %s', (mode) => {
  let place: Place;
  let table: Table<Things>;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(things);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  const fill = async (rows: readonly NewRow<Things>[]): Promise<Thing[]> => {
    await table.deleteRows(await table.rndScan().all());
    await table.writeRows(rows);
    return table.rndScan().all();
  };

  it('give the rows that pass, as if they were tested here', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, fc.array(filter, { minLength: 1, maxLength: 15 }), async (rows, filters) => {
        const stored = await fill(rows);
        for (const where of filters) {
          const expected = stored.filter((row) => passes(row, where));
          expect(ids(await table.rndScan({ where }).all())).toEqual(ids(expected));
          expect(await table.count({ where })).toBe(expected.length);
          const last = await table.rndScan({ where, reverse: true, limit: 2, columns: ['id'] }).all();
          expect(last).toEqual(
            expected
              .slice(-2)
              .reverse()
              .map(({ id }) => ({ id })),
          );
          const byIndex = await table.indexScan('byName', { where, columns: ['id'], windowBytes: 1 }).all();
          expect(ids(byIndex).sort((a, b) => a - b)).toEqual(ids(expected));
        }
      }),
      { numRuns: 20 },
    );
  }, 120_000);

  it('and functions over them are exact', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, fc.option(filter, { nil: {} }), async (rows, where) => {
        const passed = (await fill(rows)).filter((row) => passes(row, where));
        const sum = (name: Name, zero: number | bigint = 0): unknown => {
          const values = passed.map((row) => row[name]).filter((value) => value !== null);
          return values.length === 0
            ? null
            : values.reduce((a, b) => (a as number) + (b as number), zero as number);
        };
        const end = (name: Name, sign: number): unknown => {
          const values = passed.map((row) => row[name]).filter((value) => value !== null);
          return values.length === 0
            ? null
            : values.reduce((best, value) => (compare(value, best) * sign < 0 ? value : best));
        };
        const compared = [
          'tiny',
          'count',
          'huge',
          'most',
          'part',
          'ratio',
          'isOpen',
          'name',
          'raw',
          'code',
          'at',
        ] as const;
        const results = await table.aggregate({
          where,
          sum: ['tiny', 'count', 'huge', 'most', 'ratio'],
          min: compared,
          max: compared,
        });
        expect(results).toEqual({
          count: passed.length,
          sum: {
            tiny: sum('tiny'),
            count: sum('count'),
            huge: sum('huge', 0n),
            most: sum('most', 0n),
            ratio: sum('ratio'),
          },
          min: Object.fromEntries(compared.map((name) => [name, end(name, 1)])),
          max: Object.fromEntries(compared.map((name) => [name, end(name, -1)])),
        });
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  it('see what their transaction wrote, and lock what they read', async () => {
    await fill([1, 2, 3].map((id) => ({ ...plain, id, count: id })));
    await using transaction = place.tables.begin();
    const inside = transaction.table(table);
    const [two] = await inside.rndScan({ where: { count: 2 } }).all();
    await inside.updateRow(two!, { count: 20 });
    await inside.writeRow({ ...plain, id: 4, count: 20 });
    expect(ids(await inside.rndScan({ where: { count: { gt: 3 } } }).all())).toEqual([2, 4]);
    expect(await inside.aggregate({ where: { count: 20 }, sum: ['count'] })).toMatchObject({
      count: 2,
      sum: { count: 40 },
    });
    expect(await table.count({ where: { count: 20 } })).toBe(0);
    expect(
      await failure(table.rndScan({ where: { count: 2 }, lock: 'shared', wait: 'no-wait' }).all()),
    ).toMatchObject({
      code: 'LOCK_NOT_AVAILABLE',
    });
  });

  it('test for NULL what they can not compare', async () => {
    await fill([
      { ...plain, id: 1 },
      { ...plain, id: 2, detail: { n: 1 }, picture: Buffer.alloc(100_000) },
    ]);
    expect(ids(await table.rndScan({ where: { picture: null }, columns: ['id'] }).all())).toEqual([1]);
    expect(ids(await table.rndScan({ where: { detail: { ne: null } }, columns: ['id'] }).all())).toEqual([2]);
  });

  it('name the column that they can not compare, and the value that is none of its', async () => {
    const scan = async (where: Filter<Things>) => table.rndScan({ where }).all();
    const reason = async (where: unknown) => (await failure(scan(where as Filter<Things>))).message;
    const sumOf = async (name: string) =>
      (await failure(table.aggregate({ sum: [name as 'count'] }))).message;
    expect(await reason({ picture: Buffer.of(1) })).toMatch(/^column picture may stand beside its row/);
    expect(await reason({ detail: { eq: { n: 1 } } })).toMatch(/^column detail holds JSON/);
    expect(await reason({ count: { startsWith: 'a' } })).toMatch(
      /^column count holds neither strings nor bytes/,
    );
    expect(await reason({ count: 1.5 })).toMatch(/^column count: 1.5 can't be compared/);
    expect(await reason({ ratio: { lt: NaN } })).toMatch(/NaN can't be compared/);
    expect(await reason({ name: 7 })).toMatch(/^column name: .*not a text/);
    expect(await reason({ count: { like: 1 } })).toMatch(/^column count: there is no test 'like'/);
    expect(await reason({ colour: 1 })).toBe('no column colour');
    expect(await reason({ name: { in: Array.from({ length: 9000 }, (_, n) => `name ${n}`) } })).toMatch(
      /65536 bytes are the most/,
    );
    expect(await sumOf('name')).toMatch(/^column name holds no numbers/);
    expect(await sumOf('at')).toMatch(/^column at holds no numbers/);
  });

  it('read no row to count what every row passes', async () => {
    await fill([1, 2].map((id) => ({ ...plain, id })));
    expect(await table.count({ where: {} })).toBe(2);
    expect(await table.count({ where: [] })).toBe(0);
    expect(await table.count({ where: [{ id: 1 }, {}] })).toBe(2);
    expect(await table.aggregate()).toEqual({ count: 2, sum: {}, min: {}, max: {} });
  });

  it('travel as one request and one answer, whatever the table holds', async () => {
    await fill(Array.from({ length: 500 }, (_, id) => ({ ...plain, id, name: 'x'.repeat(1000) })));
    const frames = await place.frames(async () => {
      expect(ids(await table.rndScan({ where: { id: { in: [3, 400] } } }).all())).toEqual([3, 400]);
    });
    expect(frames).toBe(1);
    expect(await place.frames(() => table.aggregate({ sum: ['id'], max: ['name'] }))).toBe(1);
  });
});

const plain: NewRow<Things> = {
  id: 0,
  count: 0,
  most: 0n,
  ratio: 0,
  isOpen: false,
  code: Uint8Array.of(0, 0),
};
