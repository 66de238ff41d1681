import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { VamosError } from './protocol/errors.js';

/** The folder of the package: the one with package.json above this file, compiled or not. */
export const packageRoot = findPackageRoot(import.meta.dirname);

function findPackageRoot(folder: string): string {
  return existsSync(path.join(folder, 'package.json')) ? folder : findPackageRoot(path.dirname(folder));
}

export function packageVersion(): string {
  const text = readFileSync(path.join(packageRoot, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The files of the native build. */
export type NativeFile = 'vamos_channel.node' | 'vamos_store.node' | 'vamos_instructions.so';

/** Returns the path of a native file: the one that was built here, else the prebuilt one that the package brings. */
export function nativeFile(name: NativeFile): string {
  const built = path.join(packageRoot, 'build/native', name);
  const prebuilt = path.join(packageRoot, 'prebuilds', `${process.platform}-${process.arch}`, name);
  return !existsSync(built) && existsSync(prebuilt) ? prebuilt : built;
}

/**
 * Loads one of the two native binaries.
 * @throws VamosError INTERNAL, saying how to build it
 */
export function loadNative(name: 'vamos_channel' | 'vamos_store'): unknown {
  const file = nativeFile(`${name}.node`);
  try {
    return createRequire(import.meta.url)(file) as unknown;
  } catch (cause) {
    const hint = existsSync(file)
      ? `it does not load here (${(cause as Error).message})`
      : 'it is not built: run `npm run build:native` in the package';
    throw new VamosError('INTERNAL', `native part ${file}: ${hint}`, { cause });
  }
}
