import {
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { VamosError } from '../../src/protocol/errors.js';
import type { NativeFile } from '../modules/files/binding.js';
import type { HeldFiles } from '../modules/tables/binding.js';
import { Copier, protect, type Progress } from './copier.js';
import {
  decodePath,
  encodePath,
  findBase,
  INCOMPLETE,
  makeManifest,
  partPath,
  readManifest,
  writeManifest,
  type Entry,
  type FileEntry,
  type Manifest,
} from './manifest.js';
import { nativeFiles, storageError, Tree, type FileFacts } from './native_files.js';

/** Files of a store that stay as they are until they are released. */
export interface Hold {
  readonly files: HeldFiles;
  /** Aborted when the files no longer stay, because the worker ended. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

export interface CheckpointOptions {
  guest: string;
  /** The guest's root. */
  root: string;
  /** The folder to make; its parent must exist. */
  target: string;
  /**
   * A checkpoint with which files are shared that did not change. Default: the newest one beside the target.
   */
  base?: string;
  /** Shares no file with the root, even where it could. */
  copy?: boolean;
  vamos: string;
  hold(): Promise<Hold>;
  signal: AbortSignal;
  onProgress?(progress: Progress): void;
}

export interface CheckpointSummary {
  path: string;
  guest: string;
  madeAt: string;
  /** The checkpoint that files are shared with. */
  base?: string;
  files: number;
  bytes: number;
  /** Files and bytes that are shared with the root or the base. */
  linked: { files: number; bytes: number };
  copied: { files: number; bytes: number };
  /** Names of files beneath `files/` that were written to while they were copied; as many as fit. */
  changedWhileCopied: string[];
  /** How many entries beneath `files/` are neither files, directories nor symbolic links. */
  skipped: number;
}

/**
 * A part of a log is shared if it has at least this many bytes; smaller parts are copied again, so that there
 * are not too many.
 */
const LEAST_PART_BYTES = 64 * 1024;
const COPY_TRIES = 3;
/**
 * A file that was changed less than this before it was copied may have changed after the copy, too, with the
 * same time on the file system's clock.
 */
const CLOCK_STEP_MS = 2000;
const MAX_NAMES = 100;
/** Types of directory entries (dirent.h). */
const [DT_DIRECTORY, DT_FILE, DT_LINK] = [4, 8, 10];

/**
 * Makes a folder with a guest's files and its tables as of one moment, while its worker goes on. The folder
 * appears when it is whole and on the disk, or not at all.
 * @throws VamosError BAD_REQUEST; CORRUPTION: a file of the root is not what the store wrote; DISK_FULL,
 * STORAGE_FAILED; HOST_STOPPING: the worker ended meanwhile
 */
export async function makeCheckpoint(options: CheckpointOptions): Promise<CheckpointSummary> {
  const target = await resolveTarget(options.target);
  options = { ...options, target };
  await checkTarget(options);
  const incomplete = `${target}.${INCOMPLETE}`;
  try {
    // A daemon that was killed may have left an unfinished checkpoint.
    await rm(incomplete, { recursive: true, force: true });
    await mkdir(incomplete, { mode: 0o700 });
    const summary = await new Making(options, incomplete).run();
    await rename(incomplete, target);
    await syncFolder(path.dirname(target));
    return summary;
  } catch (error) {
    await rm(incomplete, { recursive: true, force: true });
    throw storageError(error, target);
  }
}

/** Returns the path without symbolic links at which the folder would be. */
async function resolveTarget(target: string): Promise<string> {
  const parent = await realpath(path.dirname(target)).catch(() => {
    throw refuse(`${path.dirname(target)}: no such folder; make it first`);
  });
  return path.join(parent, path.basename(target));
}

async function checkTarget({ root: given, target, base }: CheckpointOptions): Promise<void> {
  const root = await realpath(given);
  if (target.endsWith(`.${INCOMPLETE}`)) throw refuse(`${target}: the ending .${INCOMPLETE} is VAMOS's own`);
  for (const [inner, outer] of [
    [target, root],
    [root, target],
  ] as const) {
    const relative = path.relative(outer, inner);
    if (relative === '' || !/^\.\.($|\/)/.test(relative)) {
      throw refuse(`${target}: a checkpoint lies neither in the guest's root ${root} nor around it`);
    }
  }
  const found = await readdir(target).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? [] : [error.message],
  );
  if (found.length > 0) throw refuse(`${target} is there already: name a folder that is not there`);
  if (base !== undefined) await readManifest(base);
}

