import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t } from '../../../guest/tables/index.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { VamosError } from '../../../src/protocol/errors.js';
import { ValueType } from '../../../src/protocol/program.js';
import {
  BY_RANK,
  Column,
  equals,
  expectItems,
  integer,
  items,
  keys,
  load,
  plus,
  program,
  range,
  text,
  type Item,
  type Items,
} from './changed_items.js';
import { MODES, Place, code, failure } from '../place.js';
import { Requests } from '../requests.js';

const { Method, ColumnKind, Wait } = vamos.tables;
type Fields = vamos.tables.IChangeWhere;

describe.each(MODES)('changes that the host refuses, %s', (mode) => {
  let place: Place;
  let table: Items;
  let rows: Item[];
  let one: Requests;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(items);
    rows = await load(table, 20);
  });
  beforeEach(() => {
    one = new Requests(place.client, table);
  });
  afterAll(async () => {
    // The rows are unchanged, whatever was asked for.
    await expectItems(table, rows);
    await place[Symbol.asyncDispose]();
  });

  const note = { column: Column.NOTE, value: text('x') };
  const refused = async (fields: Fields, message: RegExp): Promise<void> => {
    const update = (fields.assignments ?? []).length > 0;
    const error = await failure(update ? one.updateWhere(fields) : one.deleteWhere(fields));
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).toMatch(message);
  };

  it('assign the primary key, what is read, a column twice or none that is there', async () => {
    await refused(
      { assignments: [{ column: Column.ID, value: plus(Column.ID, 100) }] },
      /id is in index primary/,
    );
    const rank = { column: Column.RANK, value: integer(1) };
    await refused({ index: BY_RANK, assignments: [rank] }, /rank is in index byRank/);
    await refused({ assignments: [note, note] }, /twice/);
    await refused({ assignments: [{ column: 99, value: integer(1) }] }, /column 99/);
    expect(await code(one.updateWhere({}))).toBe('BAD_REQUEST');
    expect(await code(one.deleteWhere({ assignments: [note] }))).toBe('BAD_REQUEST');
  });

  it('assign values of another type than the column takes, or no program', async () => {
    await refused({ assignments: [{ column: Column.RANK, value: text('1') }] }, /type/);
    await refused({ assignments: [{ column: Column.SCORE, value: integer(1) }] }, /type/);
    await refused(
      { assignments: [{ column: Column.NOTE, value: program().null(ValueType.INTEGER).finish() }] },
      /type/,
    );
    await refused(
      { assignments: [{ column: Column.NOTE, value: new Uint8Array() }] },
      /assignment to column 4/,
    );
    await refused({ assignments: [{ column: Column.NOTE, value: Uint8Array.of(1, 99, 0) }] }, /assignment/);
  });

  it('filter with what is no condition', async () => {
    await refused({ filter: integer(1) }, /filter/);
    await refused({ filter: Uint8Array.of(0xff) }, /filter/);
    await refused({ filter: integer(1), keys: keys(table, 1) }, /filter/);
  });

  it('read rows twice, by keys and ranges, by keys that are not unique, or by no index', async () => {
    await refused({ keys: keys(table, 1, 2, 1) }, /twice/);
    await refused({ ranges: [range(table, 0, 5, 10), range(table, 0, 1, 6)] }, /overlap/);
    await refused({ ranges: [{}, range(table, 0, 1, 2)] }, /overlap/);
    await refused({ keys: keys(table, 1), ranges: [{}] }, /both/);
    await refused({ index: BY_RANK, keys: keys(table, 1) }, /not unique/);
    await refused({ keys: Uint8Array.of(9, 0, 0, 0, 1) }, /format/);
    expect(await code(one.deleteWhere({ index: 3 }))).toBe('INDEX_MISSING');
    expect(await code(one.deleteWhere({ version: 99 }))).toBe('TABLE_CHANGED');
    expect(await code(one.deleteWhere({}, { wait: Wait.SKIP_LOCKED }))).toBe('BAD_REQUEST');
  });

  it('are semi-consistent, but no update by ranges of the primary key', async () => {
    const note = { column: Column.NOTE, value: text('a') };
    const semiConsistent = true;
    const refusal = /only an update by ranges of the primary key/;
    await refused({ semiConsistent, index: BY_RANK, assignments: [note] }, refusal);
    await refused({ semiConsistent, keys: keys(table, 1), assignments: [note] }, refusal);
    await expect(one.deleteWhere({ semiConsistent })).rejects.toThrow(refusal);
  });

  it('have more ranges than it takes, before they are decoded', async () => {
    await refused({ ranges: Array.from({ length: 20_000 }, () => ({})) }, /at most 16384/);
    const nowhere = equals(Column.ID, 10_000);
    const ranges = Array.from({ length: 16_000 }, (_, id) => range(table, 0, id, id));
    expect(await one.deleteWhere({ ranges, filter: nowhere })).toEqual({ found: 0, changed: 0 });
  });

  it('get a VamosError for any fields', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.constantFrom(integer(1), text('a'), equals(0, 1)),
    );
    const bounds = fc.record(
      {
        lower: fc.uint8Array({ maxLength: 6 }),
        upper: fc.uint8Array({ maxLength: 6 }),
        hasLower: fc.boolean(),
        hasUpper: fc.boolean(),
        lowerExclusive: fc.boolean(),
        upperExclusive: fc.boolean(),
      },
      { requiredKeys: [] },
    );
    const fields = fc.record(
      {
        index: fc.nat({ max: 3 }),
        keys: bytes,
        ranges: fc.array(bounds, { maxLength: 3 }),
        reverse: fc.boolean(),
        limitRows: fc.nat(),
        semiConsistent: fc.boolean(),
        filter: bytes,
        assignments: fc.array(fc.record({ column: fc.nat({ max: 7 }), value: bytes }), { maxLength: 3 }),
      },
      { requiredKeys: ['assignments'] },
    );
    await fc.assert(
      fc.asyncProperty(fields, async (each) => {
        // None of the rows pass, whatever the filter says.
        const nothing = { ...each, filter: each.filter?.length ? each.filter : equals(Column.ID, 10_000) };
        const limited = { ...nothing, ranges: [...(each.ranges ?? []), { hasUpper: true }].slice(0, 3) };
        try {
          await one.updateWhere({
            ...limited,
            assignments: [
              { column: Column.SCORE, value: program().column(Column.SCORE).finish() },
              ...each.assignments.filter(({ column }) => column === 7),
            ],
          });
        } catch (error) {
          expect(error).toBeInstanceOf(VamosError);
          expect((error as VamosError).code).not.toBe('INTERNAL');
        }
      }),
      { numRuns: 300 },
    );
  });
});

