import { describe, expect, test } from 'vitest';
import {
  renderOrderEntry,
  renderOrderEntryTraffic,
  type OrderEntryRow,
} from '../../bench/demo/order_entry_report.js';
import { differences, renderTraffic, renderTransitions, type ReportRow } from '../../bench/demo/report.js';

function row(mode: ReportRow['mode'], changes: Partial<ReportRow> = {}): ReportRow {
  return {
    operation: 'insert',
    mode,
    statements: 10,
    kicks: 10,
    interrupts: 20,
    requests: 10,
    frames: 5,
    bytesToHost: 2048,
    bytesToGuest: 100,
    checksum: 'abc',
    ...changes,
  };
}

describe('differences', () => {
  test('are none where both modes saw the same, whatever it cost', () => {
    expect(differences([row('split'), row('unsplit', { kicks: 100, frames: 10 })])).toEqual([]);
  });

  test('name the operation whose checksum differs', () => {
    const found = differences([row('split'), row('unsplit', { checksum: 'abd' })]);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^insert: .*abc.*abd/);
  });

  test('name the operation that did not do the same number of statements', () => {
    expect(differences([row('split'), row('unsplit', { statements: 9 })])[0]).toMatch(/^insert: /);
  });

  test.each([
    ['nothing ran', []],
    ['an operation ran in one mode only', [row('split')]],
    [
      'another operation ran in one mode only',
      [row('split'), row('unsplit'), row('unsplit', { operation: 'scan' })],
    ],
  ])('tell that %s', (_, rows) => {
    expect(differences(rows)).toEqual(['not every operation ran in both modes']);
  });
});

describe('the tables of the report', () => {
  const lineOf = (table: string, operation: string) =>
    table
      .split('\n')
      .find((each) => each.startsWith(operation))
      ?.split(/[\s|]+/);

  test('give transitions a statement of both modes and their ratio', () => {
    const table = renderTransitions([row('split'), row('unsplit', { kicks: 60, interrupts: 60 })]);
    // 30 and 120 transitions for 10 statements.
    expect(lineOf(table, 'insert')).toEqual('insert 10 10 20 3.00 60 60 12.0 4.00'.split(' '));
  });

  test('have no ratio where the split run had no transition', () => {
    const table = renderTransitions([row('split', { kicks: 0, interrupts: 0 }), row('unsplit')]);
    expect(table.split('\n').at(-1)).toMatch(/ -$/);
  });

  test('give requests a frame, and bytes', () => {
    const table = renderTraffic([row('split'), row('unsplit', { bytesToHost: 100 })]);
    expect(lineOf(table, 'insert')).toEqual('insert 10 5 2.00 2.00 KiB 100 B 100 B 100 B'.split(' '));
  });

  test('have titles and strokes in the same columns in each line, and fit 120 columns', () => {
    const large = { statements: 100_000, kicks: 234_567, interrupts: 234_567, requests: 234_567 };
    const operation = 'transaction of 100 inserts, chain';
    const rows = [row('split', { ...large, operation }), row('unsplit', { ...large, operation })];
    for (const table of [renderTransitions(rows), renderTraffic(rows)]) {
      const strokes = table.split('\n').map((line) => [...line.matchAll(/\|/g)].map(({ index }) => index));
      expect(strokes.every((places) => String(places) === String(strokes[0]))).toBe(true);
      for (const line of table.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
    }
  });

  test('fit 120 columns for order entry, too', () => {
    const orderEntry = (engine: OrderEntryRow['engine']): OrderEntryRow => ({
      ...row('split', {
        kicks: 234_567,
        interrupts: 234_567,
        bytesToHost: 2 ** 29,
        bytesToGuest: 2 ** 29,
      }),
      operation: 'order entry: all conditions, cold',
      engine,
      transactions: 1000,
      retried: 100,
      seconds: 1,
    });
    const rows = [orderEntry('vamos'), orderEntry('innodb')];
    for (const table of [renderOrderEntry(rows), renderOrderEntryTraffic(rows)]) {
      expect(table).toContain('all conditions, cold');
      for (const line of table.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
    }
  });
});
