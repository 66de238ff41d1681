import { describe, expect, test } from 'vitest';
import { differences, renderTable, type ReportRow } from '../../bench/demo/report.js';

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

describe('renderTable', () => {
  test('gives transitions a statement of both modes and their ratio', () => {
    const line = renderTable([row('split'), row('unsplit', { kicks: 60, interrupts: 60 })])
      .split('\n')
      .find((each) => each.startsWith('insert'));
    // 30 and 120 transitions for 10 statements, 2 requests a frame.
    expect(line?.split(/[\s|]+/)).toEqual(
      'insert 10 10 20 3.00 2.00 KiB 100 B 2.00 60 60 12.0 2.00 KiB 100 B 4.00'.split(' '),
    );
  });

  test('has no ratio where the split run had no transition', () => {
    const line = renderTable([row('split', { kicks: 0, interrupts: 0 }), row('unsplit')])
      .split('\n')
      .at(-1);
    expect(line).toMatch(/ -$/);
  });
});
