import { vamos } from '../../../src/protocol/generated/messages.js';
import type { StoreStatistics } from '../../../src/protocol/generated/metrics.js';

/** Identifies one of a stream's commits: numbers rise, and tokens tell commits of one number apart. */
export interface CommitMark {
  number: number;
  token: Uint8Array;
}

/**
 * The store's native binding (`native/addon/store`): few functions with big arguments. Byte formats:
 * src/protocol/FORMATS.md.
 *
 * Nothing here waits on the event loop. A call that can be answered immediately (from memory or the block
 * cache) returns its Outcome. Else it returns an operation number, and its Outcome comes through `onEvents`,
 * where the operation may first be reported parked (it met a lock of another transaction). A transaction or
 * cursor runs one operation at a time.
 */
export interface NativeStoreModule {
  /**
   * Opens or makes a root, and holds its lock file. Throws an Error whose `code` is a number of ErrorCode
   * (ROOT_IN_USE, UNKNOWN_FORMAT, CORRUPTION, DISK_FULL, STORAGE_FAILED).
   */
  openStore(
    options: StoreOptions,
    onEvents: (events: StoreEvent[]) => void,
    onMessages?: (messages: StoreMessage[]) => void,
  ): NativeStore;
  /**
   * Says what a root has lost that is refused because of a damaged log; with acceptLoss it ends that log
   * there. The caller waits while all logs are read, so this is for processes that do nothing else. Throws as
   * openStore does.
   */
  repairStore(path: string, acceptLoss: boolean): RepairReport;
}

/** A warning or an error for the host's log, in RocksDB's words or the store's. */
export interface StoreMessage {
  isError: boolean;
  text: string;
}

export interface RepairReport {
  /** What is damaged. If it is empty nothing is, and the other fields mean nothing. */
  damage: string;
  /**
   * Lost writes of keys (rows and entries of indexes), and below how many of their commits can still be read.
   */
  lostRecords: number;
  lostCommits: number;
  lostBytes: number;
  /** More was lost than can be counted. */
  isIncomplete: boolean;
  /** The logs concerned, each with the byte from which it is lost. */
  parts: { file: string; fromByte: number }[];
  /** The folder that keeps the logs as they were; empty: the loss was not accepted. */
  keptIn: string;
}

export interface StoreOptions {
  path: string;
  blockCacheBytes: number;
  /** Memory for rows and index entries above the blocks; 0 or nothing: none are kept there. */
  cacheBytes?: number;
  maxTransactionBytes: number;
  /** Threads for reads that miss the cache, for scans and for blobs. */
  threads: number;
  /** Changes no file, not even where a log is to be read again. No other process may have the store open. */
  readOnly?: boolean;
}

/**
 * What a call came to. code: ErrorCode; result: bytes of the answer, absent where there are none; detail: as
 * vamos.proto says; count: rows done or counted, absent for 0; changed: how many of the rows that a change
 * found it changed, absent for 0.
 */
export interface Outcome {
  code: number;
  message?: string;
  result?: Uint8Array;
  detail?: Uint8Array;
  count?: number;
  changed?: number;
  /** Cursor calls: the cursor reached its end (and is closed). */
  atEnd?: boolean;
  /**
   * A window of a semi-consistent cursor ends with a row that another transaction has locked, and this one
   * has not.
   */
  lastUnlocked?: boolean;
  /** A change in a shared transaction changed nothing, and saw nothing that the transaction wrote. */
  standsAlone?: boolean;
}

/**
 * What the store reports. With operation 0 the log could not be written (the outcome says why). From then on
 * the store refuses reads and writes. Commits under way end with OUTCOME_UNKNOWN: only opening the root again
 * shows what became of them.
 */
export type StoreEvent =
  { operation: number; parked: true } | { operation: number; parked: false; outcome: Outcome };

