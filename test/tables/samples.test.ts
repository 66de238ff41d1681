/** Samples of tables, which optimizers ask for with STATISTICS, OPEN_TABLE and ANALYZE_TABLE. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { MODES, Place, code } from './place.js';

const { Method } = vamos.tables;

const things = defineTable({
  name: 'things',
  columns: { id: t.uint32(), kind: t.uint32(), text: t.text() },
  primaryKey: ['id'],
  indexes: { byKind: { columns: ['kind', 'text'] } },
});

describe.each(MODES)('samples, %s', (mode) => {
  let place: Place;
  let table: Table<typeof things>;

  beforeEach(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(things);
  });
  afterEach(async () => {
    await place[Symbol.asyncDispose]();
  });

  const write = (from: number, to: number) =>
    table.writeRows(
      Array.from({ length: to - from }, (_, at) => ({ id: from + at, kind: at % 4, text: `text ${at % 8}` })),
    );
  const open = async () => {
    const body = vamos.tables.TableName.encode({ name: 'things' }).finish();
    return vamos.tables.TableInfo.decode(await place.client.stream().call(Method.OPEN_TABLE, body));
  };
  const ask = async (fields: vamos.tables.IStatistics = {}, method: number = Method.STATISTICS) => {
    const body = vamos.tables.Statistics.encode({ table: (await open()).table, ...fields }).finish();
    return vamos.tables.TableStatistics.decode(await place.client.stream().call(method, body));
  };
  const perKey = ({ indexes }: vamos.tables.TableStatistics) =>
    indexes.map(({ hundredthsPerKey }) => hundredthsPerKey!.map((hundredths) => hundredths / 100));

  it('are taken for who opens a table, kept over restarts, and forgotten with the rows', async () => {
    expect((await open()).statistics).toMatchObject({ rows: 0, sample: 0, updatedMs: 0 });
    await write(0, 80);
    const opened = (await open()).statistics as vamos.tables.TableStatistics;
    expect(opened).toMatchObject({ rows: 80, sample: 1 });
    expect(perKey(opened)).toEqual([[1], [20, 10, 1]]);
    expect(opened.bytes / 80).toBeGreaterThan(20);
    expect(opened.indexBytes / 80).toBeGreaterThan(20);
    expect(opened.createdMs).toBeLessThanOrEqual(opened.updatedMs);
    await place.restart();
    expect((await open()).statistics).toEqual(opened);
    await place.client
      .stream()
      .call(Method.TRUNCATE_TABLE, vamos.tables.TableName.encode({ name: 'things' }).finish());
    expect((await open()).statistics).toMatchObject({ rows: 0, bytes: 0, sample: 0, indexes: [] });
  });

  it('are taken anew when more than a tenth of the rows has changed, and immediately when asked for', async () => {
    await write(0, 80);
    expect((await ask({ fresh: true })).sample).toBe(1);
    await write(80, 88);
    expect((await ask({ fresh: true })).sample).toBe(1);
    await write(88, 89);
    expect(await ask({ fresh: true })).toMatchObject({ rows: 89, sample: 2 });
    expect((await ask({}, Method.ANALYZE_TABLE)).sample).toBe(3);
    await table.deleteRow({ id: 0, kind: 0, text: 'text 0' });
    expect(perKey(await ask({}, Method.ANALYZE_TABLE))[0]).toEqual([1]);
  });

  it('are not sent again to who knows them', async () => {
    await write(0, 80);
    const { sample, indexes } = await ask({ fresh: true });
    expect(indexes).toHaveLength(2);
    expect((await ask({ knownSample: sample })).indexes).toEqual([]);
    expect((await ask({ knownSample: sample + 1 })).indexes).toEqual(indexes);
  });

  it('tell prefixes apart behind an opaque part if its levels say where it ends', async () => {
    const { definition } = await open();
    const create = async (name: string, levels: Buffer) => {
      const [primary, byKind] = structuredClone(definition!.indexes!);
      byKind!.parts = [{ column: 2, opaque: true, levels }, { column: 1 }];
      const message = { definition: { ...definition, name, indexes: [primary!, byKind!] } };
      const body = vamos.tables.CreateTable.encode(message).finish();
      return vamos.tables.TableInfo.decode(await place.client.stream().call(Method.CREATE_TABLE, body));
    };
    expect((await create('good', Buffer.from('\0\x02ab', 'latin1'))).table).toBeGreaterThan(0);
    for (const levels of ['\x01', '\x09123456789', '\0\0\0\0\0', '\x02a']) {
      expect(await code(create('bad', Buffer.from(levels, 'latin1')))).toBe('BAD_REQUEST');
    }
  });

  it('of a table that is not there are refused', async () => {
    expect(await code(ask({ table: 999 }))).toBe('TABLE_MISSING');
    expect(await code(ask({ table: 999 }, Method.ANALYZE_TABLE))).toBe('TABLE_MISSING');
  });
});
