import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { AnyRow } from './codec.js';
import type { AnyDefinition, Changes, NewRow, Row } from './schema.js';
import {
  durabilityNumber,
  scopeOf,
  type CommitMark,
  type Durability,
  type Link,
  type WriteOptions,
} from './stream.js';
import type { Table } from './table.js';
import {
  completeRows,
  explainWrite,
  storeBlobs,
  writeRequests,
  type OpenedTable,
  type RowWrite,
  type WriteKind,
} from './writes.js';

/** Larger requests of a chain are divided, so that a chain that outgrows a frame can go in several. */
const REQUEST_BYTES = 256 * 1024;
/** The most that a request takes in a frame beside its body. */
const OVERHEAD_BYTES = 64;

interface Request {
  method: number;
  body: Uint8Array;
}

interface Step {
  table: OpenedTable;
  kind: WriteKind;
  writes: RowWrite[];
}

/** Collects writes that go together; each runs only if those before it succeeded. */
export class Chain {
  readonly #steps: Step[] = [];
  #durability: Durability | undefined;
  #origins: { table: OpenedTable; firstRow: number }[] = [];

  writeRow<D extends AnyDefinition>(table: Table<D>, row: NewRow<D>): void {
    this.#add(table, 'insert', { new: row });
  }

  updateRow<D extends AnyDefinition>(table: Table<D>, old: Row<D>, changes: Changes<D>): void {
    this.#add(table, 'update', { old, new: { ...old, ...changes } });
  }

  deleteRow<D extends AnyDefinition>(table: Table<D>, old: Row<D>): void {
    this.#add(table, 'delete', { old });
  }

  /** Commits what the chain (and its transaction before it) wrote. It must come last. */
  commit(options: { durability?: Durability } = {}): void {
    this.#checkOpen();
    this.#durability = options.durability ?? 'synced';
  }

  get commits(): boolean {
    return this.#durability !== undefined;
  }

  /** The commit must be on the disk when it is answered. */
  get isSynced(): boolean {
    return this.#durability === 'synced';
  }

  #checkOpen(): void {
    if (this.commits) throw new VamosError('BAD_REQUEST', 'commit is the last of a chain');
  }

  #add<D extends AnyDefinition>(
    table: Table<D>,
    kind: WriteKind,
    write: { old?: object; new?: object },
  ): void {
    this.#checkOpen();
    const last = this.#steps.at(-1);
    if (last?.kind === kind && last.table === table.opened) last.writes.push(write as RowWrite);
    else this.#steps.push({ table: table.opened, kind, writes: [write as RowWrite] });
  }

  /** Yields the requests, one frame at a time; nearly always there is one. */
  async frames(
    link: Link,
    maxFrameBytes: number,
    options: WriteOptions,
    commit: CommitMark,
  ): Promise<Request[][]> {
    const frames: Request[][] = [];
    let bytes = Infinity;
    for (const request of await this.#requests(link, options, commit)) {
      const requestBytes = request.body.length + OVERHEAD_BYTES;
      if (bytes + requestBytes > maxFrameBytes) {
        frames.push([]);
        bytes = 0;
      }
      frames.at(-1)!.push(request);
      bytes += requestBytes;
    }
    return frames;
  }

  /** Makes the requests; neighbours of one kind and table share one. */
  async #requests(link: Link, options: WriteOptions, commit: CommitMark): Promise<Request[]> {
    const requests: Request[] = [];
    this.#origins = [];
    for (const { table, kind, writes } of this.#steps) {
      const complete = await completeWrites(table, kind, writes, link, options);
      for (const request of writeRequests(table, kind, complete, scopeOf(link, options), REQUEST_BYTES)) {
        requests.push(request);
        this.#origins.push({ table, firstRow: request.firstRow });
      }
    }
    if (this.commits) {
      const durability = durabilityNumber(this.#durability);
      const body = vamos.tables.Commit.encode({ durability, ...commit }).finish();
      requests.push({ method: vamos.tables.Method.COMMIT, body });
    }
    return requests;
  }

  /**
   * Adds the index's name to a failure, where the chain wrote one table in one request: the reply doesn't say
   * which request of the chain failed.
   */
  explain(error: VamosError): VamosError {
    const [origin, ...others] = this.#origins;
    return origin && others.length === 0 ? explainWrite(origin.table, error, origin.firstRow) : error;
  }
}

async function completeWrites(
  table: OpenedTable,
  kind: WriteKind,
  writes: RowWrite[],
  link: Link,
  options: WriteOptions,
): Promise<RowWrite[]> {
  if (kind === 'delete') return writes;
  const rows = writes.map((write) => write.new as AnyRow);
  const complete =
    kind === 'insert'
      ? await completeRows(table, rows, link, options)
      : await storeBlobs(table, rows, link, options);
  return writes.map((write, number) => ({ ...write, new: complete[number]! }));
}