export interface TableLayout {
  table: number;
  /** Spaces of the indexes, the primary key's first. */
  indexes: {
    space: number;
    isUnique: boolean;
    /**
     * The columns of the index. isOpaque: only the connector can make the part's bytes; levels: where they
     * end (FORMATS.md), empty: that is not known.
     */
    parts: { column: number; isDescending: boolean; isOpaque: boolean; levels: Uint8Array }[];
  }[];
  /** The columns in order. kind: ColumnKind. */
  columns: { kind: number; widthBytes: number; isNullable: boolean }[];
  /**
   * Snapshots that were taken before now show other rows than the table's, or only some of them, so reads by
   * them and changes after them fail with SNAPSHOT_TOO_OLD. Else the table stays as it was, and if it was not
   * defined before all may read it.
   */
  isNew: boolean;
}

export interface BoundsOptions {
  lower?: Uint8Array;
  upper?: Uint8Array;
  lowerExclusive: boolean;
  upperExclusive: boolean;
}

export interface CursorOptions extends BoundsOptions {
  table: number;
  index: number;
  reverse: boolean;
  limitRows: number;
  /** The most rows of the first window; 0 or none: as many as its bytes hold. */
  firstRows?: number;
  lock: number;
  wait: number;
  /** The columns to read; empty: all. */
  columns: number[];
  withKeys: boolean;
  /** Rows that other transactions have locked are not waited for (tables.proto). */
  semiConsistent?: boolean;
  /** A program (FORMATS.md) that selects rows; none: all rows. */
  filter?: Uint8Array | undefined;
  /**
   * If this is not empty, the only window holds the aggregates' results instead of rows, and `count` is the
   * number of rows aggregated.
   */
  aggregates: AggregateOptions[];
}

export interface AggregateOptions {
  /** A number of Aggregate.Function. */
  function: number;
  /** A program; without one COUNT counts rows. */
  value?: Uint8Array | undefined;
  isPadded: boolean;
}

export interface ChangeOptions {
  table: number;
  index: number;
  /** The change deletes rows; otherwise it updates them. */
  deletes: boolean;
  /**
   * New values, for each column once, and for no column of the primary key or of the index that is read.
   * value: a program.
   */
  assignments: { column: number; value: Uint8Array }[];
  /** Keys of a unique index, each once (FORMATS.md, key batch); without them the change goes by ranges. */
  keys: Uint8Array | undefined;
  /** Ranges one after another, which don't overlap. */
  ranges: BoundsOptions[];
  reverse: boolean;
  /** A program that selects rows; none: all rows. */
  filter: Uint8Array | undefined;
  /** The most rows to change that pass the filter; 0: all. */
  limitRows: number;
  wait: number;
  /**
   * Rows that other transactions have locked are waited for only where they pass the filter (tables.proto).
   */
  semiConsistent?: boolean;
}

/** The store's numbers for ways to end a transaction, and for kinds of writes (store.proto). */
export const { Ending, WriteKind } = vamos.store;
export type Ending = vamos.store.Ending;
export type WriteKind = vamos.store.WriteKind;

export interface PreparedTransaction {
  xid: Uint8Array;
  transaction: number;
  /**
   * The spaces of tables that it changed, each with the number of keys that its commit adds, less those that
   * it removes.
   */
  spaces: { space: number; added: number }[];
}

export interface NativeStore {
  defineTable(layout: TableLayout): void;
  /** Forgets the table and removes its spaces' data in the background; no transaction may use it any more. */
  dropTable(table: number): void;

