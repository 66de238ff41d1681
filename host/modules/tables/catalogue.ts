import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { ColumnKind, RowFormat } from '../../../src/protocol/rows.js';
import type { NativeStore, TableLayout } from './binding.js';
import { Counter } from './counter.js';
import {
  checkDefinition,
  checkName,
  checkRedefinition,
  type Definition,
  type NewDefinition,
} from './definition.js';
import type { HostTable } from './host_table.js';
import { checked, type Operations } from './operations.js';
import { Samples } from './samples.js';
import { TableUse } from './table_use.js';

type Record = { key: string; value: Uint8Array | null };

const TABLES = 'table/';
/**
 * The key of the next table number. Numbers are never given again, since a dropped table's data may still be
 * there.
 */
const NEXT = 'next';
/** The key prefix of tables whose data are being removed. */
const DROPPED = 'dropped/';
const ROWS = 'rows/';
const SAMPLES = 'sample/';
const AUTO_INCREMENT = 'auto/';
const BLOBS = 'blobs';
const MAX_TABLES = 65_536;
/** The most that all definitions may take together. They are in memory, and a root must always open again. */
const MAX_DEFINITION_BYTES = 64 * 1024 * 1024;
/** Numbers of blobs are JavaScript numbers. */
const LARGEST_BLOB = BigInt(Number.MAX_SAFE_INTEGER - 1);

/** The table definitions of one root, in memory and, synced, in the store's space 0. */
export class Catalogue {
  readonly #store: NativeStore;
  readonly #operations: Operations;
  readonly #byName = new Map<string, HostTable>();
  readonly #byNumber = new Map<number, HostTable>();
  /** Gives numbers to blobs. */
  readonly blobs: Counter;
  readonly samples: Samples;
  /** Removes the data of a table that is no longer in the catalogue. */
  readonly #purge: (table: HostTable) => Promise<void>;
  readonly #purges = new Set<Promise<void>>();
  #definitionBytes = 0;
  #nextNumber = 1;
  #nextSpace = 1;
  #change: Promise<unknown> = Promise.resolve();

