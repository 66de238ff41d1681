import { readWindow } from '../../../src/protocol/batches.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { MODULES } from '../../../src/protocol/generated/methods.js';
import type { MetricsOf } from '../../../src/protocol/generated/metrics.js';
import { ColumnKind } from '../../../src/protocol/rows.js';
import type { VamosError } from '../../../src/protocol/errors.js';
import { loadNative } from '../../../src/native.js';
import type { HostModule } from '../../../src/rpc/contract.js';
import { makeFolder } from '../../make_folder.js';
import { defaultBlockCacheBytes } from './block_cache.js';
import {
  Ending,
  type HeldFiles,
  type NativeStore,
  type NativeStoreModule,
  type RepairReport,
  type StoreMessage,
} from './binding.js';
import { Catalogue } from './catalogue.js';
import type { HostTable } from './host_table.js';
import { Commits } from './commits.js';
import { handlers } from './handlers/index.js';
import { TablesHost, type TablesLimits } from './host.js';
import { checked, native, Operations } from './operations.js';
import { PreparedTransactions } from './prepared.js';
import { Scrub, type ScrubOptions } from './scrub.js';
import { TablesSession } from './session.js';
import { verifyStore, type StoreReport, type VerifyOptions } from './verify.js';

export interface TablesModuleOptions extends Partial<TablesLimits> {
  /** The store's own directory, which is made if it does not exist. */
  path: string;
  /** Default: depends on the machine's memory. */
  blockCacheBytes?: number;
  /** Memory for rows and index entries above the blocks. Default: 0, none are kept there. */
  cacheBytes?: number;
  maxTransactionBytes?: number;
  /** Threads for reads that miss the cache, for scans and for blobs. */
  threads?: number;
  /**
   * Called when the log could not be written: DISK_FULL or STORAGE_FAILED. Every later request fails, and
   * what became of commits under way is not known. It is called before any of these is answered, and must end
   * their sessions, so that their connectors come and ask once the root is open again.
   */
  onFailure?(error: VamosError): void;
  /** Called with the store's warnings and errors, also those of an opening that fails. */
  onMessage?(message: StoreMessage): void;
  /** Settings for verifying the store again and again; without them it is not verified. */
  scrub?: ScrubOptions;
}

/** The module, with what only the host's own side calls. */
export interface TablesModule extends HostModule {
  /**
   * Keeps the store's files as of one moment. They stay until releaseFiles, which must be called once for
   * each call.
   * @throws VamosError
   */
  holdFiles(): Promise<HeldFiles>;
  releaseFiles(): Promise<void>;
  /** Reads all that the store has, while it is used. @throws VamosError */
  verify(options: VerifyOptions): Promise<StoreReport>;
}

const MIB = 1024 * 1024;
const DEFAULT_LIMITS: TablesLimits = {
  lockTimeoutMs: 10_000,
  definitionTimeoutMs: 5_000,
  maxCursors: 1024,
  maxTransactions: 16_384,
  maxPendingBlobs: 16_384,
};

/**
 * Opens the module `tables` over one root.
 * @throws VamosError ROOT_IN_USE, UNKNOWN_FORMAT, CORRUPTION, DISK_FULL, STORAGE_FAILED
 */
