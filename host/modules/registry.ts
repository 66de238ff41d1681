import path from 'node:path';
import type { VamosError } from '../../src/protocol/errors.js';
import { MODULES as CONTRACT, METHODS, type ModuleName } from '../../src/protocol/generated/methods.js';
import { METRICS, type MetricDescription } from '../../src/protocol/generated/metrics.js';
import type { HostModule } from '../../src/rpc/contract.js';
import { openFilesModule } from './files/module.js';
import type { StoreMessage } from './tables/binding.js';
import { openTablesModule, type TablesModule } from './tables/module.js';
import type { ScrubOptions } from './tables/scrub.js';

/** What modules need to know of the guest that they are opened for. What is left out has each module's own default. */
export interface ModuleSetting {
  /** The guest's directory, which is there. */
  root: string;
  blockCacheBytes?: number;
  cacheBytes?: number;
  maxTransactionBytes?: number;
  threads?: number;
  fileHandles?: number;
  scrub?: ScrubOptions;
  /** A module can't go on: TablesModuleOptions.onFailure. */
  onFailure?(error: VamosError): void;
  onMessage?(message: StoreMessage): void;
}

interface ModuleEntry<Opened extends HostModule> {
  /** The high part of its methods' numbers. */
  readonly number: number;
  /** Numbers of its methods, by name. */
  readonly methods: Readonly<Record<string, number | string>>;
  /** What it counts, by name. */
  readonly metrics: Readonly<Record<string, MetricDescription>>;
  open(setting: ModuleSetting): Promise<Opened>;
}

/** What a host serves, in the order in which it opens: the store is first, since its lock makes the whole root ours. */
export const MODULES = {
  tables: {
    ...CONTRACT.tables,
    metrics: METRICS.tables,
    open: ({ root, fileHandles: _, ...options }) =>
      openTablesModule({ ...options, path: path.join(root, 'tables') }),
  } satisfies ModuleEntry<TablesModule>,
  files: {
    ...CONTRACT.files,
    metrics: METRICS.files,
    open: ({ root, fileHandles }) =>
      openFilesModule({
        root: path.join(root, 'files'),
        ...(fileHandles !== undefined && { maxHandles: fileHandles }),
      }),
  } satisfies ModuleEntry<HostModule>,
} satisfies Record<ModuleName, ModuleEntry<HostModule>>;

/** The modules of one guest, by name. */
export type OpenModules = {
  readonly [Name in ModuleName]: Awaited<ReturnType<(typeof MODULES)[Name]['open']>>;
};

/**
 * Opens all modules; closes those that were opened where one fails.
 * @throws VamosError of the one that fails
 */
export async function openModules(setting: ModuleSetting): Promise<OpenModules> {
  const opened: [string, HostModule][] = [];
  try {
    for (const [name, entry] of Object.entries(MODULES)) opened.push([name, await entry.open(setting)]);
    return Object.fromEntries(opened) as unknown as OpenModules;
  } catch (error) {
    for (const [, module] of opened.reverse()) await module.close();
    throw error;
  }
}

/** How a metric of a module is described; undefined: there is no such module, or it does not count that. */
export function metricOf(module: string, name: string): MetricDescription | undefined {
  const metrics: Readonly<Record<string, MetricDescription>> | undefined = Object.hasOwn(MODULES, module)
    ? MODULES[module as ModuleName].metrics
    : undefined;
  return metrics && Object.hasOwn(metrics, name) ? metrics[name] : undefined;
}

/** The names of a method and of its module, as metrics have them. */
export function namesOfMethod(method: number): { module: string; method: string } {
  const known = METHODS.get(method);
  if (known) return { module: known.module, method: known.name.toLowerCase() };
  const module = Object.entries(MODULES).find(([, { number }]) => number === method >> 8);
  return { module: module?.[0] ?? String(method >> 8), method: String(method) };
}
