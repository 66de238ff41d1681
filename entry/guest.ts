/**
 * The connector: what a program in the guest imports.
 *
 *     import { connect, defineTable, t } from 'vamos/guest';
 *
 *     await using vamos = await connect('virtio-serial:vamos');
 *     const orders = await vamos.tables.create(
 *       defineTable({ name: 'orders', columns: { id: t.uint64(), item: t.text() }, primaryKey: ['id'] }),
 *     );
 *     await orders.writeRow({ id: 1n, item: 'tea' });
 *     await vamos.files.writeFile('log.txt', 'one order\n');
 */
import { openGuestModules, type GuestModules } from '../guest/registry.js';
import type { Channel } from '../src/channel/channel.js';
import { connectChannel, parseAddress } from '../src/channel/index.js';
import { RpcClient, type RpcClientOptions, type RpcCounters } from '../src/rpc/connector/client.js';

export * from '../guest/files/index.js';
export * from '../guest/tables/index.js';
export { type ErrorName, VamosError } from '../src/protocol/errors.js';
export type { RpcClientOptions as ConnectOptions, RpcCounters } from '../src/rpc/connector/client.js';
export type { CallOptions } from '../src/rpc/contract.js';

/**
 * The halves of the connector over one stream, whose requests run in order, independent of all other streams.
 */
export interface VamosStream extends GuestModules, AsyncDisposable {
  /** Tells the host that nothing more comes; what is open on the stream is rolled back. */
  close(): Promise<void>;
}

/** A connection to the host half. */
export interface Vamos extends VamosStream {
  /** Opens a further stream, for work that must not wait for other work. */
  stream(): VamosStream;
  /** Requests, frames, bytes, system calls, reconnects since `connect`. */
  readonly counters: Readonly<RpcCounters>;
  /** Sends what waits and ends the session; the host rolls back what is open. */
  close(): Promise<void>;
}

/**
 * Connects to the host half. Keeps the process alive until `close()`, as a socket does (`local:` alone does not). After
 * the loss of a session it connects again by itself; calls that were under way fail with SESSION_LOST and may be made
 * again, a commit fails with OUTCOME_UNKNOWN.
 * @param address `virtio-serial:NAME`, `vsock:CID:PORT`, `unix:PATH`, or `local:DIR` for the host half in this process
 * @throws VamosError BAD_ADDRESS, CHANNEL_ABSENT, CHANNEL_BUSY, CHANNEL_DENIED, NO_WELCOME, BAD_TOKEN, VERSION_MISMATCH;
 *   for `local:` also ROOT_IN_USE, UNKNOWN_FORMAT
 * @example
 *     await using vamos = await connect('local:./data', { program: 'shop' });
 *     console.log(await vamos.tables.list());
 */
export async function connect(address: string, options: RpcClientOptions = {}): Promise<Vamos> {
  const { open, released } = await opener(address);
  const client = await RpcClient.connect(open, options);
  return {
    ...streamOf(client),
    stream: () => streamOf(client),
    get counters() {
      return client.counters;
    },
    close,
    [Symbol.asyncDispose]: close,
  };

  async function close(): Promise<void> {
    await client.close();
    await released();
  }
}

async function opener(
  address: string,
): Promise<{ open: () => Promise<Channel>; released: () => Promise<void> }> {
  const parsed = parseAddress(address);
  if (parsed.transport !== 'local') {
    return { open: () => connectChannel(address), released: () => Promise.resolve() };
  }
  // A guest of a split run has no store and never loads this.
  const { openLocal, whenReleased } = await import('../host/local.js');
  const { directory } = parsed;
  return { open: () => openLocal(directory), released: () => whenReleased(directory) };
}

function streamOf(client: RpcClient): VamosStream {
  const modules = openGuestModules(client);
  const close = async (): Promise<void> => {
    await Promise.all(Object.values(modules).map((module) => module.close()));
  };
  return { ...modules, close, [Symbol.asyncDispose]: close };
}