export async function openTablesModule(options: TablesModuleOptions): Promise<TablesModule> {
  makeFolder(options.path);
  const addon = loadNative('vamos_store') as NativeStoreModule;
  let isOpen = false;
  let failure: VamosError | undefined;
  const operations = new Operations(
    (operation, code) => {
      store.cancel(operation, code);
    },
    (error) => {
      failure = error;
      if (isOpen) options.onFailure?.(error);
    },
  );
  const store = native(() =>
    addon.openStore(
      {
        path: options.path,
        blockCacheBytes: options.blockCacheBytes ?? defaultBlockCacheBytes(),
        cacheBytes: options.cacheBytes ?? 0,
        maxTransactionBytes: options.maxTransactionBytes ?? 256 * MIB,
        threads: options.threads ?? 4,
      },
      (events) => {
        operations.onEvents(events);
      },
      (messages) => {
        for (const message of messages) options.onMessage?.(message);
      },
    ),
  );
  const commits = new Commits(
    (ending, transactions, durability) => store.end(ending, transactions, durability),
    operations,
  );
  const prepared = new PreparedTransactions(store, commits);
  const catalogue = new Catalogue(store, operations, (table) => purge(store, operations, table));
  try {
    await catalogue.load();
    prepared.load(catalogue);
    if (failure) throw failure;
  } catch (error) {
    await store.close();
    throw failure ?? error;
  }
  isOpen = true;
  const limits = pickLimits(options);
  const host = new TablesHost(store, operations, commits, prepared, catalogue, limits);
  const verify = (options: VerifyOptions) =>
    verifyStore(store, (started) => operations.settle(started), true, options);
  const scrub =
    options.scrub &&
    new Scrub(store, options.scrub, verify, async (record) => {
      checked(await operations.settle(store.putRecords([record], false)));
    });
  await scrub?.start();
  return {
    ...MODULES.tables,
    openSession: ({ id }) => new TablesSession(host, Buffer.from(id, 'hex'), handlers),
    statistics: (): MetricsOf<'tables'> => ({
      ...host.counters,
      ...store.statistics(),
      ...scrub?.counters,
      transactionsPrepared: prepared.size,
      tables: catalogue.size,
    }),
    holdFiles: async () => {
      const { result } = checked(await operations.settle(native(() => store.holdFiles())));
      return JSON.parse(Buffer.from(result!).toString()) as HeldFiles;
    },
    releaseFiles: async () => {
      checked(await operations.settle(native(() => store.releaseFiles())));
    },
    verify,
    close: async () => {
      await scrub?.close();
      // What it keeps are counts for the next opening, which estimates them where there are none.
      if (!failure) await catalogue.close().catch(() => undefined);
      await store.close();
    },
  };
}

/**
 * Says what a store that is refused because of a damaged log has lost, and with `acceptLoss` ends its log there, so that it
 * opens again.
 * @throws VamosError ROOT_IN_USE, CORRUPTION where that can't help, DISK_FULL, STORAGE_FAILED
 */
export function repairTables(directory: string, acceptLoss: boolean): RepairReport {
  const addon = loadNative('vamos_store') as NativeStoreModule;
  return native(() => addon.repairStore(directory, acceptLoss));
}

function pickLimits(options: Partial<TablesLimits>): TablesLimits {
  const limits = { ...DEFAULT_LIMITS };
  for (const name of Object.keys(limits) as (keyof TablesLimits)[])
    limits[name] = options[name] ?? limits[name];
  return limits;
}

const PURGE_WINDOW_BYTES = 256 * 1024;

/** Removes the rows of a table that is no longer in the catalogue, and the blobs that they own. */
async function purge(store: NativeStore, operations: Operations, table: HostTable): Promise<void> {
  if (table.hasBlobs) await removeBlobs(store, operations, table);
  store.dropTable(table.storeTable);
}

async function removeBlobs(store: NativeStore, operations: Operations, table: HostTable): Promise<void> {
  const columns = table.definition.columns.flatMap(({ kind }, number) =>
    kind === ColumnKind.BLOB ? [number] : [],
  );
  const format = table.rowFormat.project(columns);
  const cursor = store.openCursor(0, {
    table: table.storeTable,
    index: 0,
    lowerExclusive: false,
    upperExclusive: false,
    reverse: false,
    limitRows: 0,
    lock: vamos.tables.Lock.NONE,
    wait: vamos.tables.Wait.WAIT,
    columns,
    withKeys: false,
    aggregates: [],
  });
  for (let atEnd = false; !atEnd;) {
    const outcome = checked(await operations.settle(store.fetch(cursor, PURGE_WINDOW_BYTES)));
    const transaction = store.begin(vamos.tables.Isolation.READ_COMMITTED, false, false);
    for (const { row } of readWindow(outcome.result ?? new Uint8Array(), false)) {
      for (const { blob } of format.references(row!)) store.removeBlob(transaction, blob);
    }
    const [operation] = store.end(Ending.COMMIT, [transaction], vamos.tables.Durability.WRITTEN);
    checked(await operations.settle(operation!));
    atEnd = outcome.atEnd ?? false;
  }
}
