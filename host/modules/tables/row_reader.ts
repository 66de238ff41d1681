import { readKeyBatch, readWindow, writeKeyBatch, type WindowRow } from '../../../src/protocol/batches.js';
import type { Call } from '../../../src/rpc/contract.js';
import type { HostTable } from './catalogue.js';
import type { TablesHost } from './host.js';
import type { Scope } from './requests.js';

/** Keys of one store call: what it returns must fit memory whatever the rows' size. */
const KEYS_AT_ONCE = 64;

export interface RowRequest {
  /** The store's; 0: none. */
  transaction: number;
  table: HostTable;
  index: number;
  /** FORMATS.md: key batch. */
  keys: Uint8Array;
  lock: number;
  columns: number[];
  withKeys: boolean;
}

/** The windows that the store answers for so many keys each, in order. */
export async function* readWindows(
  host: TablesHost,
  request: RowRequest,
  call: Call,
  scope: Scope,
): AsyncGenerator<{ keys: number; window: Uint8Array }> {
  let keys: Buffer[] = [];
  const read = async (): Promise<{ keys: number; window: Uint8Array }> => {
    const batch = writeKeyBatch(keys);
    const { transaction, table, index, lock, columns, withKeys } = request;
    const outcome = await host.finish(
      () => host.store.get(transaction, table.storeTable, index, batch, lock, scope.wait, columns, withKeys),
      call,
      scope,
    );
    const count = keys.length;
    keys = [];
    return { keys: count, window: outcome.result ?? new Uint8Array() };
  };
  for (const key of readKeyBatch(request.keys)) {
    keys.push(key);
    if (keys.length === KEYS_AT_ONCE) yield await read();
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
    yield* readWindow(window, request.withKeys);
}
