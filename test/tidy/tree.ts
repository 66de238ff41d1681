/** Reads the tree's files, and what each of them imports. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../src/native.js';

/** Returns the files that git tracks and those that are new, relative to the root. */
export function filesOfTree(): string[] {
  const output = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: packageRoot,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  return output
    .trim()
    .split('\n')
    .filter((file) => existsSync(path.join(packageRoot, file)));
}

export const textOf = (file: string): string => readFileSync(path.join(packageRoot, file), 'utf8');

export interface Import {
  from: string;
  to: string;
}

/**
 * Returns the imports of TypeScript files, and the includes of C++ files, of files of the tree. Generated
 * files are left out.
 */
export function importsOf(files: readonly string[]): Import[] {
  const known = new Set(files);
  return files.flatMap((from) => {
    const found = from.endsWith('.ts') ? importedByTypeScript(from) : includedByCpp(from, known);
    return found.filter((to) => known.has(to)).map((to) => ({ from, to }));
  });
}

function importedByTypeScript(file: string): string[] {
  const specifiers = textOf(file).matchAll(/(?:\bfrom|\bimport\(|\bimport)\s*'(\.{1,2}\/[^']+)\.js'/g);
  return [...specifiers].map(([, specifier]) =>
    path.normalize(path.join(path.dirname(file), `${specifier}.ts`)),
  );
}

function includedByCpp(file: string, known: ReadonlySet<string>): string[] {
  if (!/\.(cpp|hpp)$/.test(file)) return [];
  const includes = textOf(file).matchAll(/^#include "([^"]+)"/gm);
  return [...includes].map(([, name]) => {
    const places = [path.join(path.dirname(file), name!), `native/${name}`, `guest/${name}`];
    return places.map((place) => path.normalize(place)).find((place) => known.has(place)) ?? name!;
  });
}