it('the auto-increment column is not assigned, and an index with opaque parts is not touched', async () => {
  await using place = await Place.make('unsplit');
  const stream = place.client.stream();
  const definition = {
    name: 'places',
    columns: [
      { name: 'id', kind: ColumnKind.UINT32 },
      { name: 'name', kind: ColumnKind.BYTES },
      { name: 'zone', kind: ColumnKind.INT8 },
      { name: 'number', kind: ColumnKind.UINT64 },
    ],
    indexes: [
      { name: 'primary', unique: true, parts: [{ column: 0 }] },
      { name: 'by_name', unique: false, parts: [{ column: 1, opaque: true }] },
      { name: 'by_number', unique: true, parts: [{ column: 3 }] },
    ],
    autoIncrement: 4,
  };
  const created = await stream.call(
    Method.CREATE_TABLE,
    vamos.tables.CreateTable.encode({ definition }).finish(),
  );
  const { table, version } = vamos.tables.TableInfo.decode(created);
  const change = (method: number, fields: Fields) =>
    stream.call(method, vamos.tables.ChangeWhere.encode({ table, version, ...fields }).finish());
  expect((await failure(change(Method.DELETE_WHERE, {}))).message).toMatch(/by_name/);
  const name = [{ column: 1, value: text('x') }];
  expect((await failure(change(Method.UPDATE_WHERE, { assignments: name }))).message).toMatch(/by_name/);
  const number = [{ column: 3, value: integer(7) }];
  expect((await failure(change(Method.UPDATE_WHERE, { assignments: number }))).message).toMatch(
    /auto-increment/,
  );
  const zone = [{ column: 2, value: integer(7) }];
  const { found } = vamos.tables.Changed.decode(await change(Method.UPDATE_WHERE, { assignments: zone }));
  expect(Number(found)).toBe(0);
});

it('a value of a column goes into another only as far as a row may grow', async () => {
  await using place = await Place.make('unsplit');
  const wide = defineTable({
    name: 'wide',
    columns: { id: t.uint32(), a: t.bytes(), b: t.bytes(), c: t.bytes(10) },
    primaryKey: ['id'],
  });
  const table = await place.tables.create(wide);
  await table.writeRow({ id: 1, a: new Uint8Array(600_000), b: new Uint8Array(), c: new Uint8Array() });
  const one = new Requests(place.client, table);
  const copy = (column: number) => [{ column, value: program().column(1).finish() }];
  expect(await code(one.updateWhere({ assignments: copy(2) }))).toBe('VALUE_OUT_OF_RANGE');
  expect(await code(one.updateWhere({ assignments: copy(3) }))).toBe('VALUE_OUT_OF_RANGE');
  expect((await table.get(1))!.b.length).toBe(0);
});
