import type { VamosError } from '../../src/protocol/errors.js';
import { loadNative } from '../../src/native.js';
import { Ending, type NativeStoreModule } from '../modules/tables/binding.js';
import { checked, native, Operations } from '../modules/tables/operations.js';
import { vamos } from '../../src/protocol/generated/messages.js';

const BLOCK_CACHE_BYTES = 8 * 1024 * 1024;
const MAX_TRANSACTION_BYTES = 2 ** 40;

/**
 * Rolls back what is prepared in a store: its coordinator belongs to another root, so it would never be
 * ended. None of it was acknowledged as committed.
 * @returns the number of these transactions
 */
export async function rollBackPrepared(tables: string): Promise<number> {
  let failure: VamosError | undefined;
  const operations = new Operations(
    () => undefined,
    (error) => (failure = error),
  );
  const addon = loadNative('vamos_store') as NativeStoreModule;
  const store = native(() =>
    addon.openStore(
      {
        path: tables,
        blockCacheBytes: BLOCK_CACHE_BYTES,
        maxTransactionBytes: MAX_TRANSACTION_BYTES,
        threads: 1,
      },
      (events) => operations.onEvents(events),
    ),
  );
  try {
    const transactions = native(() => store.prepared()).map(({ transaction }) => transaction);
    const ends = store.end(Ending.ROLLBACK, transactions, vamos.tables.Durability.SYNCED);
    for (const end of ends) checked(await operations.settle(end));
    if (failure) throw failure;
    return transactions.length;
  } finally {
    await store.close();
  }
}