  /** Begins a transaction. isolation: Isolation. Returns its number, which is never 0. */
  begin(isolation: number, readOnly: boolean, snapshotNow: boolean): number;
  /**
   * Begins a transaction for writes of several streams that commit together. It takes only the operations
   * `write` and `change`; each runs synchronously and whole, or leaves nothing behind, since it waits for no
   * lock (LOCK_NOT_AVAILABLE, also where it would take long). TRANSACTION_TOO_LARGE: commit it and begin
   * another one.
   */
  beginShared(): number;
  /**
   * Begins a statement. At READ COMMITTED plain reads get a new snapshot, which they share until the next
   * statement begins, and `unlock` gives back locks taken from now on. Otherwise it does nothing.
   */
  beginStatement(transaction: number): void;
  /**
   * Writes a batch. A failing batch is undone as a whole; its locks stay,
   * except those of rows that it inserted. duplicateLock: the Lock for the row that already has an inserted
   * row's key.
   */
  write(
    transaction: number,
    table: number,
    kind: WriteKind,
    batch: Uint8Array,
    wait: number,
    duplicateLock: number,
  ): Outcome | number;
  /**
   * Reads the rows of the keys, in order (GET's window). transaction 0: outside any, the latest committed
   * rows. lock: Lock. With wait SKIP_LOCKED a locked row reads as absent. filter: a program; a row that does
   * not pass reads as absent.
   */
  get(
    transaction: number,
    table: number,
    index: number,
    keys: Uint8Array,
    lock: number,
    wait: number,
    columns: number[],
    withKeys: boolean,
    filter: Uint8Array | undefined,
  ): Outcome | number;
  /**
   * Answers those GETs of a frame that it can answer immediately and successfully. It leaves requests that
   * lock, that fail, whose rows are not in memory, or that are large. Returns their replies as a ReplyBatch
   * has them, at most maxBytes.
   * @param entries five numbers a request: its id; the stream's transaction, 0: none; the table that it
   * names; where its body begins in the frame; the body's length. Afterwards the first is the length of its
   * reply (0: it was left) and the second the number of its keys
   */
  answerGets(frame: Uint8Array, entries: Float64Array, maxBytes: number): Uint8Array;
  /**
   * Opens a cursor, without I/O. transaction 0: with a snapshot of its own, taken now. Returns the cursor's
   * number. Throws BAD_REQUEST for a program that does not verify, with what is wrong and where.
   */
  openCursor(transaction: number, options: CursorOptions): number;
  /**
   * Reads the next window, of at least one row unless the cursor is at its end. The window stops at
   * windowBytes.
   */
  fetch(cursor: number, windowBytes: number): Outcome | number;
  closeCursor(cursor: number): void;

  /**
   * Locks, reads, filters, and deletes or updates rows where they are, with their entries in all indexes
   * concerned, which must have no opaque part. count: rows found; changed: how many of them it changed. A
   * failure undoes all of it; its locks stay, except those of entries that it made. VALUE_OUT_OF_RANGE and
   * DUPLICATE_KEY have their detail.
   */
  change(transaction: number, options: ChangeOptions): Outcome | number;

  /**
   * At READ COMMITTED, gives back the locks of rows that the statement read and the transaction did not
   * write.
   */
  unlock(transaction: number, table: number, primaryKeys: Uint8Array): void;

  /**
   * Ends or prepares these transactions with one write and one sync (group commit), and returns one operation
   * number for each. A prepared transaction keeps its locks and its number, and outlives the store. A
   * transaction that fails is rolled back, unless it was prepared: then it stays as it is.
   */
  end(ending: Ending, transactions: number[], durability: number): number[];
  /** Names a transaction that is to be prepared: 1 to 160 bytes that no other one has. */
  setXid(transaction: number, xid: Uint8Array): void;
  /**
   * Returns the prepared transactions, which hold again the locks of rows that they changed. It reads rows,
   * so it is for the start.
   */
  prepared(): PreparedTransaction[];
  /**
   * Stores, with what the transaction wrote, if anything, that this commit of the stream (20 bytes) was done.
   */
  numberCommit(transaction: number, stream: Uint8Array, number: number, token: Uint8Array): void;
  /** Returns the stream's last commit; number 0: none is known. */
  lastCommit(stream: Uint8Array): CommitMark;
  /** Forgets, in the background, the commits of all streams that begin with these bytes. */
  forgetCommits(streams: Uint8Array): void;
  /**
   * Rolls back immediately, ends the transaction's cursors and releases its locks. Not for a prepared
   * transaction.
   */
  rollback(transaction: number): void;
  /**
   * Sets a savepoint; savepoints are a stack. rollbackToSavepoint keeps the savepoint itself, and all locks
   * but those of inserts.
   */
  setSavepoint(transaction: number): void;
  rollbackToSavepoint(transaction: number): void;
  releaseSavepoint(transaction: number): void;
  /**
   * Ends a parked or running operation with this ErrorCode. If the operation has ended already, nothing
   * happens.
   */
  cancel(operation: number, code: number): void;

