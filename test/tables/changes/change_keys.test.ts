import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readWindow, WriteBatch } from '../../../src/protocol/batches.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { KeyFormat } from '../../../src/protocol/keys.js';
import { ProgramWriter, ValueType } from '../../../src/protocol/program.js';
import { ColumnKind, RowFormat, type ColumnLayout, type RawValue } from '../../../src/protocol/rows.js';
import type { RpcStream } from '../../../src/rpc/contract.js';
import { column, value } from '../../protocol/arbitraries.js';
import { Place } from '../place.js';

// Compares the keys that the host makes of rows with those that TypeScript makes of their values, for any
// columns.

const { Method } = vamos.tables;
let place: Place;
let stream: RpcStream;

beforeAll(async () => {
  place = await Place.make('unsplit');
  stream = place.client.stream();
});
afterAll(async () => {
  await place[Symbol.asyncDispose]();
});

/** Returns a program that gives this value, whatever the row. */
function constant({ kind }: ColumnLayout, value: RawValue): Buffer {
  const program = new ProgramWriter();
  const isFloat = kind === ColumnKind.FLOAT || kind === ColumnKind.DOUBLE;
  const isBytes = kind === ColumnKind.FIXED || kind === ColumnKind.BYTES;
  if (value === null)
    return program.null(isFloat ? ValueType.DOUBLE : isBytes ? ValueType.BYTES : ValueType.INTEGER).finish();
  if (isFloat) return program.double(value as number).finish();
  if (isBytes) return program.bytes(Buffer.from(value as Uint8Array | string)).finish();
  return program.integer(BigInt(value as number | bigint)).finish();
}

const isFinite = (values: readonly RawValue[]): boolean =>
  values.every((each) => typeof each !== 'number' || Number.isFinite(each));

const cases = fc
  .array(fc.record({ column: column(true), descending: fc.boolean() }), { minLength: 1, maxLength: 4 })
  .chain((parts) =>
    fc.record({
      parts: fc.constant(parts),
      before: fc.tuple(...parts.map(({ column }) => value(column))).filter(isFinite),
      after: fc.tuple(...parts.map(({ column }) => value(column))).filter(isFinite),
      isUnique: fc.boolean(),
    }),
  );

it('the host makes the same keys of a row as the connector', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ parts, before, after, isUnique }) => {
      const id: ColumnLayout = { name: 'id', kind: ColumnKind.UINT8, nullable: false, widthBytes: 0 };
      const columns = [id, ...parts.map(({ column }, number) => ({ ...column, name: `c${number}` }))];
      const definition = {
        name: 'made',
        columns: columns.map(({ name, kind, nullable, widthBytes }) => ({
          name,
          kind,
          nullable,
          widthBytes,
        })),
        indexes: [
          { name: 'primary', unique: true, parts: [{ column: 0 }] },
          {
            name: 'other',
            unique: isUnique,
            parts: parts.map(({ descending }, number) => ({ column: number + 1, descending })),
          },
        ],
      };
      const created = await stream.call(
        Method.CREATE_TABLE,
        vamos.tables.CreateTable.encode({ definition }).finish(),
      );
      const { table, version } = vamos.tables.TableInfo.decode(created);
      const format = new RowFormat(columns);
      const keys = new KeyFormat(parts);
      const entries = (number: number, values: RawValue[]) => [
        { key: Uint8Array.of(number), hasNull: false },
        { key: keys.encode(values), hasNull: values.includes(null) },
      ];
      const insert = async (number: number, values: RawValue[]): Promise<void> => {
        const batch = new WriteBatch();
        const row = format.pack([number, ...values]);
        batch.add({ inserted: { row, entries: entries(number, values) } });
        await stream.call(
          Method.INSERT,
          vamos.tables.Write.encode({ table, version, batch: batch.finish() }).finish(),
        );
      };
      /** Returns the rows with exactly these values in the index. */
      const found = async (values: RawValue[]): Promise<RawValue[][]> => {
        const key = keys.encode(values);
        const bounds = { hasLower: true, hasUpper: true, lower: key, upper: key };
        const body = vamos.tables.OpenCursor.encode({ table, version, index: 1, bounds, windowBytes: 1000 });
        const { window } = vamos.tables.Rows.decode(await stream.call(Method.OPEN_CURSOR, body.finish()));
        return [...readWindow(window, false)].map(({ row }) => format.unpack(row!));
      };

      await insert(1, before);
      const assignments = after.map((each, number) => ({
        column: number + 1,
        value: constant(parts[number]!.column, each),
      }));
      const change = { table, version, assignments };
      await stream.call(Method.UPDATE_WHERE, vamos.tables.ChangeWhere.encode(change).finish());
      const updated = format.unpack(format.pack([1, ...after]));
      expect(await found(after)).toEqual([updated]);
      // The former entry is gone: its key is free, and only its own row stands there.
      const isSame = keys.encode(before).equals(keys.encode(after));
      if (!isSame || !isUnique || before.includes(null)) {
        await insert(2, before);
        expect((await found(before)).length).toBe(isSame ? 2 : 1);
      }
      await stream.call(Method.DELETE_WHERE, vamos.tables.ChangeWhere.encode({ table, version }).finish());
      expect([...(await found(before)), ...(await found(after))]).toEqual([]);
      await insert(3, after);
      await stream.call(Method.DROP_TABLE, vamos.tables.TableName.encode({ name: 'made' }).finish());
    }),
    { numRuns: 150 },
  );
});
