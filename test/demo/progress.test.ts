import { expect, test } from 'vitest';
import { showProgress } from '../../bench/demo/progress.js';

function shown(isTerminal: boolean): string[] {
  const lines: string[] = [];
  const task = {
    set output(text: string) {
      lines.push(text);
    },
  };
  const onProgress = showProgress(task, isTerminal);
  onProgress('loading');
  for (const done of [1, 2, 3]) onProgress('the mix', `${done}/3`);
  onProgress('checking');
  return lines;
}

test('a terminal is shown each count', () => {
  expect(shown(true)).toEqual(['loading', 'the mix 1/3', 'the mix 2/3', 'the mix 3/3', 'checking']);
});

test('a log gets a line a step, and no counts', () => {
  expect(shown(false)).toEqual(['loading', 'the mix', 'checking']);
});
