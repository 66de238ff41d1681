import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { MODES, Place, code } from './place.js';

const { ColumnKind, Method } = vamos.tables;
type Definition = vamos.tables.IDefinition;

const things = defineTable({
  name: 'things',
  columns: { id: t.uint32(), text: t.text(), note: t.text() },
  primaryKey: ['id'],
  indexes: { byText: { columns: ['text'] } },
  autoIncrement: 'id',
});

describe.each(MODES)('redefinition of tables, %s', (mode) => {
  let place: Place;
  let table: Table<typeof things>;
  let info: vamos.tables.TableInfo;

  beforeEach(async () => {
    place = await Place.make(mode, { definitionTimeoutMs: 500 });
    table = await place.tables.create(things);
    await table.writeRows([
      { text: 'a', note: '' },
      { text: 'b', note: '' },
    ]);
    info = await open();
  });
  afterEach(async () => {
    await place[Symbol.asyncDispose]();
  });

  const open = async () => {
    const body = vamos.tables.TableName.encode({ name: 'things' }).finish();
    return vamos.tables.TableInfo.decode(await place.client.stream().call(Method.OPEN_TABLE, body));
  };
  const redefine = async (change: Definition, nextAutoIncrement = 0) => {
    const definition = { ...info.definition, ...change };
    const body = vamos.tables.RedefineTable.encode({
      name: 'things',
      definition,
      nextAutoIncrement,
    }).finish();
    return vamos.tables.TableInfo.decode(await place.client.stream().call(Method.REDEFINE_TABLE, body));
  };
  const columns = (change: (column: vamos.tables.IColumn) => vamos.tables.IColumn) =>
    info.definition!.columns!.map(change);

  it('gives names, types and detail anew for the same rows, under a new version, and keeps it', async () => {
    const detail = Buffer.from('second');
    const renamed = columns((column) => ({
      ...column,
      name: `${column.name}2`,
      type: column.name === 'note' ? 'another' : column.type!,
    }));
    const redefined = await redefine({ columns: renamed, detail });
    expect([redefined.table, redefined.version]).toEqual([info.table, info.version + 1]);
    expect(await code(table.writeRow({ text: 'c', note: '' }))).toBe('TABLE_CHANGED');
    for (const isRestarted of [false, true]) {
      if (isRestarted) await place.restart();
      const opened = await open();
      expect(Buffer.from(opened.definition!.detail!)).toEqual(detail);
      expect(opened.definition!.columns!.map(({ name, type }) => `${name} ${type}`)).toEqual([
        'id2 uint32',
        'text2 text',
        'note2 another',
      ]);
      expect(Number(opened.statistics?.rows)).toBe(2);
      const again = await place.tables.open('things');
      expect((await again.rndScan().all()).map((row) => (row as { text2: string }).text2)).toEqual([
        'a',
        'b',
      ]);
    }
  });

  it('sets the next auto-increment value, up or down, also without another change', async () => {
    expect(Number((await redefine({}, 500)).statistics?.nextAutoIncrement)).toBe(500);
    table = await place.tables.open(things);
    expect((await table.writeRow({ text: 'c', note: '' })).id).toBe(500);
    await place.restart();
    expect(Number((await open()).statistics?.nextAutoIncrement)).toBeGreaterThan(500);
    expect(Number((await redefine({}, 3)).statistics?.nextAutoIncrement)).toBe(3);
    await place.restart();
    expect(Number((await open()).statistics?.nextAutoIncrement)).toBe(3);
  });

  it('a table can be made with its next auto-increment value', async () => {
    const definition = { ...info.definition, name: 'made' };
    const body = vamos.tables.CreateTable.encode({ definition, nextAutoIncrement: 77 }).finish();
    const made = vamos.tables.TableInfo.decode(await place.client.stream().call(Method.CREATE_TABLE, body));
    expect(Number(made.statistics?.nextAutoIncrement)).toBe(77);
    await place.restart();
    const reserve = vamos.tables.Reserve.encode({ table: made.table, version: made.version, count: 2 });
    const reserved = vamos.tables.Reserved.decode(
      await place.client.stream().call(Method.RESERVE_AUTO_INCREMENT, reserve.finish()),
    );
    expect(Number(reserved.first)).toBe(77);
  });

  it('lets columns without an index become nullable, and variable ones wider', async () => {
    await redefine({
      columns: columns((column) => (column.name === 'note' ? { ...column, nullable: true } : column)),
    });
    const wider = await redefine({
      columns: columns((column) => ({ ...column, ...(column.name === 'note' && { nullable: true }) })),
    });
    expect(wider.definition!.columns![2]!.nullable).toBe(true);
  });

  it('refuses what would need other rows or keys', async () => {
    const cases: Definition[] = [
      { name: 'other' },
      { columns: info.definition!.columns!.slice(0, 2) },
      {
        columns: columns((column) => (column.name === 'id' ? { ...column, kind: ColumnKind.INT32 } : column)),
      },
      { columns: columns((column) => (column.name === 'text' ? { ...column, nullable: true } : column)) },
      { columns: columns((column) => (column.name === 'note' ? { ...column, widthBytes: 5 } : column)) },
      { indexes: info.definition!.indexes!.slice(0, 1) },
      { indexes: [info.definition!.indexes![0]!, { name: 'byText', parts: [{ column: 2 }] }] },
      { indexes: [info.definition!.indexes![0]!, { name: 'byText', unique: true, parts: [{ column: 1 }] }] },
    ];
    for (const change of cases) expect(await code(redefine(change))).toBe('BAD_REQUEST');
    expect((await open()).version).toBe(info.version);
  });

  it('waits until nobody uses the table', async () => {
    await using transaction = place.tables.begin();
    await transaction.table(table).get(1);
    expect(await code(redefine({}))).toBe('LOCK_TIMEOUT');
    await transaction.rollback();
    expect((await redefine({})).version).toBe(info.version + 1);
  });

  it('a key part may be opaque, of a blob too, and is kept so', async () => {
    const definition: Definition = {
      name: 'opaque',
      columns: [
        { name: 'id', kind: ColumnKind.UINT32 },
        { name: 'data', kind: ColumnKind.BLOB },
      ],
      indexes: [
        { name: 'primary', unique: true, parts: [{ column: 0 }] },
        { name: 'byData', parts: [{ column: 1, opaque: true, prefixCharacters: 10 }] },
      ],
    };
    const create = (part: vamos.tables.IKeyPart) => {
      const indexes = [definition.indexes![0]!, { name: 'byData', parts: [part] }];
      return place.client
        .stream()
        .call(
          Method.CREATE_TABLE,
          vamos.tables.CreateTable.encode({ definition: { ...definition, indexes } }).finish(),
        );
    };
    expect(await code(create({ column: 1 }))).toBe('BAD_REQUEST');
    const made = vamos.tables.TableInfo.decode(
      await create({ column: 1, opaque: true, prefixCharacters: 10 }),
    );
    const [part] = made.definition!.indexes![1]!.parts!;
    expect([part!.opaque, part!.prefixCharacters]).toEqual([true, 10]);
  });
});
