import type { vamos } from '../../../src/protocol/generated/messages.js';
import type { RowFormat } from '../../../src/protocol/rows.js';
import type { Counter } from './counter.js';
import type { Definition } from './definition.js';
import type { TableUse } from './table_use.js';

/**
 * What is known of a table beside its number of rows: a sample of it, and what changed since. Number 0: none
 * was taken.
 */
export type Sample = vamos.tables.TableSample;

/** A table, which requests name by its number. */
export interface HostTable {
  readonly number: number;
  version: number;
  definition: Definition;
  /** The table's number in the store. */
  storeTable: number;
  firstSpace: number;
  /** Committed rows: exact while the worker lives, carried over by a clean close. */
  rows: number;
  /** When the table was made or emptied, in ms since 1970; 0: not known. */
  createdMs: number;
  sample: Sample;
  autoIncrement: Counter;
  rowFormat: RowFormat;
  hasBlobs: boolean;
  use: TableUse;
}
