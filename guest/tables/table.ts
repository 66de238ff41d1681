import { readWindow, writeKeyBatch } from '../../src/protocol/batches.js';
import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import type { AnyRow, Projection } from './codec.js';
import { AggregateList, type Aggregated, type Wanted } from './aggregate.js';
import { Cursor } from './cursor.js';
import { filterProgram, type Filter } from './filter.js';
import { isHiddenColumn } from './mariadb/type.js';
import type { AnyDefinition, Changes, ColumnName, IndexName, Key, KeyPrefix, NewRow, Row } from './schema.js';
import { scopeOf, type Link, type Wait, type WriteOptions } from './stream.js';
import { completeRows, sendWrite, storeBlobs, type OpenedTable, type RowWrite } from './writes.js';

const { Method, Lock } = vamos.tables;

export interface ReadOptions<Name extends string = string> extends CallOptions {
  /** The columns to read; all if not given. */
  columns?: readonly Name[];
  /** Reads the latest committed rows and locks them until the transaction ends. */
  lock?: 'shared' | 'exclusive';
  wait?: Wait;
  /** How long to wait for a lock until LOCK_TIMEOUT; the host's default if not given. */
  lockTimeoutMs?: number;
}

/**
 * A range of an index. Bounds are values of its first columns, and belong to the range unless the option says
 * otherwise.
 */
export interface Range<D extends AnyDefinition, I extends string> {
  lower?: KeyPrefix<D, I>;
  upper?: KeyPrefix<D, I>;
  lowerExclusive?: boolean;
  upperExclusive?: boolean;
  /** Sets both bounds: the rows with these values. */
  equal?: KeyPrefix<D, I>;
}

export interface ScanOptions<D extends AnyDefinition, I extends string, Name extends string>
  extends ReadOptions<Name>, Range<D, I> {
  /** Reads from the end of the range to its start. */
  reverse?: boolean;
  /** Gives only rows that pass, which the host tests; see Tests. */
  where?: Filter<D>;
  /** The most rows to read. */
  limit?: number;
  /** The size of the first window; 16 KiB if not given, 1 MiB at most. */
  windowBytes?: number;
}

/** The most bytes of keys in one GET. */
const MAX_KEY_BYTES = 512 * 1024;

/** A table, as a MySQL storage engine sees one: rows are written, read by key and scanned in the order of an index. */
export class Table<D extends AnyDefinition> {
  /** What the connector's own parts need of the table. */
  readonly opened: OpenedTable;
  readonly #link: Link;

  constructor(opened: OpenedTable, link: Link) {
    this.opened = opened;
    this.#link = link;
  }

  get name(): string {
    return this.opened.name;
  }

  /** Returns the same table with its requests going to another transaction. */
  within(link: Link): Table<D> {
    return new Table<D>(this.opened, link);
  }

  /**
   * Writes one row and returns it whole.
   * @throws DuplicateKeyError
   */
  async writeRow(row: NewRow<D>, options: WriteOptions = {}): Promise<Row<D>> {
    const [written] = await this.writeRows([row], options);
    return written!;
  }

  /**
   * Writes all of the rows, or none, and returns them whole.
   * @throws DuplicateKeyError
   */
  async writeRows(rows: readonly NewRow<D>[], options: WriteOptions = {}): Promise<Row<D>[]> {
    const complete = await completeRows(this.opened, rows, this.#link, options);
    await this.#write(
      'insert',
      complete.map((row) => ({ new: row })),
      options,
    );
    return complete.map((row, number) => this.#whole(row, rows[number]!));
  }

  /**
   * Changes some columns of a row that was read before, and returns the new row.
   * @param old the row as it was read; what changes stands in `changes` alone
   * @throws DuplicateKeyError; VamosError ROW_CHANGED, NOT_FOUND: the row is no longer what was read
   */
  async updateRow(old: Row<D>, changes: Changes<D>, options: WriteOptions = {}): Promise<Row<D>> {
    const [updated] = await this.updateRows([{ old, changes }], options);
    return updated!;
  }

  /** Does updateRow for many rows: all of them change, or none. */
  async updateRows(
    updates: readonly { old: Row<D>; changes: Changes<D> }[],
    options: WriteOptions = {},
  ): Promise<Row<D>[]> {
    const rows = await storeBlobs(
      this.opened,
      updates.map(({ old, changes }) => ({ ...old, ...changes })),
      this.#link,
      options,
      updates.map(({ old }) => old),
    );
    await this.#write(
      'update',
      rows.map((row, number) => ({ old: updates[number]!.old, new: row })),
      options,
    );
    return rows.map((row, number) =>
      this.#whole(row, { ...updates[number]!.old, ...updates[number]!.changes }),
    );
  }

  /**
   * Deletes a row that was read before.
   * @throws VamosError ROW_CHANGED, NOT_FOUND: the row is no longer what was read
   */
  async deleteRow(old: Row<D>, options: WriteOptions = {}): Promise<void> {
    await this.deleteRows([old], options);
  }