  constructor(store: NativeStore, operations: Operations, purge: (table: HostTable) => Promise<void>) {
    this.#store = store;
    this.#operations = operations;
    this.#purge = purge;
    this.samples = new Samples(store, operations, async (table) => {
      if (this.#byNumber.get(table.number) === table) await this.#put([sampleRecord(table)], false);
    });
    this.blobs = new Counter('blobs', LARGEST_BLOB, (value) => this.#put([{ key: BLOBS, value }], false));
  }

  get tables(): IterableIterator<HostTable> {
    return this.#byNumber.values();
  }

  get size(): number {
    return this.#byNumber.size;
  }

  /** Reads what the store holds. @throws VamosError CORRUPTION */
  async load(): Promise<void> {
    const next = this.#store.getRecords(NEXT)[0]?.value;
    if (next) {
      const numbers = decode(() => vamos.tables.CatalogueRecord.decode(next));
      this.#nextNumber = numbers.storeTable;
      this.#nextSpace = numbers.firstSpace;
    }
    const blobs = this.#store.getRecords(BLOBS)[0];
    if (blobs) this.blobs.load(blobs.value);
    for (const { value } of this.#store.getRecords(TABLES)) {
      const table = this.#decodeTable(value);
      this.#add(table);
      const [ceiling] = this.#store.getRecords(`${AUTO_INCREMENT}${table.storeTable}/`);
      if (ceiling) table.autoIncrement.load(ceiling.value);
    }
    for (const { value } of this.#store.getRecords(DROPPED)) {
      this.#startPurge(this.#decodeTable(value), true);
    }
    const counted = this.#loadRows();
    if (counted.length > 0) await this.#put(counted, false);
  }

  /** Decodes a table, and defines it in the store. */
  #decodeTable(value: Uint8Array): HostTable {
    const table = decode(() => {
      const record = vamos.tables.CatalogueRecord.decode(value);
      const definition = checkDefinition(record.info?.definition);
      return this.#newTable(definition, {
        number: record.info?.table ?? 0,
        version: record.info?.version ?? 0,
        storeTable: record.storeTable,
        firstSpace: record.firstSpace,
        createdMs: record.createdMs,
      });
    });
    this.#store.defineTable(layoutOf(table, false));
    return table;
  }

  /**
   * Removes a table's data in the background. Its record stays until the root opens again and the removal is
   * done once more, in case it did not come to its end.
   */
  #startPurge(table: HostTable, isLast: boolean): void {
    const purge = this.#purge(table)
      .then(() => (isLast ? this.#put([{ key: droppedRecord(table).key, value: null }], false) : undefined))
      .catch(() => undefined)
      .finally(() => this.#purges.delete(purge));
    this.#purges.add(purge);
  }

  /**
   * Loads the row counts. Those of a clean close are taken once: after a crash rows are estimated, and
   * samples are out of date.
   */
  #loadRows(): Record[] {
    const counted = new Map(this.#store.getRecords(ROWS).map(({ key, value }) => [key, value]));
    const samples = new Map(this.#store.getRecords(SAMPLES).map(({ key, value }) => [key, value]));
    for (const table of this.#byNumber.values()) {
      const value = counted.get(rowsKey(table));
      table.rows =
        value?.length === 8
          ? Number(Buffer.from(value).readBigUInt64LE())
          : this.#store.estimate(table.storeTable).rows;
      const sample = samples.get(sampleKey(table));
      if (!sample) continue;
      table.sample = decode(() => vamos.tables.TableSample.decode(sample));
      if (!value) table.sample.changed = Math.max(table.rows, table.sample.rows);
    }
    return [...counted.keys()].map((key) => ({ key, value: null }));
  }

  #newTable(
    definition: Definition,
    numbers: { number: number; version: number; storeTable: number; firstSpace: number; createdMs: number },
  ): HostTable {
    const key = `${AUTO_INCREMENT}${numbers.storeTable}/`;
    const autoIncrement = new Counter(
      `table ${definition.name}`,
      largestValue(definition.columns[definition.autoIncrement - 1]?.kind),
      (value) => this.#put([{ key, value }], false),
    );
    return {
      ...numbers,
      definition,
      rows: 0,
      sample: new vamos.tables.TableSample(),
      autoIncrement,
      rowFormat: new RowFormat(definition.columns),
      hasBlobs: definition.columns.some((column) => column.kind === ColumnKind.BLOB),
      use: new TableUse(),
    };
  }

  #add(table: HostTable): void {
    this.#definitionBytes += definitionBytes(table.definition);
    this.#byNumber.set(table.number, table);
    this.#byName.set(table.definition.name, table);
  }

  /**
   * Returns the table of this name.
   * @throws VamosError TABLE_MISSING
   */
  byName(name: string): HostTable {
    const table = this.#byName.get(name);
    if (!table) throw missing(name);
    return table;
  }

  /**
   * Returns the table of this number, whatever its version.
   * @throws VamosError TABLE_MISSING
   */
  latest(number: number): HostTable {
    const table = this.#byNumber.get(number);
    if (!table) throw new VamosError('TABLE_MISSING', 'the table was dropped');
    return table;
  }

  /**
   * Returns the table of this number and version.
   * @throws VamosError TABLE_MISSING, TABLE_CHANGED
   */
  byNumber(number: number, version: number): HostTable {
    const table = this.latest(number);
    if (table.version !== version) {
      throw new VamosError('TABLE_CHANGED', `table ${table.definition.name} changed: open it again`);
    }
    return table;
  }

  /** Does the same as byNumber, and returns undefined where that throws. */
  find(number: number, version: number): HostTable | undefined {
    const table = this.#byNumber.get(number);
    return table?.version === version ? table : undefined;
  }

  /** Returns the table that one of its indexes has this space of the store for. */
  bySpace(space: number): HostTable | undefined {
    return [...this.#byNumber.values()].find(
      ({ firstSpace, definition }) => space >= firstSpace && space < firstSpace + definition.indexes.length,
    );
  }

  /**
   * Creates a table.
   * @throws VamosError TABLE_EXISTS, BAD_REQUEST
   */
  create(
    { definition, nextAutoIncrement }: NewDefinition,
    isTemporary: boolean,
    signal: AbortSignal,
  ): Promise<HostTable> {
    return this.#exclusively(signal, async () => {
      if (this.#byName.has(definition.name)) throw exists(definition.name);
      if (this.#byNumber.size >= MAX_TABLES)
        throw new VamosError('BAD_REQUEST', `more than ${MAX_TABLES} tables`);
      definition = this.#admit(definition, 0);
      const numbers = this.#takeNumbers(definition);
      const table = this.#newTable(definition, { number: numbers.storeTable, version: 1, ...numbers });
      const records = [this.#nextRecord(), tableRecord(table)];
      if (nextAutoIncrement > 0n) records.push(autoRecord(table, table.autoIncrement.set(nextAutoIncrement)));
      await this.#put(records, true);
      this.#store.defineTable(layoutOf(table, !isTemporary));
      this.#add(table);
      return table;
    });
  }

  /**
   * Replaces the definition of a table.
   * @param untilUnused waits until nothing uses the table, or throws
   */
  redefine(
    { definition, nextAutoIncrement }: NewDefinition,
    signal: AbortSignal,
    untilUnused: (table: HostTable) => Promise<void>,
  ): Promise<HostTable> {
    return this.#exclusively(signal, async () => {
      const table = this.byName(definition.name);
      checkRedefinition(table.definition, definition);
      definition = this.#admit(definition, definitionBytes(table.definition));
      while (table.use.count > 0) await untilUnused(table);
      const redefined = this.#newTable(definition, { ...table, version: table.version + 1 });
      const next = redefined.autoIncrement.set(
        nextAutoIncrement > 0n ? nextAutoIncrement : table.autoIncrement.next,
      );
      await this.#put([tableRecord(redefined), autoRecord(table, next)], true);
      this.#remove(table);
      const { version, autoIncrement, rowFormat } = redefined;
      Object.assign(table, { version, definition, autoIncrement, rowFormat });
      this.#store.defineTable(layoutOf(table, false));
      this.#add(table);
      return table;
    });
  }

  /** Copies a definition into memory of its own, so that the frame it came in is not kept. */
  #admit(definition: Definition, freedBytes: number): Definition {
    if (this.#definitionBytes + definitionBytes(definition) - freedBytes > MAX_DEFINITION_BYTES) {
      throw new VamosError(
        'BAD_REQUEST',
        `definitions of more than ${MAX_DEFINITION_BYTES} bytes in one root`,
      );
    }
    return { ...definition, detail: Uint8Array.prototype.slice.call(definition.detail) };
  }

  /**
   * Drops a table.
   * @param untilUnused waits until nothing uses the table, or throws
   */
  drop(name: string, signal: AbortSignal, untilUnused: (table: HostTable) => Promise<void>): Promise<void> {
    return this.#exclusively(signal, async () => {
      const table = this.byName(name);
      while (table.use.count > 0) await untilUnused(table);
      this.#remove(table);
      try {
        await this.#put(
          [
            { key: tableKey(table), value: null },
            { key: sampleKey(table), value: null },
            droppedRecord(table),
            autoRecord(table, null),
          ],
          true,
        );
      } catch (error) {
        this.#add(table);
        throw error;
      }
      this.#startPurge(table, false);
    });
  }

  /** Gives the table new, empty spaces under a new version. */
  truncate(
    name: string,
    signal: AbortSignal,
    untilUnused: (table: HostTable) => Promise<void>,
  ): Promise<HostTable> {
    return this.#exclusively(signal, async () => {
      const table = this.byName(name);
      while (table.use.count > 0) await untilUnused(table);
      this.#remove(table);
      const emptied = this.#newTable(table.definition, {
        number: table.number,
        version: table.version + 1,
        ...this.#takeNumbers(table.definition),
      });
      try {
        await this.#put(
          [
            this.#nextRecord(),
            tableRecord(emptied),
            { key: sampleKey(table), value: null },
            droppedRecord(table),
            autoRecord(table, null),
          ],
          true,
        );
      } catch (error) {
        this.#add(table);
        throw error;
      }
      this.#startPurge(table, false);
      this.#store.defineTable(layoutOf(emptied, true));
      this.#add(emptied);
      return emptied;
    });
  }

  /**
   * Renames a table. Requests go by number, so those under way need not end.
   * @param isRebuilt the table was filled for this name, so transactions with an older snapshot can't read it
   * @throws VamosError TABLE_MISSING, TABLE_EXISTS
   */
  rename(from: string, to: string, isRebuilt: boolean, signal: AbortSignal): Promise<void> {
    return this.#exclusively(signal, async () => {
      checkName(to);
      const table = this.byName(from);
      if (this.#byName.has(to)) throw exists(to);
      const definition = { ...table.definition, name: to };
      await this.#put([tableRecord({ ...table, definition })], true);
      this.#remove(table);
      table.definition = definition;
      if (isRebuilt) this.#store.defineTable(layoutOf(table, true));
      this.#add(table);
    });
  }

  /** Keeps the row counts, and what changed since the samples, for the next open. */
  async close(): Promise<void> {
    await this.#change;
    await Promise.all(this.#purges);
    const records = [...this.#byNumber.values()].flatMap((table) => {
      const value = Buffer.alloc(8);
      value.writeBigUInt64LE(BigInt(Math.max(0, table.rows)));
      return [{ key: rowsKey(table), value }, sampleRecord(table)];
    });
    if (records.length > 0) await this.#put(records, false);
  }

  /**
   * Runs one change at a time, so that each sees the result of the one before.
   * @param signal if it is aborted before the change's turn comes, the change fails immediately and never
   * begins
   */
  #exclusively<Result>(signal: AbortSignal, change: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(VamosError.from(signal.reason));
      };
      const result = this.#change.then(() => {
        signal.removeEventListener('abort', onAbort);
        if (signal.aborted) throw VamosError.from(signal.reason);
        return change();
      });
      this.#change = result.catch(() => undefined);
      result.then(resolve, reject);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #remove(table: HostTable): void {
    this.#definitionBytes -= definitionBytes(table.definition);
    this.#byName.delete(table.definition.name);
    this.#byNumber.delete(table.number);
  }

  #takeNumbers(definition: Definition): { storeTable: number; firstSpace: number; createdMs: number } {
    const numbers = { storeTable: this.#nextNumber, firstSpace: this.#nextSpace, createdMs: Date.now() };
    if (numbers.firstSpace + definition.indexes.length > 0xffff_ffff || numbers.storeTable >= 0xffff_ffff) {
      throw new VamosError('BAD_REQUEST', 'this root has used up its table numbers');
    }
    this.#nextNumber++;
    this.#nextSpace += definition.indexes.length;
    return numbers;
  }

  #nextRecord(): Record {
    const numbers = { storeTable: this.#nextNumber, firstSpace: this.#nextSpace };
    return { key: NEXT, value: vamos.tables.CatalogueRecord.encode(numbers).finish() };
  }

  async #put(records: Record[], synced: boolean): Promise<void> {
    checked(await this.#operations.settle(this.#store.putRecords(records, synced)));
  }
}

