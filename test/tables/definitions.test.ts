import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type TableDefinition } from '../../guest/tables/index.js';
import { MODES, Place, code, failure } from './place.js';

const notes = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), text: t.text().nullable(), hash: t.fixed(8).nullable() },
  primaryKey: ['id'],
  indexes: { byText: { columns: ['text'] } },
  autoIncrement: 'id',
});

describe.each(MODES)('definitions, %s', (mode) => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make(mode, { definitionTimeoutMs: 100 });
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  it('creates, opens by definition or by name, lists and drops', async () => {
    const created = await place.tables.create(notes);
    expect(await code(place.tables.create(notes))).toBe('TABLE_EXISTS');
    const row = await created.writeRow({ text: 'a' });
    expect(await (await place.tables.open(notes)).get(row.id)).toEqual(row);
    const loose = await place.tables.open('notes');
    expect(await loose.get({ id: row.id })).toEqual(row);
    await loose.writeRow({ text: 'loosely typed' });
    expect(await place.tables.list()).toEqual(['notes']);
    await place.tables.drop('notes');
    expect(await place.tables.list()).toEqual([]);
    expect(await code(place.tables.open(notes))).toBe('TABLE_MISSING');
    expect(await code(created.get(1))).toBe('TABLE_MISSING');
    expect(await code(place.tables.drop('notes'))).toBe('TABLE_MISSING');
  });

  it('a table made anew has nothing of the one dropped before', async () => {
    const before = await place.tables.create(notes);
    await before.writeRows([{ text: 'a' }, { text: 'b' }]);
    await place.tables.drop('notes');
    const after = await place.tables.create(notes);
    expect(await after.count()).toBe(0);
    expect((await after.writeRow({})).id).toBe(1);
    await place.tables.drop('notes');
  });

  it('opens a table or makes it, even where several connectors do so simultaneously', async () => {
    const others = await Promise.all([place.connect(), place.connect()]);
    const tables = [place.tables, ...others.map((client) => place.stream(client))];
    const opened = await Promise.all(tables.map((each) => each.openOrCreate(notes)));
    await Promise.all(opened.map((table) => table.writeRow({ text: 'x' })));
    expect(await (await place.tables.openOrCreate(notes)).count()).toBe(3);
    const changed = { ...notes, columns: { ...notes.columns, more: t.int8() } };
    expect(await code(place.tables.openOrCreate(changed))).toBe('TABLE_CHANGED');
    await place.tables.drop('notes');
  });

  it('refuses to open a table under another definition', async () => {
    await place.tables.create(notes);
    const other = defineTable({ ...notes, columns: { ...notes.columns, text: t.text(20).nullable() } });
    expect(await code(place.tables.open(other))).toBe('TABLE_CHANGED');
    await place.tables.drop('notes');
  });

  it('renames, and opened tables go on', async () => {
    const table = await place.tables.create(notes);
    await place.tables.create({ ...notes, name: 'others' });
    await table.writeRow({ id: 5, text: 'a' });
    expect(await code(place.tables.rename('notes', 'others'))).toBe('TABLE_EXISTS');
    expect(await code(place.tables.rename('nothing', 'new'))).toBe('TABLE_MISSING');
    await place.tables.rename('notes', 'renamed');
    expect((await table.get(5))?.text).toBe('a');
    expect((await (await place.tables.open('renamed')).get({ id: 5 }))?.text).toBe('a');
    await place.restart();
    expect(await place.tables.list()).toEqual(['others', 'renamed']);
    await place.tables.drop('renamed');
    await place.tables.drop('others');
  });

  it('truncates: no rows, numbers start anew, and who opened it before is told', async () => {
    const table = await place.tables.create(notes);
    await table.writeRows([{ text: 'a' }, { text: 'b' }]);
    await place.tables.truncate('notes');
    expect(await code(table.count())).toBe('TABLE_CHANGED');
    expect(await code(table.writeRow({ id: 9 }))).toBe('TABLE_CHANGED');
    const emptied = await place.tables.open(notes);
    expect(await emptied.count()).toBe(0);
    expect(await emptied.indexScan('byText').all()).toEqual([]);
    expect((await emptied.writeRow({})).id).toBe(1);
    await place.tables.drop('notes');
  });

  it('waits for transactions that use the table, a while', async () => {
    const table = await place.tables.create(notes);
    const transaction = place.tables.begin();
    await transaction.table(table).writeRow({ id: 1 });
    expect(await code(place.tables.drop('notes'))).toBe('LOCK_TIMEOUT');
    expect(await code(place.tables.truncate('notes'))).toBe('LOCK_TIMEOUT');
    expect(await table.count()).toBe(0);
    const dropping = place.stream().drop('notes');
    await transaction.commit();
    await dropping;
    expect(await place.tables.list()).toEqual([]);
  });

  it('keeps tables, rows, counts and numbers across a restart', async () => {
    const table = await place.tables.create(notes);
    await table.writeRows([{ text: 'a' }, { text: 'b' }, { text: null }]);
    await table.writeRow({ id: 40, text: 'own number' });
    expect((await table.writeRow({})).id).toBe(41);
    await place.restart();
    const again = await place.tables.open(notes);
    expect((await again.rndScan().all()).map((row) => row.id)).toEqual([1, 2, 3, 40, 41]);
    expect((await again.statistics()).rows).toBe(5);
    expect((await again.writeRow({})).id).toBeGreaterThan(41);
    await place.tables.drop('notes');
  });

  it('tells when the auto-increment column has no more values', async () => {
    const table = await place.tables.create(
      defineTable({ name: 'few', columns: { id: t.int8() }, primaryKey: ['id'], autoIncrement: 'id' }),
    );
    await table.writeRow({ id: 125 });
    expect((await table.writeRow({})).id).toBe(126);
    expect((await table.writeRow({})).id).toBe(127);
    expect(await code(table.writeRow({}))).toBe('BAD_REQUEST');
    await place.tables.drop('few');
  });

  const broken: [string, Partial<TableDefinition>, RegExp][] = [
    ['no name', { name: '' }, /name/],
    ['a name that is too long', { name: 'n'.repeat(513) }, /name/],
    ['no columns', { columns: {}, primaryKey: [], autoIncrement: undefined as never }, /columns/],
    ['no primary key', { primaryKey: [] }, /parts/],
    ['a primary key that may be NULL', { primaryKey: ['text'] }, /primary key/],
    ['an index without columns', { indexes: { empty: { columns: [] } } }, /parts/],
    ['an index with a column twice', { indexes: { twice: { columns: ['id', 'id'] } } }, /twice/],
    ['an index named as the primary key', { indexes: { primary: { columns: ['id'] } } }, /same name/],
    [
      'too many indexes',
      { indexes: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`i${n}`, { columns: ['id'] }])) },
      /indexes/,
    ],
    [
      'a blob in an index',
      { columns: { ...notes.columns, data: t.blob() }, indexes: { i: { columns: ['data'] } } },
      /blob/,
    ],
    ['a width of no bytes', { columns: { ...notes.columns, hash: t.fixed(0) } }, /hash/],
    ['auto-increment of a text', { autoIncrement: 'text' }, /integer/],
    [
      'too many columns',
      {
        columns: {
          ...notes.columns,
          ...Object.fromEntries(Array.from({ length: 4096 }, (_, n) => [`c${n}`, t.int8()])),
        },
      },
      /columns/,
    ],
  ];
  it.each(broken)('refuses a definition with %s', async (_what, change, message) => {
    const definition: TableDefinition = { ...notes, indexes: {}, autoIncrement: 'id', ...change };
    const error = await failure(place.tables.create(definition));
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).toMatch(message);
    expect(await place.tables.list()).toEqual([]);
  });
});

