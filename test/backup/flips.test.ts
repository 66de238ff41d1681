import { expect, test } from 'vitest';
import { Folder } from '../../lab/daemon/daemon.js';
import { flipBits } from './flips.js';

test('a bit that is flipped anywhere in a store is found, or harms nothing', async () => {
  using folder = new Folder();
  const { found, missed } = await flipBits(folder, 48);
  expect(missed).toEqual([]);
  expect(found).toBeGreaterThan(10);
});