  /** Does deleteRow for many rows: all of them are deleted, or none. */
  async deleteRows(old: readonly Row<D>[], options: WriteOptions = {}): Promise<void> {
    await this.#write(
      'delete',
      old.map((row) => ({ old: row })),
      options,
    );
  }

  #write(kind: 'insert' | 'update' | 'delete', writes: RowWrite[], options: WriteOptions): Promise<void> {
    return sendWrite(this.opened, kind, writes, this.#link, options);
  }

  /** Returns the row as a read would show it: what it was given, and what was filled in. */
  #whole(row: AnyRow, given: AnyRow): Row<D> {
    const whole: AnyRow = {};
    for (const { name, type } of this.opened.codec.columns) {
      if (isHiddenColumn(name)) continue;
      whole[name] = (type.decode ? (given[name] ?? row[name]) : row[name]) ?? null;
    }
    return whole as Row<D>;
  }

  /** Returns the row with this primary key, or undefined. */
  async get<Name extends ColumnName<D> = ColumnName<D>>(
    key: Key<D>,
    options: ReadOptions<Name> = {},
  ): Promise<Pick<Row<D>, Name> | undefined> {
    return this.indexRead('primary', key, options);
  }

  /**
   * Returns the row with this key of a unique index, or undefined. A key with NULL finds none (scan for it).
   */
  async indexRead<I extends IndexName<D>, Name extends ColumnName<D> = ColumnName<D>>(
    index: I,
    key: Key<D, I>,
    options: ReadOptions<Name> = {},
  ): Promise<Pick<Row<D>, Name> | undefined> {
    const [row] = await this.#get<Pick<Row<D>, Name> | undefined>(index, [key], options);
    return row;
  }

  /** Returns the rows with these primary keys, in their order; undefined where there is none. */
  async getMany<Name extends ColumnName<D> = ColumnName<D>>(
    keys: readonly Key<D>[],
    options: ReadOptions<Name> = {},
  ): Promise<(Pick<Row<D>, Name> | undefined)[]> {
    return this.#get('primary', keys, options);
  }

  /** Does indexRead for many keys. */
  async indexReadMany<I extends IndexName<D>, Name extends ColumnName<D> = ColumnName<D>>(
    index: I,
    keys: readonly Key<D, I>[],
    options: ReadOptions<Name> = {},
  ): Promise<(Pick<Row<D>, Name> | undefined)[]> {
    return this.#get(index, keys, options);
  }

  async #get<Result>(index: string, keys: readonly unknown[], options: ReadOptions): Promise<Result[]> {
    const { codec } = this.opened;
    const number = codec.indexNumber(index);
    if (!codec.indexes[number]!.unique) {
      throw new VamosError(
        'BAD_REQUEST',
        `index ${index} of table ${this.name} is not unique: use indexScan`,
      );
    }
    const projection = codec.projection(options.columns);
    const encoded = keys.map((key) => codec.key(number, key));
    const rows: Result[] = [];
    while (rows.length < encoded.length) {
      const request = {
        table: codec.table,
        version: codec.version,
        scope: scopeOf(this.#link, options),
        index: number,
        keys: writeKeyBatch(firstKeys(encoded, rows.length)),
        lock: lockNumber(options.lock),
        columns: projection.numbers,
      };
      const body = vamos.tables.Get.encode(request).finish();
      const reply = vamos.tables.Rows.decode(await this.#link.send(Method.GET, body, options));
      const before = rows.length;
      for (const { row } of readWindow(reply.window, false)) {
        rows.push((row && (await this.#toRow(projection, row, options))) as Result);
      }
      if (rows.length === before) throw new VamosError('INTERNAL', 'the host answered no key');
    }
    return rows;
  }

  #toRow(projection: Projection, bytes: Buffer, options: CallOptions): AnyRow | Promise<AnyRow> {
    const { codec } = this.opened;
    const row = codec.unpack(projection, bytes, this.#link, this.#link.isTransaction);
    return codec.readChunks(row, options)?.then(() => row) ?? row;
  }

  /** Scans all rows, in the order of the primary key. */
  rndScan<Name extends ColumnName<D> = ColumnName<D>>(
    options: ScanOptions<D, 'primary', Name> = {},
  ): Cursor<Pick<Row<D>, Name>> {
    return this.indexScan('primary', options);
  }

  /**
   * Scans the rows of a range, in the order of an index. Nothing is sent before the first row is asked for.
   */
  indexScan<I extends IndexName<D>, Name extends ColumnName<D> = ColumnName<D>>(
    index: I,
    options: ScanOptions<D, I, Name> = {},
  ): Cursor<Pick<Row<D>, Name>> {
    const projection = this.opened.codec.projection(options.columns);
    const request = { ...this.#cursorRequest(index, options), columns: projection.numbers };
    return new Cursor(
      this.#link,
      request,
      (row) => this.#toRow(projection, row, options) as Pick<Row<D>, Name> | Promise<Pick<Row<D>, Name>>,
      options,
    );
  }

  /**
   * Returns how many rows there are in a range (in the table, if no range is given) that pass `where`,
   * counted on the host.
   */
  async count<I extends IndexName<D> = 'primary'>(
    options: Omit<ScanOptions<D, I, never>, 'columns' | 'reverse' | 'windowBytes'> & { index?: I } = {},
  ): Promise<number> {
    const request = { ...this.#cursorRequest(options.index ?? 'primary', options), countOnly: true };
    const body = vamos.tables.OpenCursor.encode(request).finish();
    const reply = await this.#link.send(Method.OPEN_CURSOR, body, options);
    return Number(vamos.tables.Rows.decode(reply).count);
  }

  /**
   * Returns sums, least and greatest values over a range, or over its rows that pass `where`. One row
   * travels, whatever the range holds.
   * @throws VamosError BAD_REQUEST: the host can't add up or compare a column; VALUE_OUT_OF_RANGE: a sum of
   * small integers that no number can hold
   */
  async aggregate<
    I extends IndexName<D> = 'primary',
    Sum extends ColumnName<D> = never,
    Min extends ColumnName<D> = never,
    Max extends ColumnName<D> = never,
  >(
    options: Omit<ScanOptions<D, I, never>, 'columns' | 'reverse' | 'windowBytes'> &
      Wanted<Sum, Min, Max> & { index?: I } = {},
  ): Promise<Aggregated<D, Sum, Min, Max>> {
    const list = new AggregateList(this.opened.codec.columns, options);
    const request = {
      ...this.#cursorRequest(options.index ?? 'primary', options),
      aggregates: list.messages,
    };
    const body = vamos.tables.OpenCursor.encode(request).finish();
    const reply = vamos.tables.Rows.decode(await this.#link.send(Method.OPEN_CURSOR, body, options));
    return list.read(reply.window) as Aggregated<D, Sum, Min, Max>;
  }

  #cursorRequest(
    index: string,
    options: ScanOptions<AnyDefinition, string, string>,
  ): vamos.tables.IOpenCursor {
    const { codec } = this.opened;
    const number = codec.indexNumber(index);
    return {
      table: codec.table,
      version: codec.version,
      scope: scopeOf(this.#link, options),
      index: number,
      bounds: this.#bounds(number, options),
      reverse: options.reverse ?? false,
      limitRows: options.limit ?? 0,
      lock: lockNumber(options.lock),
      filter: filterProgram(codec.columns, options.where),
    };
  }

  #bounds(index: number, range: Range<AnyDefinition, string>): vamos.tables.IBounds {
    const { codec } = this.opened;
    const lower = range.equal ?? range.lower;
    const upper = range.equal ?? range.upper;
    return {
      ...(lower ? { lower: codec.keyPrefix(index, lower), hasLower: true } : {}),
      ...(upper ? { upper: codec.keyPrefix(index, upper), hasUpper: true } : {}),
      lowerExclusive: range.lowerExclusive ?? false,
      upperExclusive: range.upperExclusive ?? false,
    };
  }

  /** Estimates how many rows and bytes a range holds, without reading it. */
  async estimate<I extends IndexName<D>>(
    index: I,
    options: Range<D, I> & CallOptions = {},
  ): Promise<{ rows: number; bytes: number }> {
    const { codec } = this.opened;
    const number = codec.indexNumber(index);
    const bounds = this.#bounds(number, options);
    const request = { table: codec.table, version: codec.version, index: number, bounds };
    const body = vamos.tables.Estimate.encode(request).finish();
    const reply = await this.#link.sendApart(Method.ESTIMATE, body, options);
    const { rows, bytes } = vamos.tables.Estimated.decode(reply);
    return { rows: Number(rows), bytes: Number(bytes) };
  }

  /**
   * Returns the rows as the host last counted them (exactly, until the host's worker is killed; then it is an
   * estimate) and the bytes stored.
   */
  async statistics(options: CallOptions = {}): Promise<{ rows: number; bytes: number }> {
    const body = vamos.tables.Statistics.encode({ table: this.opened.codec.table }).finish();
    const reply = await this.#link.sendApart(Method.STATISTICS, body, options);
    const { rows, bytes } = vamos.tables.TableStatistics.decode(reply);
    return { rows: Number(rows), bytes: Number(bytes) };
  }
}

function lockNumber(lock: ReadOptions['lock']): vamos.tables.Lock {
  return lock === 'exclusive' ? Lock.EXCLUSIVE : lock === 'shared' ? Lock.SHARED : Lock.NONE;
}

/** Returns as many of the keys as one request carries, at least one. */
function firstKeys(keys: readonly Buffer[], start: number): Buffer[] {
  let bytes = 0;
  let end = start;
  while (end < keys.length && (end === start || bytes + keys[end]!.length + 4 <= MAX_KEY_BYTES)) {
    bytes += keys[end]!.length + 4;
    end++;
  }
  return keys.slice(start, end);
}
