/** The words and the shape of our own files: plain comments, and lines and files of a size that one can read. */
import { expect, test } from 'vitest';
import { codeWithoutLiterals } from './literals.js';
import { filesOfTree, textOf } from './tree.js';

/** Rooms whose words are still to be mended. This list may only get shorter. */
const ROOMS_TO_MEND = ['guest/mariadb/', 'native/engine/', 'native/store/', 'src/protocol/'];
/** Tests that expect a message of one of these rooms. */
const FILES_TO_MEND = ['native/test/store/filter_test.cpp'];

/** It stood for both "immediately" and "simultaneously". It may be broken over two lines of a comment. */
const AMBIGUOUS = /\bat(?:\s|\/\/|\*|#)+once\b/gi;
/** Beginnings of comments that only their author can complete. */
const FRAGMENT =
  /(?:^\s*\/\/|\/\*\*?|^\s*\*) (?:Of|Those|So much|So many) .*|\S +\/\/ (?:[Oo]f|[Tt]hose|[Ss]o much|[Ss]o many) .*/gm;

/** prettier's printWidth and clang-format's ColumnLimit. */
const WIDTH = 110;
const isLong = new RegExp(`^.{${WIDTH + 1}}`, 'm');

const MOST_LINES = 500;
/** Longer files, each with the reason why it is not divided. */
const LONG_FILES: Record<string, string> = {
  'guest/mariadb/format/row_format.cpp': 'the coding of one kind of column after another',
  'guest/mariadb/session/commit.cpp': 'the steps of a commit, which belong together',
  'guest/mariadb/session/session.cpp': 'one class',
  'host/modules/tables/catalogue.ts': 'one class, and the coding of its records',
  'native/addon/store/store_binding.cpp': 'the binding of one class',
  'native/store/store.cpp': 'one class',
  'native/store/upkeep/verify.cpp': 'the checks of a verification, one after another',
  'native/test/client/client_loss_test.cpp': 'cases of one concern',
  'src/rpc/host/session.ts': 'one class',
  'test/mariadb/differential/pushdown/statements.ts': 'one kind of statement after another',
  'test/mariadb/differential/statements.ts': 'one kind of statement after another',
  'test/mariadb/sql/direct_changes.test.ts': 'cases of one concern',
};

const files = filesOfTree();
const code = files.filter((file) => /\.(ts|mjs|js|cpp|hpp|c|h)$/.test(file));
const isFinished = (file: string): boolean =>
  !ROOMS_TO_MEND.some((room) => file.startsWith(room)) && !FILES_TO_MEND.includes(file);

/** Each place where a file's text matches, as `FILE:LINE: TEXT`. */
function findAll(file: string, pattern: RegExp): string[] {
  const text = textOf(file);
  return [...text.matchAll(pattern)].map((found) => {
    const line = text.slice(0, found.index).split('\n').length;
    return `${file}:${line}: ${found[0].trim()}`;
  });
}

test('code and documents say immediately or simultaneously', () => {
  const written = files.filter((file) => code.includes(file) || /\.(md|proto|yaml)$/.test(file));
  expect(written.length).toBeGreaterThan(500);
  expect(written.filter(isFinished).flatMap((file) => findAll(file, AMBIGUOUS))).toEqual([]);
});

test('no comment begins with a fragment', () => {
  expect(code.filter(isFinished).flatMap((file) => findAll(file, FRAGMENT))).toEqual([]);
});

test('the list of rooms with words to mend holds no room that is finished', () => {
  const isToMend = (file: string): boolean =>
    findAll(file, AMBIGUOUS).length > 0 || (code.includes(file) && findAll(file, FRAGMENT).length > 0);
  const finished = [...ROOMS_TO_MEND, ...FILES_TO_MEND].filter(
    (room) => !files.some((file) => file.startsWith(room) && isToMend(file)),
  );
  expect(finished).toEqual([]);
});

test(`no line of code is longer than ${WIDTH} characters, strings and comments aside`, () => {
  const long = code.flatMap((file) => {
    const text = textOf(file);
    if (!isLong.test(text)) return [];
    const lines = codeWithoutLiterals(file, text).split('\n');
    return lines.flatMap((line, at) => (isLong.test(line) ? [`${file}:${at + 1}: ${line.trim()}`] : []));
  });
  expect(long).toEqual([]);
});

test(`only the files that are named here have more than ${MOST_LINES} lines`, () => {
  const long = code.filter((file) => textOf(file).trimEnd().split('\n').length > MOST_LINES);
  expect(long.sort()).toEqual(Object.keys(LONG_FILES).sort());
});
