import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { nativeFile, packageRoot } from '../../src/native.js';
import { cached, hashFile } from './cache.js';
import { makeDisk } from './disk.js';
import { VmError } from './errors.js';
import { runTool } from './tools.js';

/** Dependencies of package.json that only building or the host's command line needs. */
const NOT_IN_GUEST = new Set(['node-addon-api', 'listr2']);
/** Libraries that come with the C library, or that Node has loaded anyway. */
const GUEST_LIBRARIES = /^(linux-vdso|ld-linux|libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+)[.-]/;

export interface PayloadOptions {
  /**
   * Includes the store (and RocksDB's libraries), for unsplit runs in the guest. A split guest needs none.
   */
  store?: boolean;
  signal?: AbortSignal;
}

/** The project's program as a disk that guests mount read-only at /opt/vamos. */
export interface Payload {
  disk: string;
}

/**
 * Builds the disk with dist/, the native parts and the npm packages that they need. It is cached by content.
 * @throws VmError BAD_OPTION if the project is not built, TOOL_MISSING, TOOL_FAILED
 */
export async function buildPayload(options: PayloadOptions = {}): Promise<Payload> {
  const files = await listFiles(options.store ?? false);
  const hash = createHash('sha256');
  for (const [target, source] of files) hash.update(`${target}\0${await hashFile(source)}\n`);
  const key = hash.digest('hex').slice(0, 20);
  const signal = options.signal ? { signal: options.signal } : {};
  const folder = await cached('payload', key, { keep: 8 }, async (folder) => {
    const tree = path.join(folder, 'tree');
    for (const [target, source] of files) {
      const file = path.join(tree, target);
      await mkdir(path.dirname(file), { recursive: true });
      await copyFile(source, file);
    }
    await makeDisk(path.join(folder, 'payload.ext4'), { from: tree, journal: false, ...signal });
    await rm(tree, { recursive: true });
  });
  return { disk: path.join(folder, 'payload.ext4') };
}

/** Returns each file's path in the payload and its path here, sorted. */
async function listFiles(withStore: boolean): Promise<[string, string][]> {
  const files = new Map<string, string>();
  const native = (['vamos_channel.node', 'vamos_store.node'] as const).slice(0, withStore ? 2 : 1);
  for (const needed of [path.join(packageRoot, 'dist/host/vm/agent/agent.js'), ...native.map(nativeFile)]) {
    if (!existsSync(needed)) {
      throw new VmError('BAD_OPTION', `${needed} is missing: run 'npm run build' in ${packageRoot}`);
    }
  }
  await addFolder(files, 'dist', path.join(packageRoot, 'dist'));
  files.set('package.json', path.join(packageRoot, 'package.json'));
  for (const name of native) files.set(`build/native/${name}`, nativeFile(name));
  if (withStore) await addLibraries(files, nativeFile('vamos_store.node'));
  const { dependencies } = await manifest(packageRoot);
  for (const name of Object.keys(dependencies ?? {})) {
    if (!NOT_IN_GUEST.has(name)) await addPackage(files, name, packageRoot);
  }
  return [...files].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function addFolder(files: Map<string, string>, target: string, folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const source = path.join(entry.parentPath, entry.name);
    const relative = path.relative(folder, source);
    const isSkipped = /(^|\/)node_modules\/|\.(map|d\.ts|d\.[cm]ts|md|tsbuildinfo)$/.test(relative);
    if (entry.isFile() && !isSkipped) files.set(path.join(target, relative), source);
  }
}

/** Adds a package and what it depends on, each from where Node resolves it. */
async function addPackage(files: Map<string, string>, name: string, from: string): Promise<void> {
  for (let folder = from; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', name);
    if (existsSync(path.join(candidate, 'package.json'))) {
      const target = path.join(
        'node_modules',
        path.relative(path.join(packageRoot, 'node_modules'), candidate),
      );
      const inside = target.startsWith('..') ? path.join('node_modules', name) : target;
      if (files.has(path.join(inside, 'package.json'))) return;
      await addFolder(files, inside, candidate);
      const { dependencies } = await manifest(candidate);
      for (const needed of Object.keys(dependencies ?? {})) await addPackage(files, needed, candidate);
      return;
    }
    if (folder === path.dirname(folder)) {
      throw new VmError('BAD_OPTION', `the npm package ${name} is not installed: run 'npm install'`);
    }
  }
}

async function manifest(folder: string): Promise<{ dependencies?: Record<string, string> }> {
  return JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
}

/** Adds the shared libraries of a native part, in lib/. */
async function addLibraries(files: Map<string, string>, binary: string): Promise<void> {
  for (const line of (await runTool('ldd', [binary])).split('\n')) {
    const [, name, file] = /^\s*(\S+) => (\S+)/.exec(line) ?? [];
    if (name === undefined || GUEST_LIBRARIES.test(name)) continue;
    if (file === undefined || !file.startsWith('/')) {
      throw new VmError('BAD_OPTION', `${path.basename(binary)} needs ${name}, which is not installed`);
    }
    files.set(path.join('lib', name), await realpath(file));
  }
}
