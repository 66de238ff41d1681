import { vamos } from '../../../src/protocol/generated/messages.js';
import type { NativeStore } from './binding.js';
import { decode } from './decode.js';
import type { HostTable } from './host_table.js';
import { checked, type Operations } from './operations.js';

/** A sample is out of date when commits changed more than this share of the rows that it was taken of. */
const CHANGED_SHARE = 0.1;

/** Takes samples of tables for optimizers, on the store's threads and only when statistics are asked for. */
export class Samples {
  readonly #store: NativeStore;
  readonly #operations: Operations;
  /** Stores the table's sample, if the table is still there. */
  readonly #save: (table: HostTable) => Promise<void>;
  readonly #running = new Map<HostTable, Promise<void>>();

  constructor(store: NativeStore, operations: Operations, save: (table: HostTable) => Promise<void>) {
    this.#store = store;
    this.#operations = operations;
    this.#save = save;
  }

  isStale({ rows, sample }: HostTable): boolean {
    return sample.number === 0 ? rows > 0 : sample.changed > sample.rows * CHANGED_SHARE;
  }

  /** Takes a sample in the background if the last one is out of date. */
  refresh(table: HostTable): void {
    if (this.isStale(table) && !this.#running.has(table)) this.#start(table).catch(() => undefined);
  }

  /**
   * Waits for a sample that is taken from now on.
   * @throws VamosError
   */
  async renew(table: HostTable): Promise<void> {
    await this.#running.get(table)?.catch(() => undefined);
    await (this.#running.get(table) ?? this.#start(table));
  }

  #start(table: HostTable): Promise<void> {
    const taking = this.#take(table).finally(() => this.#running.delete(table));
    this.#running.set(table, taking);
    return taking;
  }

  async #take(table: HostTable): Promise<void> {
    const { changed } = table.sample;
    const started = this.#store.sample(table.storeTable, Math.max(0, table.rows));
    const { result } = checked(await this.#operations.settle(started));
    const taken = decode(vamos.tables.TableSample, result ?? new Uint8Array());
    taken.number = table.sample.number + 1;
    taken.changed = table.sample.changed - changed;
    taken.updatedMs = table.sample.updatedMs;
    table.sample = taken;
    await this.#save(table);
  }
}