/** An older checkpoint of the same store. */
class Base {
  readonly files: ReadonlyMap<string, FileEntry>;
  readonly #tree: Tree;

  constructor(
    readonly folder: string,
    manifest: Manifest,
  ) {
    this.files = new Map(
      manifest.entries.flatMap((entry) => (entry.kind === 'file' ? [[entry.path, entry] as const] : [])),
    );
    this.#tree = new Tree(folder);
  }

  /**
   * Shares a file of this checkpoint, or a part of it.
   * @returns false where that is impossible
   */
  async link(name: string, bytes: number, target: Buffer, copier: Copier): Promise<boolean> {
    try {
      return await this.#tree.use(
        decodePath(name),
        async (file, facts) => facts.bytes === bytes && (await copier.link(file, bytes, target)),
      );
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }
}

class Making {
  readonly #entries: Entry[] = [];
  readonly #changed: string[] = [];
  #skipped = 0;
  #bytesDone = 0;
  #bytesTotal: number | undefined;
  #phase = 'tables';

  constructor(
    private readonly options: CheckpointOptions,
    private readonly folder: string,
  ) {}

  async run(): Promise<CheckpointSummary> {
    const { root, target, signal, guest, vamos } = this.options;
    const tree = new Tree(root);
    const { uid, gid } = await stat(root);
    const hold = await this.options.hold();
    const madeAt = new Date().toISOString();
    const { identity, sequence, rocksdb } = hold.files;
    const copier = new Copier(AbortSignal.any([signal, hold.lost]), (bytes) => this.#count(bytes));
    let base: Base | undefined;
    try {
      base = await this.#findBase(identity);
      await this.#copyTables(tree, hold.files, copier, base);
      // The files were held while they were linked and copied until now.
      copier.check();
    } finally {
      await hold.release();
    }
    // Files come after the tables: what a file held when a commit referred to it is there.
    this.#phase = 'files';
    this.#bytesTotal = undefined;
    const files = new Copier(signal, (bytes) => this.#count(bytes));
    await this.#copyFiles(tree, files, base);
    files.check();
    await nativeFiles().syncFileSystem(Buffer.from(this.folder));
    const entries = this.#entries;
    await writeManifest(
      this.folder,
      makeManifest({ guest, madeAt, vamos, rocksdb, identity, sequence, owner: { uid, gid }, entries }),
    );
    await syncFolder(this.folder);
    const regular = entries.filter((entry) => entry.kind === 'file');
    return {
      path: target,
      guest,
      madeAt,
      ...(base && { base: base.folder }),
      files: regular.length,
      bytes: regular.reduce((sum, { bytes }) => sum + bytes, 0),
      linked: sum(copier.linked, files.linked),
      copied: sum(copier.copied, files.copied),
      changedWhileCopied: this.#changed,
      skipped: this.#skipped,
    };
  }

  #count(bytes: number): void {
    this.#bytesDone += bytes;
    this.options.onProgress?.({
      phase: this.#phase,
      bytesDone: this.#bytesDone,
      ...(this.#bytesTotal !== undefined && { bytesTotal: this.#bytesTotal }),
    });
  }

  async #findBase(identity: string): Promise<Base | undefined> {
    const { base, target } = this.options;
    if (base === undefined) {
      const found = await findBase(target, identity);
      return found && new Base(found.folder, found.manifest);
    }
    const manifest = await readManifest(base);
    if (manifest.identity === identity) return new Base(base, manifest);
    throw refuse(`${base} is a checkpoint of another root: nothing of it can be shared`);
  }

  async #copyTables(tree: Tree, held: HeldFiles, copier: Copier, base: Base | undefined): Promise<void> {
    await mkdir(path.join(this.folder, 'tables'), { mode: 0o700 });
    this.#entries.push({ kind: 'directory', path: 'tables', mode: 0o700 });
    this.#bytesTotal = held.files.reduce((sum, { bytes }) => sum + bytes, 0);
    await copier.each(held.files, async (file) => {
      const entry = file.name.endsWith('.sst')
        ? await this.#takeTable(tree, file, copier, base)
        : await this.#takeLog(tree, file, copier, base);
      this.#entries.push(entry);
    });
    const manifest = held.files.find(({ name }) => name.startsWith('MANIFEST-'));
    if (!manifest) throw new VamosError('INTERNAL', 'the store named no manifest');
    const current = Buffer.from(`${manifest.name}\n`);
    await writeFile(path.join(this.folder, 'tables/CURRENT'), current, { mode: 0o644, flag: 'wx' });
    await new Tree(this.folder).use(Buffer.from('tables/CURRENT'), async (file) => {
      this.#entries.push({
        kind: 'file',
        path: 'tables/CURRENT',
        ...(await copier.checksum(file)),
        mode: 0o644,
      });
    });
  }

  /** Takes a table file. It never changes, so it is shared where that is possible. */
  async #takeTable(
    tree: Tree,
    { name, bytes, crc32c }: HeldFiles['files'][number],
    copier: Copier,
    base: Base | undefined,
  ): Promise<FileEntry> {
    const entry = { kind: 'file', path: `tables/${name}`, bytes, mode: 0o444 } as const;
    const target = path.join(this.folder, entry.path);
    return tree.use(Buffer.from(entry.path), async (file, facts) => {
      if (facts.bytes !== bytes) throw changed(`${tree.folder}/${entry.path}`);
      crc32c ??= (await copier.checksum(file)).crc32c;
      const older = base?.files.get(entry.path);
      if (base && older?.bytes === bytes && older.crc32c === crc32c) {
        if (await base.link(older.path, bytes, Buffer.from(target), copier)) return { ...entry, crc32c };
      }
      if (!this.options.copy && (await copier.link(file, bytes, Buffer.from(target)))) {
        await protect(target);
        return { ...entry, crc32c };
      }
      const content = await copier.copy(file, undefined, Buffer.from(target), entry.mode);
      if (content.bytes !== bytes || content.crc32c !== crc32c) {
        throw changed(`${tree.folder}/${entry.path}`);
      }
      return { ...entry, crc32c };
    });
  }

  /**
   * Takes a log or the manifest, which only grow: only the bytes that were there at that moment. What an
   * older checkpoint has of them is shared.
   */
  async #takeLog(
    tree: Tree,
    { name, bytes }: HeldFiles['files'][number],
    copier: Copier,
    base: Base | undefined,
  ): Promise<FileEntry> {
    const entry = { kind: 'file', path: `tables/${name}`, bytes, mode: 0o644 } as const;
    return tree.use(Buffer.from(entry.path), async (file) => {
      const whole = await copier.checksum(file, bytes);
      if (whole.bytes !== bytes) throw changed(`${tree.folder}/${entry.path}`);
      const parts = base ? await this.#shareParts(entry.path, bytes, file, copier, base) : [];
      const offset = parts.reduce((sum, part) => sum + part.bytes, 0);
      const isAlone = parts.length === 0;
      if (offset < bytes || isAlone) {
        const target = path.join(this.folder, isAlone ? entry.path : partPath(entry.path, parts.length));
        const part = { offset, bytes: bytes - offset };
        const content = await copier.copy(file, part, Buffer.from(target), entry.mode);
        if (content.bytes !== part.bytes) throw changed(`${tree.folder}/${entry.path}`);
        parts.push(content);
      }
      return { ...entry, crc32c: whole.crc32c, ...(!isAlone && { parts }) };
    });
  }

  /**
   * Shares the parts of a growing file that the base has.
   * @returns them, as far as they are worth a file of their own
   */
  async #shareParts(
    name: string,
    bytes: number,
    file: NativeFile,
    copier: Copier,
    base: Base,
  ): Promise<{ bytes: number; crc32c: string }[]> {
    const older = base.files.get(name);
    if (!older || older.bytes > bytes || older.bytes < LEAST_PART_BYTES) return [];
    if ((await copier.checksum(file, older.bytes)).crc32c !== older.crc32c) return [];
    const parts = older.parts ?? [{ bytes: older.bytes, crc32c: older.crc32c }];
    const shared: typeof parts = [];
    for (const [number, part] of parts.entries()) {
      // A short last part is copied anew, together with what follows.
      if (number > 0 && part.bytes < LEAST_PART_BYTES) break;
      const source = older.parts ? partPath(name, number) : name;
      const target = path.join(this.folder, partPath(name, number));
      if (!(await base.link(source, part.bytes, Buffer.from(target), copier))) break;
      shared.push(part);
    }
    return shared;
  }

  async #copyFiles(tree: Tree, copier: Copier, base: Base | undefined): Promise<void> {
    const folders: Buffer[] = [Buffer.from('files')];
    for (let folder = folders.pop(); folder; folder = folders.pop()) {
      copier.check();
      const within = folder;
      let list: Awaited<ReturnType<Tree['list']>>;
      try {
        list = await tree.list(within);
      } catch (error) {
        // It was removed meanwhile, or the guest has no files at all.
        if (isAbsent(error)) continue;
        throw error;
      }
      await mkdir(this.#targetOf(within), { mode: 0o700 });
      this.#entries.push({ kind: 'directory', path: encodePath(within), mode: list.mode });
      await copier.each(list.names, async ({ name, type }) => {
        const file = Buffer.concat([within, Buffer.from('/'), name]);
        if (type === DT_DIRECTORY) folders.push(file);
        else if (type === DT_FILE) await this.#takeFile(tree, file, copier, base);
        else if (type === DT_LINK) await this.#copyLink(tree, file);
        else this.#skipped++;
      });
    }
  }

  async #takeFile(tree: Tree, name: Buffer, copier: Copier, base: Base | undefined): Promise<void> {
    const text = encodePath(name);
    const target = this.#targetOf(name);
    const before = base?.files.get(text);
    for (let tries = 1; ; tries++) {
      try {
        const entry = await tree.use(name, async (file, facts) => {
          if (base && before && isSame(before, facts)) {
            if (await base.link(before.path, before.bytes, target, copier)) return before;
          }
          return this.#copyFile(tree, file, facts, text, copier);
        });
        if (entry.changedWhileCopied && tries < COPY_TRIES) {
          await rm(target);
          continue;
        }
        if (entry.changedWhileCopied && this.#changed.length < MAX_NAMES) this.#changed.push(text);
        this.#entries.push(entry);
      } catch (error) {
        // It was removed meanwhile.
        if (!isAbsent(error)) throw error;
      }
      return;
    }
  }

  async #copyFile(
    tree: Tree,
    file: NativeFile,
    facts: FileFacts,
    name: string,
    copier: Copier,
  ): Promise<FileEntry> {
    const startedMs = Date.now();
    const { device, inode, changed, mode } = facts;
    const content = await copier.copy(file, undefined, this.#targetOf(decodePath(name)), mode);
    const isStable = (await tree.factsNow(file)).changed === changed;
    const isSettled = isStable && facts.changedMs + CLOCK_STEP_MS < startedMs;
    return {
      kind: 'file',
      path: name,
      bytes: content.bytes,
      crc32c: content.crc32c,
      mode,
      ...(isSettled && { source: { device, inode, changed } }),
      ...(!isStable && { changedWhileCopied: true }),
    };
  }

  async #copyLink(tree: Tree, name: Buffer): Promise<void> {
    const source = Buffer.concat([Buffer.from(`${tree.folder}/`), name]);
    const target = await readlink(source, { encoding: 'buffer' }).catch(() => undefined);
    if (!target) return;
    await symlink(target, this.#targetOf(name));
    this.#entries.push({ kind: 'link', path: encodePath(name), target: encodePath(target) });
  }

  #targetOf(name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`${this.folder}/`), name]);
  }
}

function isSame({ bytes, source }: FileEntry, facts: FileFacts): boolean {
  return (
    source !== undefined &&
    bytes === facts.bytes &&
    source.device === facts.device &&
    source.inode === facts.inode &&
    source.changed === facts.changed
  );
}

/** Says whether an error means that a file was not there. */
function isAbsent(error: unknown): boolean {
  return Math.abs(((error as VamosError).cause as NodeJS.ErrnoException | undefined)?.errno ?? 0) === 2;
}

function refuse(message: string): VamosError {
  return new VamosError('BAD_REQUEST', message);
}

function changed(file: string): VamosError {
  return new VamosError(
    'CORRUPTION',
    `${file} is not as the store wrote it: the disk or the root is damaged; \`vamos host verify\` tells more`,
  );
}

function sum(one: Copier['linked'], other: Copier['linked']): Copier['linked'] {
  return { files: one.files + other.files, bytes: one.bytes + other.bytes };
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
