import type { ModuleName } from '../src/protocol/generated/methods.js';
import type { RpcClient } from '../src/rpc/connector/client.js';
import { Files } from './files/index.js';
import { Tables } from './tables/index.js';

/** The guest half of each module, on a stream of its own. */
export const GUEST_MODULES = {
  tables: (client: RpcClient) => new Tables(client, client.stream()),
  files: (client: RpcClient) => new Files(client.stream()),
} satisfies Record<ModuleName, (client: RpcClient) => { close(): Promise<void> }>;

export type GuestModules = {
  readonly [Name in ModuleName]: ReturnType<(typeof GUEST_MODULES)[Name]>;
};

export function openGuestModules(client: RpcClient): GuestModules {
  const opened = Object.entries(GUEST_MODULES).map(([name, open]) => [name, open(client)]);
  return Object.fromEntries(opened) as GuestModules;
}
