import {
  readKeyBatch,
  readWindow as rowsOf,
  writeKeyBatch,
  type WindowRow,
} from '../../../src/protocol/batches.js';
import type { Call } from '../../../src/rpc/contract.js';
import type { HostTable } from './host_table.js';
import type { TablesHost } from './host.js';
import { goOn, type NowOrLater } from './now_or_later.js';
import type { Scope } from './requests.js';

const EMPTY = new Uint8Array();

/** The most keys of one store call: what it returns must fit memory whatever the rows' size. */
export const KEYS_PER_READ = 64;

export interface RowRequest {
  /** The store's number of the transaction; 0: none. */
  transaction: number;
  table: HostTable;
  index: number;
  /** A key batch (FORMATS.md). */
  keys: Uint8Array;
  lock: number;
  columns: number[];
  withKeys: boolean;
  /** A program that selects rows; none: all rows. */
  filter?: Uint8Array | undefined;
}

/** Reads the window that the store answers for these keys. */
export function readWindow(
  host: TablesHost,
  request: RowRequest,
  keys: Uint8Array,
  call: Call,
  scope: Scope,
): NowOrLater<Uint8Array> {
  const { transaction, table, index, lock, columns, withKeys, filter } = request;
  return goOn(
    () =>
      host.finish(
        () =>
          host.store.get(
            transaction,
            table.storeTable,
            index,
            keys,
            lock,
            scope.wait,
            columns,
            withKeys,
            filter,
          ),
        call,
        scope,
      ),
    (outcome) => outcome.result ?? EMPTY,
  );
}

/** Yields the windows that the store answers for KEYS_PER_READ keys each, in order. */
export async function* readWindows(
  host: TablesHost,
  request: RowRequest,
  call: Call,
  scope: Scope,
): AsyncGenerator<{ keys: number; window: Uint8Array }> {
  let keys: Buffer[] = [];
  const read = async (): Promise<{ keys: number; window: Uint8Array }> => {
    const count = keys.length;
    const batch = writeKeyBatch(keys);
    keys = [];
    return { keys: count, window: await readWindow(host, request, batch, call, scope) };
  };
  for (const key of readKeyBatch(request.keys)) {
    keys.push(key);
    if (keys.length === KEYS_PER_READ) yield await read();
  }
  if (keys.length > 0) yield await read();
}

export async function* readRows(
  host: TablesHost,
  request: RowRequest,
  call: Call,
  scope: Scope,
): AsyncGenerator<WindowRow> {
  for await (const { window } of readWindows(host, request, call, scope))
    yield* rowsOf(window, request.withKeys);
}