  /**
   * Appends a chunk (at most 1 MiB) outside any transaction. A blob that is never adopted is removed when the
   * store opens.
   */
  writeBlob(blob: number, offset: number, data: Uint8Array): Outcome | number;
  /** Ties the blob to the transaction: once it has ended the blob has an owner, or is gone. */
  adoptBlob(transaction: number, blob: number): void;
  removeBlob(transaction: number, blob: number): void;
  /** Removes a blob that no transaction adopted. */
  discardBlob(blob: number): void;
  /** Reads a part of a blob. transaction 0: the latest committed one. */
  readBlob(transaction: number, blob: number, offset: number, lengthBytes: number): Outcome | number;

  /**
   * Writes catalogue records (space 0), pairs of key and value; value null removes the record. They are
   * written before the call returns, and synced if asked for.
   */
  putRecords(records: { key: string; value: Uint8Array | null }[], synced: boolean): Outcome | number;
  /** Returns all records whose key begins with prefix. */
  getRecords(prefix: string): { key: string; value: Uint8Array }[];

  /**
   * Keeps the files that a copy of the store takes, as of one moment: none of them is removed until
   * releaseFiles. The outcome's result is a HeldFiles as JSON.
   */
  holdFiles(): Outcome | number;
  /** Must be called once for each holdFiles. */
  releaseFiles(): Outcome | number;
  /**
   * Begins to read all that the store has, and these tables' rows and indexes in particular.
   * @param removedSpaces spaces of tables that are being removed
   */
  openVerification(tables: number[], removedSpaces: number[]): number;
  /**
   * Goes on with a verification until about this many bytes are read. The outcome's result is a VerifyStep as
   * JSON.
   */
  verify(verification: number, maxBytes: number): Outcome | number;
  closeVerification(verification: number): void;

  /** Estimates all rows of a table, fast and roughly. */
  estimate(table: number): { rows: number; bytes: number };
  /**
   * Estimates the rows of a range. The result is an Estimated (tables.proto). Some thousand entries are
   * counted if they are in memory; for more the store guesses.
   */
  estimateRange(table: number, index: number, bounds: BoundsOptions): Outcome | number;
  /**
   * Takes a sample, on a thread, of a table with this many rows. The result is a TableSample (tables.proto).
   */
  sample(table: number, rows: number): Outcome | number;
  /** Counters for metrics: of open transactions, parked operations and RocksDB. */
  statistics(): StoreStatistics;
  /** Rolls back what is open, syncs and closes. */
  close(): Promise<void>;
}

/** The result of holdFiles. */
export interface HeldFiles {
  /** RocksDB's identity of the store. No other store has it, except a copy that VAMOS did not make. */
  identity: string;
  /** RocksDB's number of the last change that is in the files. */
  sequence: number;
  /** The version of RocksDB. */
  rocksdb: string;
  /**
   * The files. bytes: how many belong to the copy, from the file's start; crc32c: of the whole file, where
   * the store knows it.
   */
  files: { name: string; bytes: number; crc32c?: string | undefined }[];
}

/** The result of a step of a verification. */
export interface VerifyStep {
  isDone: boolean;
  phase: string;
  /** The store's number of the table that is being read; 0: none. */
  table: number;
  /** Bytes read so far. */
  bytes: number;
  /** All findings, including those that are too many to be listed. */
  findingCount: number;
  totals: VerifyTotals;
  /** Findings since the last step. table 0: the finding concerns no table. */
  findings: { table: number; index: number; kind: string; text: string }[];
}

export interface VerifyTotals {
  files: number;
  fileBytes: number;
  /** Files for which the store knows a checksum of the whole. */
  filesWithChecksum: number;
  rows: number;
  entries: number;
  blobs: number;
  blobBytes: number;
  /** Blobs that no row refers to and that nothing removes. */
  blobsLeft: number;
  records: number;
}