function tableKey(table: HostTable): string {
  return `${TABLES}${table.number}`;
}

function rowsKey(table: HostTable): string {
  return `${ROWS}${table.storeTable}`;
}

function sampleKey(table: HostTable): string {
  return `${SAMPLES}${table.storeTable}`;
}

function sampleRecord(table: HostTable): Record {
  return { key: sampleKey(table), value: vamos.tables.TableSample.encode(table.sample).finish() };
}

function encode(table: HostTable): Uint8Array {
  return vamos.tables.CatalogueRecord.encode({
    info: { table: table.number, version: table.version, definition: table.definition },
    storeTable: table.storeTable,
    firstSpace: table.firstSpace,
    createdMs: table.createdMs,
  }).finish();
}

function tableRecord(table: HostTable): Record {
  return { key: tableKey(table), value: encode(table) };
}

/**
 * Makes the record of a dropped table, with only what it takes to remove the data: such records stay for a
 * while, and each TRUNCATE makes one.
 */
function droppedRecord(table: HostTable): Record {
  const { columns, indexes } = table.definition;
  const definition = {
    ...table.definition,
    columns: columns.map((column, number) => ({ ...column, name: String(number), type: '' })),
    indexes: indexes.map((index, number) => ({ ...index, name: String(number) })),
    detail: new Uint8Array(),
  };
  return { key: `${DROPPED}${table.storeTable}`, value: encode({ ...table, definition }) };
}

