import { expect, test } from 'vitest';
import {
  bestDurablePeer,
  groupsOf,
  improvements,
  modelCycles,
  sizeName,
  transitionsOf,
} from '../../bench/transitions/model.js';
import { sampleReport, sampleRow } from './transitions_sample.js';

const counted = {
  statements: 10,
  kicks: [20, 40, 30],
  interrupts: [10, 20, 15],
  guestInstructions: [1_000_000, 3_000_000, 2_000_000],
};

test('a statement takes a cycle for each instruction, and what each transition costs, by the median repetition', () => {
  const row = { ...sampleRow('W1', 'vamos'), ...counted };
  expect(transitionsOf(row)).toEqual([30, 60, 45]);
  expect(modelCycles(row, 0)).toBe(200_000);
  expect(modelCycles(row, 2_000)).toBe((2_000_000 + 45 * 2_000) / 10);
  expect(modelCycles(row, 10_000)).toBe((2_000_000 + 45 * 10_000) / 10);
});

test('without instructions there is no model', () => {
  const row = { ...sampleRow('W1', 'vamos'), ...counted, guestInstructions: [] };
  expect(modelCycles(row, 2_000)).toBeUndefined();
  expect(improvements(groupsOf([row, sampleRow('W1', 'aria')]), 'tcg')).toEqual([]);
});

test('improvement is how many times longer the other engine takes, at either cost of a transition', () => {
  const vamos = {
    ...sampleRow('W1', 'vamos'),
    statements: 1,
    kicks: [1],
    interrupts: [1],
    guestInstructions: [6_000],
  };
  const aria = {
    ...sampleRow('W1', 'aria'),
    statements: 1,
    kicks: [2],
    interrupts: [2],
    guestInstructions: [12_000],
  };
  const place = { workload: 'W1', rowBytes: 1024, peer: 'aria' };
  expect(improvements(groupsOf([vamos, aria]), 'tcg')).toEqual([
    { ...place, transitionCycles: 2_000, factor: 2 },
    { ...place, transitionCycles: 10_000, factor: 2 },
  ]);
  const busy = { ...aria, kicks: [22], interrupts: [2] };
  expect(improvements(groupsOf([vamos, busy]), 'tcg').map(({ factor }) => factor)).toEqual([
    6,
    252_000 / 26_000,
  ]);
});

test('under KVM improvement is that of measured time', () => {
  const vamos = { ...sampleRow('W3', 'vamos'), guestInstructions: [], seconds: [1, 3, 2] };
  const innodb = { ...sampleRow('W3', 'innodb'), guestInstructions: [], seconds: [5, 4, 9] };
  expect(improvements(groupsOf([vamos, innodb]), 'kvm')).toEqual([
    { workload: 'W3', rowBytes: 1024, peer: 'innodb', transitionCycles: undefined, factor: 2.5 },
  ]);
});

test('the best durable peer has the fewest transitions, and is never MyISAM or VAMOS', () => {
  const [group] = groupsOf([
    { ...sampleRow('W1', 'myisam'), statements: 1, kicks: [0], interrupts: [0] },
    { ...sampleRow('W1', 'innodb'), statements: 1, kicks: [4], interrupts: [4] },
    { ...sampleRow('W1', 'aria'), statements: 1, kicks: [2], interrupts: [3] },
    { ...sampleRow('W1', 'vamos'), statements: 1, kicks: [1], interrupts: [1] },
  ]);
  expect(bestDurablePeer(group!)).toEqual({ engine: 'aria', transitions: 5 });
  const [alone] = groupsOf([sampleRow('W1', 'vamos')]);
  expect(bestDurablePeer(alone!)).toBeUndefined();
});

test('groups come in the order of workloads, sizes and engines, whatever the order of the rows', () => {
  const { rows } = sampleReport();
  expect(groupsOf([...rows].reverse())).toEqual(groupsOf(rows));
  expect(groupsOf(rows)[1]).toMatchObject({ workload: 'W1', rowBytes: 1024 });
  expect([...groupsOf(rows)[0]!.rows.keys()]).toEqual(['innodb', 'innodb-tuned', 'aria', 'myisam', 'vamos']);
});

test('sizes of rows have the names that they have in the tables', () => {
  expect([64, 188, 1024, 8192, 32_768, 1 << 20].map(sizeName)).toEqual([
    '64 B',
    '188 B',
    '1 KiB',
    '8 KiB',
    '32 KiB',
    '1 MiB',
  ]);
});
