import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions, RpcStream } from '../../src/rpc/contract.js';
import { AutoIncrement } from './auto_increment.js';
import type { Chain } from './chain.js';
import { TableCodec } from './codec.js';
import {
  fromMessage,
  isSameDefinition,
  toMessage,
  type AnyDefinition,
  type Columns,
  type Indexes,
  type TableDefinition,
} from './schema.js';
import { AutocommitLink } from './autocommit.js';
import { StreamPool, TableStream, type Link, type WriteOptions } from './stream.js';
import { Table } from './table.js';
import { Transaction, type TransactionOptions } from './transaction.js';

export type { Aggregated, Wanted } from './aggregate.js';
export { BlobHandle, type BlobSource } from './blob.js';
export type { Chain } from './chain.js';
export type { Cursor } from './cursor.js';
export type { Conditions, Filter, Tests } from './filter.js';
export { defineTable } from './schema.js';
export type {
  AnyDefinition,
  Changes,
  ColumnName,
  Columns,
  IndexDefinition,
  Indexes,
  Key,
  KeyPrefix,
  NewRow,
  Row,
  TableDefinition,
} from './schema.js';
export type { Durability, Wait, WriteOptions } from './stream.js';
export { Table, type Range, type ReadOptions, type ScanOptions } from './table.js';
export { Transaction, type Isolation, type TransactionOptions } from './transaction.js';
export { ColumnType, t } from './types.js';
export { DuplicateKeyError } from './writes.js';

const { Method } = vamos.tables;
const EMPTY = new Uint8Array();

/** The streams that transactions of all Tables of one client share. */
const pools = new WeakMap<object, StreamPool>();

function poolOf(client: { stream(): RpcStream }): StreamPool {
  const pool = pools.get(client) ?? new StreamPool(() => client.stream());
  pools.set(client, pool);
  return pool;
}

/** The module `tables`. Requests outside transactions share one stream, so they run in order; each commits by itself. */
export class Tables {
  readonly #stream: TableStream;
  readonly #pool: StreamPool;
  readonly #link: Link;

  constructor(client: { stream(): RpcStream }, stream: RpcStream) {
    this.#pool = poolOf(client);
    this.#stream = new TableStream(stream);
    this.#link = new AutocommitLink(this.#stream, this.#pool);
  }

  /**
   * Makes a table and opens it.
   * @throws VamosError TABLE_EXISTS; BAD_REQUEST: a definition that breaks a limit, the message says which
   */
  async create<
    const C extends Columns,
    const P extends readonly (keyof C & string)[],
    // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- no indexes
    const I extends Indexes<keyof C & string> = {},
    const A extends keyof C & string = never,
  >(
    definition: TableDefinition<C, P, I, A>,
    options: CallOptions = {},
  ): Promise<Table<TableDefinition<C, P, I, A>>> {
    const body = vamos.tables.CreateTable.encode({ definition: toMessage(definition) }).finish();
    const info = await this.#info(Method.CREATE_TABLE, body, options);
    return this.#table(info, definition);
  }

  /**
   * Opens a table. Without a definition its rows are typed loosely.
   * @throws VamosError TABLE_MISSING; TABLE_CHANGED: it has another definition than the one given
   */
  open(name: string, options?: CallOptions): Promise<Table<TableDefinition>>;
  open<D extends AnyDefinition>(definition: D, options?: CallOptions): Promise<Table<D>>;
  async open(wanted: string | AnyDefinition, options: CallOptions = {}): Promise<Table<AnyDefinition>> {
    const name = typeof wanted === 'string' ? wanted : wanted.name;
    const info = await this.#info(Method.OPEN_TABLE, encodeName(name), options);
    if (typeof wanted === 'string') return this.#table(info, fromMessage(info.definition!));
    if (!isSameDefinition(info.definition!, toMessage(wanted))) {
      throw new VamosError('TABLE_CHANGED', `table ${name} has another definition than the one given`);
    }
    return this.#table(info, wanted);
  }

  /**
   * Opens a table, and makes it first if there is none; for the start of a program.
   * @throws VamosError TABLE_CHANGED: it has another definition than the one given; BAD_REQUEST as `create`
   */
  async openOrCreate<D extends AnyDefinition>(definition: D, options: CallOptions = {}): Promise<Table<D>> {
    try {
      return await this.open(definition, options);
    } catch (error) {
      if (!hasCode(error, 'TABLE_MISSING')) throw error;
    }
    try {
      return (await this.create(definition, options)) as Table<D>;
    } catch (error) {
      // Another connector made it first.
      if (hasCode(error, 'TABLE_EXISTS')) return this.open(definition, options);
      throw error;
    }
  }

