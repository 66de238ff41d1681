import { expect } from 'vitest';
import { defineTable, t, type Table } from '../../../guest/tables/index.js';
import { writeKeyBatch } from '../../../src/protocol/batches.js';
import type { vamos } from '../../../src/protocol/generated/messages.js';
import { ProgramWriter } from '../../../src/protocol/program.js';

/** The table that the tests of UPDATE_WHERE and DELETE_WHERE change. */
export const items = defineTable({
  name: 'items',
  columns: {
    id: t.uint32(),
    tag: t.text().nullable(),
    rank: t.int8().nullable(),
    score: t.double(),
    note: t.text(),
    data: t.blob().nullable(),
  },
  primaryKey: ['id'],
  indexes: {
    byTag: { columns: ['tag'], unique: true },
    byRank: { columns: [{ column: 'rank', descending: true }] },
  },
});
export type Items = Table<typeof items>;
export const Column = { ID: 0, TAG: 1, RANK: 2, SCORE: 3, NOTE: 4, DATA: 5 } as const;
export const BY_TAG = 1;
export const BY_RANK = 2;

export interface Item {
  id: number;
  tag: string | null;
  rank: number | null;
  score: number;
  note: string;
}

export const item = (id: number): Item => ({
  id,
  tag: `tag ${id}`,
  rank: id % 5,
  score: id / 2,
  note: `note ${id}`,
});

export async function load(table: Items, count: number): Promise<Item[]> {
  const rows = Array.from({ length: count }, (_, id) => item(id));
  await table.writeRows(rows);
  return rows;
}

export const program = (): ProgramWriter => new ProgramWriter();
export const text = (value: string): Buffer => program().bytes(Buffer.from(value)).finish();
export const integer = (value: number): Buffer => program().integer(BigInt(value)).finish();
export const atLeast = (column: number, value: number): Buffer =>
  program().column(column).integer(BigInt(value)).compare('GREATER_OR_EQUAL').finish();
export const equals = (column: number, value: number): Buffer =>
  program().column(column).integer(BigInt(value)).compare('EQUAL').finish();
export const plus = (column: number, value: number): Buffer =>
  program().column(column).integer(BigInt(value)).operation('ADD').finish();

export const keys = (table: Items, ...ids: number[]): Buffer =>
  writeKeyBatch(ids.map((id) => table.opened.codec.key(0, id)));

/** Returns the range from one value of the index's column to below another. */
export const range = (table: Items, index: number, lower: unknown, upper: unknown): vamos.tables.IBounds => ({
  hasLower: true,
  lower: table.opened.codec.key(index, lower),
  hasUpper: true,
  upper: table.opened.codec.key(index, upper),
  upperExclusive: true,
});

export async function ids(table: Items): Promise<number[]> {
  return (await table.rndScan().all()).map(({ id }) => id);
}

/**
 * Expects that the table has these rows, in the order of their ids, that each index has them in its order,
 * and that as many are counted.
 */
export async function expectItems(table: Items, expected: readonly Item[]): Promise<void> {
  const all = await table.rndScan().all();
  expect(all.map(({ id, tag, rank, score, note }) => ({ id, tag, rank, score, note }))).toEqual(expected);
  const tagBytes = ({ tag }: Item): Buffer => (tag === null ? Buffer.of() : Buffer.from(`\u0001${tag}`));
  const byTag = [...expected].sort((a, b) => Buffer.compare(tagBytes(a), tagBytes(b)) || a.id - b.id);
  expect((await table.indexScan('byTag').all()).map(({ id }) => id)).toEqual(byTag.map(({ id }) => id));
  const rankOf = ({ rank }: Item): number => rank ?? -1000;
  const byRank = [...expected].sort((a, b) => rankOf(b) - rankOf(a) || a.id - b.id);
  expect((await table.indexScan('byRank').all()).map(({ id }) => id)).toEqual(byRank.map(({ id }) => id));
  expect((await table.statistics()).rows).toBe(expected.length);
}
