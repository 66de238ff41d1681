import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../guest/tables/index.js';
import { readWindow, writeKeyBatch } from '../../src/protocol/batches.js';
import type { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { ProgramWriter } from '../../src/protocol/program.js';
import { asBuffer } from '../../src/protocol/rows.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import { MODES, Place, failure } from './place.js';
import { inTransaction, Requests } from './requests.js';

// Filters and aggregates, message by message.

const { Method } = vamos.tables;
const { COUNT, SUM, MIN, MAX } = vamos.tables.Aggregate.Function;
const { READ_COMMITTED, REPEATABLE_READ } = vamos.tables.Isolation;
const { EXCLUSIVE } = vamos.tables.Lock;

const ROWS = 300;
const numbers = defineTable({
  name: 'numbers',
  columns: { id: t.uint32(), rest: t.int32().nullable(), name: t.text() },
  primaryKey: ['id'],
  indexes: { byRest: { columns: ['rest'] } },
});
const ID = 0;
const REST = 1;
const NAME = 2;

const program = (): ProgramWriter => new ProgramWriter();
const column = (number: number): Buffer => program().column(number).finish();
const restIs = (value: bigint): Buffer => program().column(REST).integer(value).compare('EQUAL').finish();

describe.each(MODES)('filters and aggregates of raw requests, %s', (mode) => {
  let place: Place;
  let table: Table<typeof numbers>;
  let one: Requests;

  beforeAll(async () => {
    place = await Place.make(mode);
    table = await place.tables.create(numbers);
    await table.writeRows(
      Array.from({ length: ROWS }, (_, id) => ({
        id,
        rest: id % 10 === 9 ? null : id % 10,
        name: `name ${String(id).padStart(3, '0')}`,
      })),
    );
    one = new Requests(place.client, table);
  });
  afterAll(async () => {
    expect(await table.count()).toBe(ROWS);
    await place[Symbol.asyncDispose]();
  });

  async function open(fields: vamos.tables.IOpenCursor, options: CallOptions = {}, from = one) {
    const body = vamos.tables.OpenCursor.encode({ ...from.head, ...fields }).finish();
    return vamos.tables.Rows.decode(await from.stream.call(Method.OPEN_CURSOR, body, options));
  }

  /** Returns the ids of all windows. */
  async function scan(fields: vamos.tables.IOpenCursor, from = one): Promise<number[]> {
    const ids: number[] = [];
    let rows = await open({ windowBytes: 100, ...fields, columns: [ID] }, {}, from);
    for (;;) {
      for (const { row } of readWindow(rows.window, false)) ids.push(row!.readUInt32LE(1));
      if (rows.cursor === 0) return ids;
      const body = vamos.tables.Fetch.encode({ cursor: rows.cursor, windowBytes: 100 }).finish();
      rows = vamos.tables.Rows.decode(await from.stream.call(Method.FETCH, body));
    }
  }

  async function get(
    ids: readonly number[],
    fields: vamos.tables.IGet,
    from = one,
  ): Promise<(number | null)[]> {
    const keys = writeKeyBatch(ids.map((id) => table.opened.codec.key(0, id)));
    const body = vamos.tables.Get.encode({ ...from.head, keys, columns: [ID], ...fields }).finish();
    const { window, count } = vamos.tables.Rows.decode(await from.stream.call(Method.GET, body));
    expect(Number(count)).toBe(ids.length);
    return [...readWindow(window, false)].map(({ row }) => row?.readUInt32LE(1) ?? null);
  }

  const tens = (rest: number): number[] => Array.from({ length: ROWS / 10 }, (_, i) => i * 10 + rest);

  it('only rows that pass travel, and only they count for the limit', async () => {
    for (const index of [0, 1]) {
      expect(await scan({ index, filter: restIs(3n) })).toEqual(tens(3));
      expect(await scan({ index, filter: restIs(3n), reverse: true, limitRows: 4 })).toEqual([
        293, 283, 273, 263,
      ]);
      expect(await scan({ index, filter: program().column(REST).operation('IS_NULL').finish() })).toEqual(
        tens(9),
      );
      expect(await scan({ index, filter: restIs(77n) })).toEqual([]);
    }
  });

  it('a row that does not pass reads as not there, of one key as of many', async () => {
    const ids = Array.from({ length: 150 }, (_, id) => id);
    const expected = ids.map((id) => (id % 10 === 3 ? id : null));
    expect(await get(ids, { filter: restIs(3n) })).toEqual(expected);
    expect(await get([13], { filter: restIs(3n) })).toEqual([13]);
    expect(await get([14], { filter: restIs(3n) })).toEqual([null]);
    expect(await get([5000], { filter: restIs(3n) })).toEqual([null]);
    await one.begin();
    expect(await get(ids, { filter: restIs(3n), scope: inTransaction(), lock: EXCLUSIVE })).toEqual(expected);
    await one.rollback();
  });

  it('aggregates come as one row, with the cursor at its end', async () => {
    for (const index of [0, 1]) {
      const { window, cursor, count } = await open({
        index,
        filter: restIs(3n),
        aggregates: [
          { function: COUNT },
          { function: SUM, value: column(ID) },
          { function: MIN, value: column(NAME), padded: true },
          { function: MAX, value: column(REST) },
          { function: COUNT, value: program().null(0).finish() },
        ],
      });
      expect([cursor, Number(count)]).toEqual([0, 0]);
      const row = asBuffer(window);
      expect(row.readUInt32LE(0)).toBe(row.length - 4);
      let offset = 4;
      const next = (bytes: number): Buffer => row.subarray(offset, (offset += bytes));
      const integer = (bytes: number): bigint =>
        BigInt(`0x${Buffer.from(next(bytes)).reverse().toString('hex')}`);
      expect(integer(8)).toBe(30n);
      expect([integer(8), integer(32)]).toEqual([30n, 30n * 148n]);
      expect([integer(8), next(next(4).readUInt32LE()).toString()]).toEqual([30n, 'name 003']);
      expect([integer(8), integer(16)]).toEqual([30n, 3n]);
      expect(integer(8)).toBe(0n);
      expect(offset).toBe(row.length);
    }
  });

  it('rows that pass a filter are counted', async () => {
    for (const index of [0, 1]) {
      const { window, cursor, count } = await open({ index, filter: restIs(3n), countOnly: true });
      expect([window.length, cursor, Number(count)]).toEqual([0, 0, 30]);
    }
  });

  it('READ COMMITTED gives back the locks of rows that do not pass, REPEATABLE READ keeps them', async () => {
    const two = new Requests(place.client, table);
    const isFree = async (id: number): Promise<boolean> => {
      await two.begin();
      const scope = inTransaction(1, { wait: vamos.tables.Wait.NO_WAIT });
      try {
        await two.get(id, scope, 'EXCLUSIVE');
        return true;
      } catch (error) {
        expect((error as VamosError).code).toBe('LOCK_NOT_AVAILABLE');
        return false;
      } finally {
        await two.rollback();
      }
    };
    for (const isolation of [READ_COMMITTED, REPEATABLE_READ]) {
      const scope = inTransaction(1);
      await one.begin({ isolation });
      expect(await scan({ scope, lock: EXCLUSIVE, filter: restIs(3n) })).toEqual(tens(3));
      expect([await isFree(3), await isFree(4)]).toEqual([false, isolation === READ_COMMITTED]);
      await one.rollback();
      await one.begin({ isolation });
      expect(await get([3, 4], { scope, lock: EXCLUSIVE, filter: restIs(3n) })).toEqual([3, null]);
      expect([await isFree(3), await isFree(4)]).toEqual([false, isolation === READ_COMMITTED]);
      await one.rollback();
    }
  });

  it('a bad program is refused with what is wrong where, and the stream goes on', async () => {
    const refused = async (fields: vamos.tables.IOpenCursor, message: string) => {
      const error = await failure(open(fields));
      expect([error.code, error.message]).toEqual(['BAD_REQUEST', message]);
    };
    await refused({ filter: Buffer.of(0xff) }, 'filter: byte 0: no instruction has code 255');
    await refused({ filter: column(3) }, 'filter: byte 0: the table has no column 3');
    await refused({ filter: column(0) }, 'filter: gives INTEGER, and a filter BOOLEAN');
    await refused({ filter: Buffer.alloc(65537, 0x42) }, 'filter: a program has 1 to 65536 bytes');
    await refused({ aggregates: [{ function: SUM }] }, 'aggregate 0: only COUNT is without a value');
    await refused(
      { aggregates: [{ function: COUNT }, { function: SUM, value: column(NAME) }] },
      'aggregate 1: SUM takes INTEGER or DOUBLE',
    );
    await refused(
      { aggregates: [{ function: Number('9'), value: column(0) }] },
      'aggregate 0: no such function',
    );
    await refused({ aggregates: new Array(257).fill({}) }, 'at most 256 aggregates in one request');
    await refused(
      { aggregates: new Array(5).fill({ value: program().bytes(Buffer.alloc(60000)).finish() }) },
      "the aggregates' programs have at most 262144 bytes together",
    );
    const error = await failure(get([1], { filter: column(REST) }));
    expect([error.code, error.message]).toEqual([
      'BAD_REQUEST',
      'filter: gives INTEGER, and a filter BOOLEAN',
    ]);
    expect(await scan({ filter: restIs(3n) })).toEqual(tens(3));
  });

  it('random bytes as programs are refused or run, never INTERNAL', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 80 });
    await fc.assert(
      fc.asyncProperty(bytes, fc.integer({ min: 0, max: 4 }), async (value, what) => {
        const calls = [
          open({ filter: value }),
          get([1], { filter: value }),
          open({ aggregates: [{ function: what, value }] }),
        ];
        for (const call of await Promise.allSettled(calls)) {
          if (call.status === 'rejected') expect((call.reason as VamosError).code).toBe('BAD_REQUEST');
        }
      }),
      { numRuns: 200 },
    );
  });

  it('a scan that finds nothing for long lets others by, and ends when cancelled or late', async () => {
    const slow = program().column(NAME).bytes(Buffer.from('nobody')).compare('EQUAL');
    for (let i = 0; i < 2500; i++) slow.column(ID).integer(-1n).compare('EQUAL').operation('OR');
    // All of its rows take this long, many times over.
    const many = await place.tables.create({ ...numbers, name: 'many' });
    for (let first = 0; first < 40_000; first += 5000) {
      await many.writeRows(
        Array.from({ length: 5000 }, (_, i) => ({ id: first + i, rest: null, name: 'x' })),
      );
    }
    const streams = Array.from({ length: 6 }, () => new Requests(place.client, many));
    const controller = new AbortController();
    const scans = streams.map((from) =>
      failure(open({ filter: slow.finish() }, { signal: controller.signal }, from)),
    );
    expect(await scan({ filter: restIs(3n) })).toEqual(tens(3));
    controller.abort();
    for (const error of await Promise.all(scans)) expect(error.code).toBe('CANCELLED');
    const late = await failure(open({ filter: slow.finish() }, { timeoutMs: 50 }, streams[0]));
    expect(late.code).toBe('DEADLINE_EXCEEDED');
    await place.tables.drop('many');
  });
});
