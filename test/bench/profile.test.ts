import { expect, test } from 'vitest';
import { namedInstructions, renderProfiles } from '../../bench/profile/run.js';
import { findSymbol, parseMaps, parseSymbols } from '../../bench/profile/symbols.js';

test('executable files of a program are found in its maps', () => {
  const maps = parseMaps(
    [
      '55d0c0000000-55d0c0100000 r--p 00000000 fe:00 1234   /usr/sbin/mariadbd',
      '55d0c0100000-55d0c0900000 r-xp 00100000 fe:00 1234   /usr/sbin/mariadbd',
      '7ffd1b1f0000-7ffd1b211000 rw-p 00000000 00:00 0      [stack]',
      '7ffd1b2f0000-7ffd1b2f2000 r-xp 00000000 00:00 0      [vdso]',
      '',
    ].join('\n'),
  );
  expect(maps).toEqual([
    { start: 0x55d0c0100000n, end: 0x55d0c0900000n, offset: 0x100000n, file: '/usr/sbin/mariadbd' },
  ]);
});

test("functions of nm and of the kernel's list are told by address, and what lies between them is nobody's", () => {
  const program = parseSymbols(
    [
      '0000000000002000 0000000000000010 T second(int, char const*)',
      '0000000000001000 0000000000000020 t first',
      '0000000000003000 0000000000000008 D data',
      '                 U printf',
    ].join('\n'),
  );
  expect(findSymbol(program, 0x1000n)).toBe('first');
  expect(findSymbol(program, 0x101fn)).toBe('first');
  expect(findSymbol(program, 0x1020n)).toBeUndefined();
  expect(findSymbol(program, 0x2004n)).toBe('second(int, char const*)');
  expect(findSymbol(program, 0xfffn)).toBeUndefined();
  const kernel = parseSymbols('ffffffff81000000 T _text\nffffffff81000040 t entry\t[module]\n');
  expect(findSymbol(kernel, 0xffffffff81000100n)).toBe('entry');
});

const NAMES = new Map([
  [1n, { file: 'kernel', name: 'entry' }],
  [2n, { file: 'mariadbd', name: 'parse' }],
  [3n, { file: 'mariadbd', name: 'parse' }],
  [4n, { file: 'other programs', name: '' }],
]);
const counted = (...counts: number[]) =>
  namedInstructions(
    new Map(counts.map((count, index) => [BigInt(index + 1), count])),
    { name: (address) => NAMES.get(address)! },
    10,
  );
const cells = (text: string) => text.split('\n').map((line) => line.trim().split(/ {2,}/));

test('a profile adds up by file and by function, the largest first', () => {
  const lines = cells(renderProfiles([{ engine: 'vamos', ...counted(100, 250, 50, 600) }], 2));
  expect(lines).toEqual([
    ['vamos'],
    ['all', '100'],
    ['other programs', '60'],
    ['mariadbd', '30'],
    ['kernel', '10'],
    [''],
    ['vamos'],
    ['other programs', '60'],
    ['mariadbd parse', '30'],
  ]);
});

test('profiles of two engines are told by what they differ in', () => {
  const innodb = { engine: 'innodb' as const, ...counted(100, 900, 0, 600) };
  const vamos = { engine: 'vamos' as const, ...counted(300, 600) };
  expect(cells(renderProfiles([innodb, vamos], 2)).slice(-3)).toEqual([
    ['innodb', 'vamos', 'difference'],
    ['other programs', '60', '0', '-60'],
    ['mariadbd parse', '90', '60', '-30'],
  ]);
});
