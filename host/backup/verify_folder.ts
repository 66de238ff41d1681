import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { loadNative } from '../../src/native.js';
import { VamosError } from '../../src/protocol/errors.js';
import type { NativeStoreModule, VerifyTotals } from '../modules/tables/binding.js';
import { native, Operations } from '../modules/tables/operations.js';
import {
  verifyStore,
  type Finding,
  type StoreReport,
  type VerifyProgress,
} from '../modules/tables/verify.js';
import { checkEntry, takeContent } from './content.js';
import { Copier } from './copier.js';
import { MANIFEST_NAME, readManifest, type Manifest } from './manifest.js';
import { Tree } from './native_files.js';

export interface FolderReport {
  what: 'root' | 'checkpoint';
  path: string;
  isSound: boolean;
  startedAt: string;
  tookMs: number;
  /** Bytes that were read, of files as a whole and of what is in them. */
  bytes: number;
  tables: number;
  totals?: VerifyTotals;
  /** Files beneath `files/`. A root has no checksums of them, so this says only that they could be read. */
  files: { files: number; bytes: number };
  findings: Finding[];
  findingCount: number;
}

export interface VerifyFolderOptions {
  bytesPerSecond?: number | undefined;
  signal: AbortSignal;
  onProgress?: (progress: VerifyProgress) => void;
}

const BLOCK_CACHE_BYTES = 32 * 1024 * 1024;
/** Failures to open a store that say that it is damaged; others say that it can't be verified. */
const DAMAGE = new Set(['CORRUPTION', 'STORAGE_FAILED', 'UNKNOWN_FORMAT']);

/**
 * Reads all of a root or a checkpoint that nothing serves, and changes nothing in it.
 * @throws VamosError BAD_REQUEST: the folder is neither; ROOT_IN_USE; other failures that keep it from being
 * read
 */
export async function verifyFolder(folder: string, options: VerifyFolderOptions): Promise<FolderReport> {
  const startedAt = new Date();
  const isCheckpoint = existsSync(path.join(folder, MANIFEST_NAME));
  if (!isCheckpoint && !existsSync(path.join(folder, 'tables'))) {
    throw new VamosError(
      'BAD_REQUEST',
      `${folder} is neither a root nor a checkpoint: it has neither tables/ nor ${MANIFEST_NAME}`,
    );
  }
  const run = new FolderVerification(folder, options);
  if (isCheckpoint) await run.checkpoint();
  else await run.root();
  return {
    what: isCheckpoint ? 'checkpoint' : 'root',
    path: folder,
    isSound: run.findings.length === 0,
    startedAt: startedAt.toISOString(),
    tookMs: Date.now() - startedAt.getTime(),
    bytes: run.bytes,
    tables: run.store?.tables ?? 0,
    ...(run.store && { totals: run.store.totals }),
    files: run.files,
    findings: run.findings,
    findingCount: run.findings.length + (run.store ? run.store.findingCount - run.store.findings.length : 0),
  };
}

class FolderVerification {
  readonly findings: Finding[] = [];
  readonly files = { files: 0, bytes: 0 };
  bytes = 0;
  store: StoreReport | undefined;
  readonly #copier: Copier;

  constructor(
    private readonly folder: string,
    private readonly options: VerifyFolderOptions,
  ) {
    this.#copier = new Copier(options.signal, (bytes) => {
      this.bytes += bytes;
      options.onProgress?.({ phase: 'files', bytesDone: this.bytes, findings: this.findings.length });
    });
  }

  async checkpoint(): Promise<void> {
    let manifest: Manifest;
    try {
      manifest = await readManifest(this.folder);
    } catch (error) {
      const failure = VamosError.from(error);
      if (failure.code !== 'CORRUPTION') throw failure;
      this.findings.push({ kind: 'file', text: failure.message });
      return;
    }
    const tree = new Tree(this.folder);
    await this.#copier.each(manifest.entries, async (entry) => {
      if (entry.kind !== 'file') return;
      if (entry.path.startsWith('files/')) this.#countFile(entry.bytes);
      await this.#note('file', () => checkEntry(tree, entry, this.#copier));
    });
    // Findings about rows and indexes would only follow from those.
    if (this.findings.length > 0) return;
    const isWhole = manifest.entries.every((entry) => entry.kind !== 'file' || !entry.parts);
    if (isWhole) await this.#tables(path.join(this.folder, 'tables'));
    else await this.#assembled(tree, manifest, (tables) => this.#tables(tables));
  }

  async root(): Promise<void> {
    await this.#tables(path.join(this.folder, 'tables'));
    const tree = new Tree(this.folder);
    if (existsSync(path.join(this.folder, 'files'))) await this.#readFiles(tree, Buffer.from('files'));
  }

  /** Puts logs that lie in parts together, in a folder that is removed afterwards. */
  async #assembled(tree: Tree, manifest: Manifest, use: (tables: string) => Promise<void>): Promise<void> {
    const temporary = await mkdtemp(path.join(os.tmpdir(), 'vamos-verify-'));
    try {
      await mkdir(path.join(temporary, 'tables'));
      await this.#copier.each(manifest.entries, async (entry) => {
        if (entry.kind !== 'file' || !entry.path.startsWith('tables/')) return;
        const target = path.join(temporary, entry.path);
        if (entry.parts) await takeContent(tree, entry, Buffer.from(target), 0o600, this.#copier, false);
        else await symlink(path.resolve(this.folder, entry.path), target);
      });
      await use(path.join(temporary, 'tables'));
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  async #tables(tables: string): Promise<void> {
    try {
      this.store = await verifyTables(tables, {
        ...this.options,
        onProgress: (progress) =>
          this.options.onProgress?.({ ...progress, bytesDone: this.bytes + progress.bytesDone }),
      });
    } catch (error) {
      const failure = VamosError.from(error);
      if (!DAMAGE.has(failure.code)) throw failure;
      this.findings.push({ kind: 'store', text: `it does not open: ${failure.message}` });
      return;
    }
    this.bytes += this.store.bytes;
    this.findings.push(...this.store.findings);
  }

  async #readFiles(tree: Tree, folder: Buffer): Promise<void> {
    const { names } = await tree.list(folder);
    for (const { name, type } of names) {
      const file = Buffer.concat([folder, Buffer.from('/'), name]);
      if (type === 4) await this.#readFiles(tree, file);
      if (type !== 8) continue;
      await this.#note('file', () =>
        tree.use(file, async (opened) => {
          const { bytes } = await this.#copier.checksum(opened);
          this.#copier.countRead(bytes);
          this.#countFile(bytes);
        }),
      );
    }
  }

  #countFile(bytes: number): void {
    this.files.files++;
    this.files.bytes += bytes;
  }

  async #note(kind: string, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#copier.check();
      this.findings.push({ kind, text: VamosError.from(error).message });
    }
  }
}

/** Verifies the store in this folder, which no other process has open. */
async function verifyTables(tables: string, options: VerifyFolderOptions): Promise<StoreReport> {
  let failure: VamosError | undefined;
  const operations = new Operations(
    () => undefined,
    (error) => (failure = error),
  );
  const addon = loadNative('vamos_store') as NativeStoreModule;
  const store = native(() =>
    addon.openStore(
      {
        path: tables,
        blockCacheBytes: BLOCK_CACHE_BYTES,
        maxTransactionBytes: 2 ** 30,
        threads: 1,
        readOnly: true,
      },
      (events) => operations.onEvents(events),
    ),
  );
  try {
    return await verifyStore(store, (started) => operations.settle(started), false, options);
  } catch (error) {
    throw failure ?? error;
  } finally {
    await store.close();
  }
}