describe('definitions and a killed host', () => {
  it('keeps every acknowledged table, row and number', async () => {
    await using place = await Place.make('split');
    let table = await place.tables.create(notes);
    const ids: number[] = [];
    for (let count = 0; count < 30; count++) ids.push((await table.writeRow({ text: `${count}` })).id);
    await place.tables.create({ ...notes, name: 'dropped' });
    await place.tables.drop('dropped');
    await place.kill();
    expect(await place.tables.list()).toEqual(['notes']);
    table = await place.tables.open(notes);
    expect((await table.rndScan().all()).map((row) => row.id)).toEqual(ids);
    expect((await table.writeRow({})).id).toBeGreaterThan(Math.max(...ids));
    expect((await table.statistics()).rows).toBeGreaterThan(0);
  });

  it('fails an open transaction and an open cursor with SESSION_LOST, and nothing of them stays', async () => {
    await using place = await Place.make('split');
    const table = await place.tables.create(notes);
    await table.writeRows(Array.from({ length: 50 }, () => ({ text: 'x' })));
    const transaction = place.tables.begin();
    await transaction.table(table).writeRow({ id: 1000 });
    const cursor = table.rndScan({ windowBytes: 1 });
    await cursor.next();
    await place.kill();
    expect(await failure(transaction.table(table).count())).toMatchObject({
      code: 'SESSION_LOST',
      isRetryable: true,
    });
    expect(transaction.isOpen).toBe(false);
    expect(await code(cursor.all())).toBe('SESSION_LOST');
    expect(await table.count()).toBe(50);
  });
});
