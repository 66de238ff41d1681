import { setTimeout as delay } from 'node:timers/promises';
import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { NativeStore, Outcome, VerifyStep, VerifyTotals } from './binding.js';
import { layoutOf } from './catalogue.js';
import { checkDefinition, type Definition } from './definition.js';
import { checked, native } from './operations.js';

/** Something that is not as it must be. */
export interface Finding {
  /**
   * The kind of what is wrong: file, unreadable, row, entry, index, blob, space, record, catalogue; of
   * folders also store.
   */
  kind: string;
  table?: string | undefined;
  index?: string | undefined;
  text: string;
}

export interface StoreReport {
  tables: number;
  bytes: number;
  totals: VerifyTotals;
  findings: Finding[];
  /** All findings, including those that are not listed one by one. */
  findingCount: number;
}

export interface VerifyProgress {
  phase: string;
  table?: string | undefined;
  bytesDone: number;
  findings: number;
}

export interface VerifyOptions {
  /** The most bytes to read per second; without it as fast as possible. */
  bytesPerSecond?: number | undefined;
  signal: AbortSignal;
  onProgress?: ((progress: VerifyProgress) => void) | undefined;
}

interface StoredTable {
  definition: Definition;
  storeTable: number;
  firstSpace: number;
}

const MAX_STEP_BYTES = 4 * 1024 * 1024;
const MIN_STEP_BYTES = 64 * 1024;
const STEPS_PER_SECOND = 8;

/**
 * Reads all that a store has, and compares what belongs together (native/store/upkeep/verify.hpp). It reports
 * what it finds.
 * @param settle resolves to the outcome of a store call
 * @param isLive others write to the store, and its tables are defined
 * @throws VamosError why it can't go on
 */
export async function verifyStore(
  store: NativeStore,
  settle: (started: Outcome | number) => Promise<Outcome>,
  isLive: boolean,
  { bytesPerSecond, signal, onProgress }: VerifyOptions,
): Promise<StoreReport> {
  const findings: Finding[] = [];
  const tables = readTables(store, 'table/', findings);
  const dropped = readTables(store, 'dropped/', findings);
  checkOthers(store, findings);
  if (!isLive) for (const table of tables.values()) native(() => store.defineTable(layoutOf(table, false)));
  const removedSpaces = [...dropped.values()].flatMap(({ firstSpace, definition }) =>
    definition.indexes.map((_, number) => firstSpace + number),
  );
  const verification = native(() => store.openVerification([...tables.keys()], removedSpaces));
  const fromStore: VerifyStep['findings'] = [];
  try {
    for (let bytesBefore = 0; ;) {
      const startedMs = performance.now();
      const stepBytes = bytesPerSecond === undefined ? MAX_STEP_BYTES : bytesPerSecond / STEPS_PER_SECOND;
      const maxBytes = Math.round(Math.min(MAX_STEP_BYTES, Math.max(MIN_STEP_BYTES, stepBytes)));
      const { result } = checked(await settle(native(() => store.verify(verification, maxBytes))));
      const step = JSON.parse(Buffer.from(result!).toString()) as VerifyStep;
      fromStore.push(...step.findings);
      onProgress?.({
        phase: step.phase,
        table: tables.get(step.table)?.definition.name,
        bytesDone: step.bytes,
        findings: findings.length + step.findingCount,
      });
      if (step.isDone) return report(step);
      if (signal.aborted) throw VamosError.from(signal.reason);
      if (bytesPerSecond !== undefined) {
        const dueMs = ((step.bytes - bytesBefore) / bytesPerSecond) * 1000;
        const leftMs = dueMs - (performance.now() - startedMs);
        if (leftMs > 1) await delay(leftMs, undefined, { signal }).catch(() => undefined);
      }
      bytesBefore = step.bytes;
    }
  } finally {
    store.closeVerification(verification);
  }

  function report({ bytes, totals, findingCount }: VerifyStep): StoreReport {
    // The data of a table that was dropped or emptied meanwhile disappear, also those that a snapshot sees.
    const now = isLive ? readTables(store, 'table/', []) : tables;
    const kept = fromStore.filter(({ table }) => table === 0 || now.has(table));
    findings.push(
      ...kept.map(({ table, index, kind, text }) => {
        const definition = tables.get(table)?.definition;
        return {
          kind,
          ...(definition && { table: definition.name, index: definition.indexes[index]?.name }),
          text,
        };
      }),
    );
    const untold = findingCount - fromStore.length;
    return { tables: tables.size, bytes, totals, findings, findingCount: findings.length + untold };
  }
}

/** Returns the tables that the catalogue's records describe, by their number in the store. */
function readTables(store: NativeStore, prefix: string, findings: Finding[]): Map<number, StoredTable> {
  const tables = new Map<number, StoredTable>();
  for (const { key, value } of native(() => store.getRecords(prefix))) {
    try {
      const { info, storeTable, firstSpace } = vamos.tables.CatalogueRecord.decode(value);
      const definition = checkDefinition(info?.definition);
      tables.set(storeTable, { definition, storeTable, firstSpace });
    } catch (error) {
      findings.push({ kind: 'catalogue', text: `record ${key}: ${VamosError.from(error).message}` });
    }
  }
  return tables;
}

/** Checks records of the catalogue that are no tables. */
function checkOthers(store: NativeStore, findings: Finding[]): void {
  for (const { key, value } of native(() => store.getRecords('rows/'))) {
    if (value.length !== 8) findings.push({ kind: 'catalogue', text: `record ${key} has no number` });
  }
  for (const { key, value } of native(() => store.getRecords('next'))) {
    try {
      vamos.tables.CatalogueRecord.decode(value);
    } catch (error) {
      findings.push({ kind: 'catalogue', text: `record ${key}: ${VamosError.from(error).message}` });
    }
  }
}
