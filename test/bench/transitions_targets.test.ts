import { expect, test } from 'vitest';
import { compareWithTargets, renderTargets, TARGETS } from '../../bench/transitions/targets.js';
import { WORKLOAD_LIST } from '../../bench/transitions/workloads.js';
import { sampleRow } from './transitions_sample.js';

const withTransitions = (a: number, b: number, c: number) => ({
  ...sampleRow('W12', 'vamos'),
  statements: 1,
  kicks: [a, b, c],
  interrupts: [0, 0, 0],
});
const ofW12 = (rows: Parameters<typeof compareWithTargets>[0]) =>
  compareWithTargets(rows).find(({ workload }) => workload === 'W12');

test('each target is of a workload that is measured with rows of that size', () => {
  for (const { workload, rowBytes } of TARGETS) {
    expect(WORKLOAD_LIST.find(({ name }) => name === workload)?.rowSizes).toContain(rowBytes);
  }
});

test('the median decides whether a target is reached', () => {
  expect(ofW12([withTransitions(3, 5, 900)])).toMatchObject({ measured: 5, isReached: true });
  expect(ofW12([withTransitions(1, 6, 6)])).toMatchObject({ measured: 6, isReached: false });
});

test("another engine's figures reach nothing", () => {
  expect(ofW12([{ ...withTransitions(1, 1, 1), engine: 'myisam' }])).toMatchObject({
    measured: undefined,
    isReached: false,
  });
});

test('a line tells each target, reached, not reached or not measured', () => {
  const lines = renderTargets([withTransitions(3, 4, 5)]).split('\n');
  expect(lines).toHaveLength(TARGETS.length + 1);
  expect(lines.find((line) => line.startsWith('W12'))).toMatch(/<= 5 +4\.00 +reached$/);
  expect(lines.find((line) => line.startsWith('W11'))).toMatch(/- +not measured$/);
  expect(renderTargets([withTransitions(6, 6, 6)])).toMatch(/W12 .* 6\.00 +not reached/);
});
