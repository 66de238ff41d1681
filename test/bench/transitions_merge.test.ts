import { expect, test } from 'vitest';
import { checksumDifferences, mergeReports } from '../../bench/transitions/merge.js';
import { spread, transitionsAStatement, type TransitionReport } from '../../bench/transitions/result.js';
import { sampleRow } from './transitions_sample.js';

const report = (
  rows: TransitionReport['rows'],
  others: Partial<TransitionReport> = {},
): TransitionReport => ({
  machine: 'a machine',
  accelerator: 'tcg',
  versions: { vamos: '0.1.0' },
  date: '2026-01-01T00:00:00.000Z',
  guestSlowdown: 10,
  gatherUs: 0,
  rows,
  ...others,
});

test('what is measured again takes the place of what was there, and the rest stays, in order', () => {
  const before = report([
    sampleRow('W10', 'vamos'),
    sampleRow('W1', 'vamos'),
    sampleRow('W1', 'innodb'),
    sampleRow('W1', 'vamos', 64),
  ]);
  const again = { ...sampleRow('W1', 'vamos'), checksum: 'another' };
  const { rows } = mergeReports(before, report([sampleRow('W2', 'aria'), again]));
  expect(rows.map(({ workload, rowBytes, engine }) => `${workload} ${rowBytes} ${engine}`)).toEqual([
    'W1 64 vamos',
    'W1 1024 innodb',
    'W1 1024 vamos',
    'W2 1024 aria',
    'W10 1024 vamos',
  ]);
  expect(rows[2]).toEqual(again);
});

test('the merged report says when and with what the newest rows were measured', () => {
  const before = report([sampleRow('W1', 'vamos')], { gatherUs: 500 });
  const date = '2026-02-02T00:00:00.000Z';
  const withVamos = report([sampleRow('W2', 'vamos')], { date, gatherUs: 700 });
  expect(mergeReports(before, withVamos)).toMatchObject({ date, gatherUs: 700 });
  // A run without VAMOS has nothing to say of its setting.
  expect(mergeReports(before, report([sampleRow('W2', 'aria')], { date }))).toMatchObject({
    date,
    gatherUs: 500,
  });
  expect(mergeReports(undefined, withVamos)).toEqual(withVamos);
});

test('engines with different results for the same work are named', () => {
  const wrong = { ...sampleRow('W1', 'aria'), checksum: 'wrong' };
  const differences = checksumDifferences([
    sampleRow('W1', 'vamos'),
    sampleRow('W1', 'innodb'),
    wrong,
    sampleRow('W2', 'aria'),
    sampleRow('W2', 'vamos'),
  ]);
  expect(differences).toHaveLength(1);
  expect(differences[0]).toContain('W1');
  expect(differences[0]).toContain('aria wrong');
});

test('results of other row sizes and of quick runs are not compared', () => {
  const quick = { ...sampleRow('W1', 'aria'), scale: 'quick' as const, checksum: 'of less work' };
  expect(checksumDifferences([sampleRow('W1', 'vamos'), sampleRow('W1', 'vamos', 64), quick])).toEqual([]);
});

test('spread is minimum, median and maximum, of an even number the middle of the middle two', () => {
  expect(spread([3, 1, 2])).toEqual({ minimum: 1, median: 2, maximum: 3 });
  expect(spread([10, 9, 1, 2])).toEqual({ minimum: 1, median: 5.5, maximum: 10 });
  expect(spread([7])).toEqual({ minimum: 7, median: 7, maximum: 7 });
  expect(() => spread([])).toThrow(RangeError);
});

test('transitions of a statement are kicks and interrupts of each repetition', () => {
  const row = { ...sampleRow('W1', 'vamos'), statements: 10, kicks: [10, 20], interrupts: [20, 25] };
  expect(transitionsAStatement(row)).toEqual([3, 4.5]);
});
