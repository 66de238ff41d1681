/** Which of its stream's commits one is: numbers rise, and tokens tell apart those of one number. */
export interface CommitMark {
  number: number;
  token: Uint8Array;
}

/**
 * The store's native binding (`native/addon/store`): few functions, big arguments. Byte formats: src/protocol/FORMATS.md.
 *
 * Nothing here waits on the event loop. A call that can be answered at once (memory, block cache) returns its Outcome;
 * else it returns an operation number, and its Outcome comes through `onEvents`, where it may first be reported parked
 * (it met a lock of another transaction). One operation at a time for a transaction or cursor.
 */
export interface NativeStoreModule {
  /**
   * Opens or makes a root; holds its lock file. Throws an Error whose `code` is a number of ErrorCode (ROOT_IN_USE,
   * UNKNOWN_FORMAT, CORRUPTION, DISK_FULL, STORAGE_FAILED).
   */
  openStore(
    options: StoreOptions,
    onEvents: (events: StoreEvent[]) => void,
    onMessages?: (messages: StoreMessage[]) => void,
  ): NativeStore;
  /**
   * What a root that is refused because of a damaged log has lost, and the end of that log with acceptLoss. Reads all
   * logs while the caller waits: for processes that do nothing else. Throws as openStore.
   */
  repairStore(path: string, acceptLoss: boolean): RepairReport;
}

/** A warning or an error for the log of whoever looks after the host, in RocksDB's words or the store's. */
export interface StoreMessage {
  isError: boolean;
  text: string;
}

export interface RepairReport {
  /** What is damaged; empty: nothing, and all the rest says nothing. */
  damage: string;
  /** Writes of keys (rows and entries of indexes), and the commits of them that can still be read. */
  lostRecords: number;
  lostCommits: number;
  lostBytes: number;
  /** More was lost than can be counted. */
  isIncomplete: boolean;
  /** The logs that it is of, and from where on. */
  parts: { file: string; fromByte: number }[];
  /** The folder where the logs are as they were; empty: the loss was not accepted. */
  keptIn: string;
}

export interface StoreOptions {
  path: string;
  blockCacheBytes: number;
  maxTransactionBytes: number;
  /** Threads for what misses the cache, scans and blobs. */
  threads: number;
  /** Changes no file, not even where a log is to be read again; no other process may have it open. */
  readOnly?: boolean;
}

/**
 * code: ErrorCode; result: bytes of the answer, absent where there are none; detail: as vamos.proto says; count: rows
 * done or counted, absent for 0; changed: of those that a change found, absent for 0.
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
  /** Of a window of a semi-consistent cursor: another transaction has its last row locked, and it is not locked. */
  lastUnlocked?: boolean;
  /** A change in a shared transaction that changed nothing, and saw nothing which the transaction wrote. */
  standsAlone?: boolean;
}

/**
 * Operation 0: the log could not be written (the outcome says why). From then on the store refuses reads and writes, and
 * nobody knows what became of the commits under way, which end with OUTCOME_UNKNOWN: only opening the root again tells.
 */
export type StoreEvent =
  { operation: number; parked: true } | { operation: number; parked: false; outcome: Outcome };

export interface TableLayout {
  table: number;
  /** Spaces of the indexes, the primary key's first. */
  indexes: {
    space: number;
    isUnique: boolean;
    /** isOpaque: only the connector can make its bytes; levels: where they end (FORMATS.md), empty: that is not known. */
    parts: { column: number; isDescending: boolean; isOpaque: boolean; levels: Uint8Array }[];
  }[];
  /** In order; kind: ColumnKind. */
  columns: { kind: number; widthBytes: number; isNullable: boolean }[];
  /**
   * Snapshots that were taken before now show other rows than the table's, or some of them only: reads by them, and changes
   * after them, fail with SNAPSHOT_TOO_OLD. Else it stays as it was, and a table that was not defined may be read by all.
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
  /** Of the first window, at most; 0, none: as many as its bytes hold. */
  firstRows?: number;
  lock: number;
  wait: number;
  /** Projection; empty: all. */
  columns: number[];
  withKeys: boolean;
  /** Rows that other transactions have locked are not waited for (tables.proto). */
  semiConsistent?: boolean;
  /** A program (FORMATS.md); none: all rows. */
  filter?: Uint8Array | undefined;
  /** Not empty: the one window holds their results instead of rows. `count` is the rows that they are of. */
  aggregates: AggregateOptions[];
}

export interface AggregateOptions {
  /** A number of Aggregate.Function. */
  function: number;
  /** A program; none: COUNT of rows. */
  value?: Uint8Array | undefined;
  isPadded: boolean;
}

