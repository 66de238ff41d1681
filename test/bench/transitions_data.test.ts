import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checksumOf, choices, payload, RowChecksum } from '../../bench/transitions/data.js';
import { payloadBytes, rowsTable } from '../../bench/transitions/tables.js';
import { REPETITIONS, SCALES, WORKLOAD_LIST } from '../../bench/transitions/workloads.js';

const rowSizes = WORKLOAD_LIST.flatMap((workload) => workload.rowSizes);

test('a payload has the bytes asked for, the same for the same row', () => {
  fc.assert(
    fc.property(fc.nat({ max: 0xffff_ffff }), fc.constantFrom(...rowSizes), (id, rowBytes) => {
      const bytes = payloadBytes(rowBytes);
      const text = payload(id, bytes);
      expect(Buffer.byteLength(text)).toBe(bytes);
      expect(payload(id, bytes)).toBe(text);
    }),
  );
  const made = Array.from({ length: 1000 }, (_, id) => payload(id, 1008));
  expect(new Set(made).size).toBe(made.length);
  // Results of earlier runs must be comparable with those of later ones.
  expect(checksumOf(made)).toBe('330708598e39779a');
});

test('choices are the same for a seed, others for another, and within the limit', () => {
  expect(choices(4000, 500, 20_000)).toEqual(choices(4000, 500, 20_000));
  expect(choices(4000, 500, 20_000)).not.toEqual(choices(4001, 500, 20_000));
  const few = choices(1, 10_000, 7);
  expect([Math.min(...few), Math.max(...few)]).toEqual([1, 7]);
});

test('a checksum of rows does not depend on their order, and on everything else', () => {
  const rows = [
    [1, 'one', null],
    [2, 'two', Buffer.from([1, 2])],
    [2, 'two', Buffer.from([1, 2])],
  ];
  const digest = (...added: unknown[][][]) => {
    const checksum = new RowChecksum();
    for (const each of added) checksum.add(each);
    return checksum.digest();
  };
  expect(digest(rows.toReversed())).toBe(digest(rows));
  expect(digest([rows[1]!], [rows[0]!, rows[2]!])).toBe(digest(rows));
  expect(digest(rows.slice(0, 2))).not.toBe(digest(rows));
  expect(digest([[1, 'one', 'null']])).not.toBe(digest([[1, 'one', null]]));
  expect(digest([['ab', 'c']])).not.toBe(digest([['a', 'bc']]));
});

test('a row has the bytes that its table says', () => {
  expect(rowsTable('rows', 1024).columns).toContain('VARBINARY(1008)');
  expect(rowsTable('rows', 1024, 5).fill).toContain('seq_1_to_5');
  expect(rowsTable('rows', 1024).fill).toBeUndefined();
});

test('repetitions of a workload that writes leave rows of their own', () => {
  for (const scale of Object.values(SCALES)) {
    for (const workload of WORKLOAD_LIST) {
      // The others change the same rows again, or look at the whole table.
      if (!['W1', 'W2', 'W7'].includes(workload.name)) continue;
      const ranges = Array.from({ length: REPETITIONS }, (_, repetition) => {
        const sql = workload.content?.({ rowBytes: workload.rowSizes[0]!, scale, repetition });
        return /id >= (\d+) AND id < (\d+)/
          .exec(sql ?? '')!
          .slice(1)
          .map(Number);
      });
      for (const [index, [from, to]] of ranges.entries()) {
        expect(from).toBeLessThan(to!);
        if (index > 0) expect(from).toBe(ranges[index - 1]![1]);
      }
    }
  }
});
