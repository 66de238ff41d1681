import { expect, test } from 'vitest';
import { renderProfile } from '../../bench/profile/run.js';
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

test('a profile adds up by file and by function, the largest first', () => {
  const names = new Map([
    [1n, 'kernel entry'],
    [2n, 'mariadbd parse'],
    [3n, 'mariadbd parse'],
    [4n, 'other programs'],
  ]);
  const counted = new Map([
    [1n, 100],
    [2n, 250],
    [3n, 50],
    [4n, 600],
  ]);
  const text = renderProfile(counted, { name: (address) => names.get(address)! }, 10, 2);
  const lines = text.split('\n').map((line) => line.trim().split(/ {2,}/));
  expect(lines.slice(1, 5)).toEqual([
    ['all', '100', '100.0 %'],
    ['other programs', '60.0', '60.0 %'],
    ['mariadbd', '30.0', '30.0 %'],
    ['kernel', '10.0', '10.0 %'],
  ]);
  expect(lines.slice(7)).toEqual([
    ['other programs', '60.0', '60.0 %'],
    ['mariadbd parse', '30.0', '30.0 %'],
  ]);
});