export interface ChangeOptions {
  table: number;
  index: number;
  /** Else it updates. */
  deletes: boolean;
  /** Each column once, none of the primary key or of the index that is read; value: a program. */
  assignments: { column: number; value: Uint8Array }[];
  /** Of a unique index, each once (FORMATS.md, key batch); none: ranges. */
  keys: Uint8Array | undefined;
  /** One after another; they don't overlap. */
  ranges: BoundsOptions[];
  reverse: boolean;
  /** A program; none: all rows. */
  filter: Uint8Array | undefined;
  /** That pass the filter; 0: all. */
  limitRows: number;
  wait: number;
  /** Rows that other transactions have locked are waited for where they pass the filter (tables.proto). */
  semiConsistent?: boolean;
}

/** The store's numbers. ROLLBACK: of a prepared transaction. */
export const Ending = { COMMIT: 0, PREPARE: 1, ROLLBACK: 2 } as const;
export type Ending = (typeof Ending)[keyof typeof Ending];

export interface PreparedTransaction {
  xid: Uint8Array;
  transaction: number;
  /** Spaces of tables that it changed, with the keys that its commit adds, less those that it removes. */
  spaces: { space: number; added: number }[];
}

export interface NativeStore {
  defineTable(layout: TableLayout): void;
  /** Forgets the table and removes its spaces' data in the background; no transaction may use it any more. */
  dropTable(table: number): void;

  /** isolation: Isolation. Returns the transaction's number, never 0. */
  begin(isolation: number, readOnly: boolean, snapshotNow: boolean): number;
  /**
   * For writes of several streams that commit together. `write` and `change` are the only operations in it; each runs at once
   * and whole, or leaves nothing behind: it waits for no lock (LOCK_NOT_AVAILABLE, also where it would take long).
   * TRANSACTION_TOO_LARGE: it is to be committed, and another one begun.
   */
  beginShared(): number;
  /**
   * READ COMMITTED: plain reads get a new snapshot, which they share until the next statement begins, and `unlock` gives
   * back locks taken from now on. Else nothing.
   */
  beginStatement(transaction: number): void;
  /**
   * kind: 0 insert, 1 update, 2 delete. A failing batch is undone as a whole; its locks stay, but for those of rows that it
   * inserted. duplicateLock: Lock, of the row that has an inserted one's key.
   */
  write(
    transaction: number,
    table: number,
    kind: number,
    batch: Uint8Array,
    wait: number,
    duplicateLock: number,
  ): Outcome | number;
  /**
   * Rows of the keys, in order (GET's window). transaction 0: outside any, the latest committed. lock: Lock.
   * With wait SKIP_LOCKED a locked row reads as not there. filter: a program; a row that does not pass reads as not there.
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
   * Answers those GETs of a frame that it can answer at once and well: what locks, fails, is not in memory or is large it
   * leaves. Returns their replies as a ReplyBatch has them, at most maxBytes.
   * @param entries five numbers a request: its id; the stream's transaction, 0: none; the table that it names; where its
   *   body stands in the frame; its length. Afterwards the first is the length of its reply, 0: left, the second the
   *   number of its keys
   */
  answerGets(frame: Uint8Array, entries: Float64Array, maxBytes: number): Uint8Array;
  /**
   * No I/O yet. transaction 0: a snapshot of its own, taken now. Returns the cursor's number. Throws BAD_REQUEST, with what
   * is wrong where, for a program that does not verify.
   */
  openCursor(transaction: number, options: CursorOptions): number;
  /** The next window: at least one row unless at the end; stops at windowBytes. */
  fetch(cursor: number, windowBytes: number): Outcome | number;
  closeCursor(cursor: number): void;

  /**
   * Locks, reads, filters, and deletes or updates rows where they are, with their entries in all indexes that it touches,
   * which must have no opaque part. count: rows found; changed: how many of them it changed. A failure undoes all of
   * it; its locks stay, but for those of entries that it made. VALUE_OUT_OF_RANGE and DUPLICATE_KEY have their detail.
   */
  change(transaction: number, options: ChangeOptions): Outcome | number;

  /** READ COMMITTED: gives back the locks of rows that the statement read and the transaction did not write. */
  unlock(transaction: number, table: number, primaryKeys: Uint8Array): void;

  /**
   * Ends or prepares all of them with one write and one sync (group commit); returns one operation number each. A prepared
   * transaction keeps its locks and its number, and outlives the store. One that fails is rolled back, but for a
   * prepared one, which stays as it is.
   */
  end(ending: Ending, transactions: number[], durability: number): number[];
  /** Of a transaction that is to be prepared: 1 to 160 bytes, no other's. */
  setXid(transaction: number, xid: Uint8Array): void;
  /** The prepared transactions, which hold again the locks of rows that they changed. Reads rows: for the start. */
  prepared(): PreparedTransaction[];
  /** With what the transaction wrote, if anything, stores that this commit of the stream (20 bytes) was done. */
  numberCommit(transaction: number, stream: Uint8Array, number: number, token: Uint8Array): void;
  /** Number 0: none is known. */
  lastCommit(stream: Uint8Array): CommitMark;
  /** In the background, of all streams that begin with these bytes. */
  forgetCommits(streams: Uint8Array): void;
  /** At once; ends the transaction's cursors, releases its locks. Not of a prepared one. */
  rollback(transaction: number): void;
  /** Savepoints are a stack. rollbackToSavepoint keeps the savepoint itself, and all locks but those of inserts. */
  setSavepoint(transaction: number): void;
  rollbackToSavepoint(transaction: number): void;
  releaseSavepoint(transaction: number): void;
  /** Ends a parked or running operation with this ErrorCode; too late is no error. */
  cancel(operation: number, code: number): void;