function definitionBytes(definition: Definition): number {
  return vamos.tables.Definition.encode(definition).finish().length;
}

/** Makes the record of a table's auto-increment counter; null removes it. */
function autoRecord(table: HostTable, value: Uint8Array | null): Record {
  return { key: `${AUTO_INCREMENT}${table.storeTable}/`, value };
}

export function layoutOf(
  table: Pick<HostTable, 'storeTable' | 'firstSpace' | 'definition'>,
  isNew: boolean,
): TableLayout {
  return {
    isNew,
    table: table.storeTable,
    indexes: table.definition.indexes.map(({ unique, parts }, number) => ({
      space: table.firstSpace + number,
      isUnique: unique,
      parts: parts.map(({ column, descending, opaque, levels }) => ({
        column,
        isDescending: descending,
        isOpaque: opaque,
        levels,
      })),
    })),
    columns: table.definition.columns.map(({ kind, widthBytes, nullable }) => ({
      kind,
      widthBytes,
      isNullable: nullable,
    })),
  };
}

/** The largest value that an auto-increment column of this kind is given. */
function largestValue(kind: ColumnKind | undefined): bigint {
  switch (kind) {
    case ColumnKind.INT8:
      return 0x7fn;
    case ColumnKind.UINT8:
      return 0xffn;
    case ColumnKind.INT16:
      return 0x7fffn;
    case ColumnKind.UINT16:
      return 0xffffn;
    case ColumnKind.INT32:
      return 0x7fff_ffffn;
    case ColumnKind.UINT32:
      return 0xffff_ffffn;
    case ColumnKind.UINT64:
      return 0xffff_ffff_ffff_fffen;
    default:
      return 0x7fff_ffff_ffff_ffffn;
  }
}

function decode<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    throw new VamosError('CORRUPTION', 'the catalogue of this root does not decode', { cause });
  }
}

function missing(name: string): VamosError {
  return new VamosError('TABLE_MISSING', `there is no table ${name}`);
}

function exists(name: string): VamosError {
  return new VamosError('TABLE_EXISTS', `there is a table ${name} already`);
}