  async #info(method: number, body: Uint8Array, options: CallOptions): Promise<vamos.tables.TableInfo> {
    return vamos.tables.TableInfo.decode(await this.#stream.call(method, body, options));
  }

  #table<D extends AnyDefinition>(info: vamos.tables.TableInfo, definition: D): Table<D> {
    const codec = new TableCodec(info, definition);
    const autoIncrement =
      codec.autoIncrementColumn === undefined
        ? undefined
        : new AutoIncrement(codec, codec.autoIncrementColumn);
    return new Table<D>({ name: info.definition?.name ?? '', codec, autoIncrement }, this.#link);
  }

  /**
   * Removes a table with its rows.
   * @throws VamosError TABLE_MISSING; LOCK_TIMEOUT: transactions use it
   */
  async drop(name: string, options: CallOptions = {}): Promise<void> {
    await this.#stream.call(Method.DROP_TABLE, encodeName(name), options);
  }

  /**
   * Renames a table. Tables opened under the old name go on.
   * @throws VamosError TABLE_MISSING, TABLE_EXISTS
   */
  async rename(from: string, to: string, options: CallOptions = {}): Promise<void> {
    const body = vamos.tables.RenameTable.encode({ from, to }).finish();
    await this.#stream.call(Method.RENAME_TABLE, body, options);
  }

  /**
   * Removes all rows and starts auto-increment anew. Tables opened before fail with TABLE_CHANGED: open them again.
   * @throws VamosError TABLE_MISSING; LOCK_TIMEOUT: transactions use it
   */
  async truncate(name: string, options: CallOptions = {}): Promise<void> {
    await this.#stream.call(Method.TRUNCATE_TABLE, encodeName(name), options);
  }

  /** Returns the names of all tables, in order. */
  async list(options: CallOptions = {}): Promise<string[]> {
    const names: string[] = [];
    for (let after = 0, hasMore = true; hasMore;) {
      const body = vamos.tables.ListTables.encode({ after }).finish();
      const reply = vamos.tables.TableList.decode(await this.#stream.call(Method.LIST_TABLES, body, options));
      names.push(...reply.tables.map((info) => info.definition?.name ?? ''));
      after = reply.tables.at(-1)?.table ?? after;
      hasMore = reply.hasMore && reply.tables.length > 0;
    }
    return names.sort();
  }

  /**
   * Begins a transaction, on a stream of its own: `await using transaction = tables.begin()`. Sends nothing
   * yet.
   */
  begin(options: TransactionOptions = {}): Transaction {
    return new Transaction(this.#pool, options);
  }

  /**
   * Runs `body` in a transaction and commits it; rolls back if it throws. After a failure that another
   * attempt may mend (deadlock, lock timeout, lost session) it runs `body` again, even if `body` caught the
   * failure, if that ended the transaction. It does not if the guest's memory was rolled back meanwhile:
   * OUTCOME_UNKNOWN.
   * @param options.retries how often again; 3 if not given. `signal` and `timeoutMs` are the commit's: calls
   * in `body` take their own.
   */
  async transaction<Result>(
    body: (transaction: Transaction) => Promise<Result>,
    options: TransactionOptions & WriteOptions & { retries?: number } = {},
  ): Promise<Result> {
    const { renewals } = this.#stream;
    for (let retriesLeft = options.retries ?? 3; ; retriesLeft--) {
      try {
        await using transaction = new Transaction(this.#pool, options, renewals);
        const result = await body(transaction);
        if (transaction.failure) throw transaction.failure;
        if (transaction.isOpen) await transaction.commit(options);
        return result;
      } catch (error) {
        if (retriesLeft <= 0 || !(error instanceof VamosError && error.isRetryable)) throw error;
        await pause(Math.random() * RETRY_PAUSE_MS);
      }
    }
  }

  /**
   * Sends a transaction in one frame: writes and, last, `commit`. They stop at the first failure, and then
   * nothing is written. (More than a frame holds goes in several.)
   */
  async chain(build: (chain: Chain) => void, options: WriteOptions = {}): Promise<void> {
    await using transaction = this.begin();
    await transaction.chain((chain) => {
      build(chain);
      if (!chain.commits)
        throw new VamosError('BAD_REQUEST', 'a chain outside a transaction ends with commit');
    }, options);
  }

  /** Ends the stream on the host; transactions go on. */
  async close(): Promise<void> {
    await this.#stream.call(Method.CLOSE_STREAM, EMPTY);
  }
}

const RETRY_PAUSE_MS = 20;

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}

function hasCode(error: unknown, code: VamosError['code']): boolean {
  return error instanceof VamosError && error.code === code;
}

function encodeName(name: string): Uint8Array {
  return vamos.tables.TableName.encode({ name }).finish();
}