  /** Appends a chunk (at most 1 MiB) outside any transaction; a blob nobody adopts is removed when the store opens. */
  writeBlob(blob: number, offset: number, data: Uint8Array): Outcome | number;
  /** With the transaction's commit the blob is owned, or gone. */
  adoptBlob(transaction: number, blob: number): void;
  removeBlob(transaction: number, blob: number): void;
  /** Removes a blob that no transaction adopted. */
  discardBlob(blob: number): void;
  /** transaction 0: the latest committed. */
  readBlob(transaction: number, blob: number, offset: number, lengthBytes: number): Outcome | number;

  /** Catalogue records (space 0): key and value pairs; value null removes. Written at once, synced if asked for. */
  putRecords(records: { key: string; value: Uint8Array | null }[], synced: boolean): Outcome | number;
  /** All records whose key begins with prefix, at once. */
  getRecords(prefix: string): { key: string; value: Uint8Array }[];

  /**
   * The files that a copy of the store takes, as of one moment; none of them is removed until releaseFiles. The outcome's
   * result is a HeldFiles as JSON.
   */
  holdFiles(): Outcome | number;
  /** Once for each holdFiles. */
  releaseFiles(): Outcome | number;
  /**
   * Begins to read all that the store has, and these tables' rows and indexes in particular.
   * @param removedSpaces of tables that are being removed
   */
  openVerification(tables: number[], removedSpaces: number[]): number;
  /** Goes on with it until about so many bytes are read. The outcome's result is a VerifyStep as JSON. */
  verify(verification: number, maxBytes: number): Outcome | number;
  closeVerification(verification: number): void;

  /** Of all rows of a table, fast and roughly. */
  estimate(table: number): { rows: number; bytes: number };
  /** The result is an Estimated (tables.proto). Some thousand entries are counted if they are in memory; of more, the store guesses. */
  estimateRange(table: number, index: number, bounds: BoundsOptions): Outcome | number;
  /** Of a table with so many rows: the result is a TableSample (tables.proto). On a thread. */
  sample(table: number, rows: number): Outcome | number;
  /** Of open transactions, parked operations and of RocksDB: counters for metrics. */
  statistics(): StoreStatistics;
  /** Rolls back what is open, syncs and closes. */
  close(): Promise<void>;
}

/** What holdFiles gives. */
export interface HeldFiles {
  /** RocksDB's, of the store: no other has it, but for a copy that was not made by VAMOS. */
  identity: string;
  /** RocksDB's number of the last change that is in them. */
  sequence: number;
  /** Version of RocksDB. */
  rocksdb: string;
  /** bytes: as many of them, from the start; crc32c: of all of the file, where the store knows it. */
  files: { name: string; bytes: number; crc32c?: string | undefined }[];
}

/** What a step of a verification gives. */
export interface VerifyStep {
  isDone: boolean;
  phase: string;
  /** That is being read; 0: none. */
  table: number;
  /** Read so far. */
  bytes: number;
  /** Also of those that are too many to be told. */
  findingCount: number;
  totals: VerifyTotals;
  /** Since the last step. table 0: of none. */
  findings: { table: number; index: number; kind: string; text: string }[];
}

export interface VerifyTotals {
  files: number;
  fileBytes: number;
  /** Whose checksum as a whole the store knows. */
  filesWithChecksum: number;
  rows: number;
  entries: number;
  blobs: number;
  blobBytes: number;
  /** That no row refers to and that nothing removes. */
  blobsLeft: number;
  records: number;
}

export interface StoreStatistics {
  transactionsOpen: number;
  operationsParked: number;
  locksHeld: number;
  deadlocks: number;
  commits: number;
  syncs: number;
  bytesWritten: number;
  blockCacheHits: number;
  blockCacheMisses: number;
  /** By blocks of tables, indexes and filters that the cache did not have, as they are in memory. */
  blockBytesRead: number;
  /** That reads took from the entries of a secondary index alone. */
  rowsFromIndex: number;
  /** Entries of removed rows that scans stepped over. */
  tombstonesRead: number;
  /** Ranges of keys that were compacted to drop such entries. */
  rangesCompacted: number;
  /** Copies under way that keep the store from removing files. */
  filesHeld: number;
  threads: number;
}
