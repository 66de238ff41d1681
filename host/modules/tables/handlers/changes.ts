import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import { asBuffer } from '../../../../src/protocol/rows.js';
import type { ChangeOptions, Outcome } from '../binding.js';
import type { HostTable } from '../host_table.js';
import { countMessages, decode } from '../decode.js';
import { goOn } from '../now_or_later.js';
import {
  checkBounds,
  checkIndex,
  checkScope,
  programOrNone,
  refuse,
  skipsLocked,
  type Scope,
} from '../requests.js';
import type { Handler, TablesSession } from '../session.js';
import type { HostTransaction } from '../transaction.js';
import { named } from './writes.js';
import { MAX_CHANGE_MESSAGES } from '../../../../src/protocol/generated/limits.js';

const { Method } = vamos.tables;

/** The message fields to count: ranges and assignments. */
const IN_CHANGE = { 5: {}, 10: {} };

function change(deletes: boolean): Handler {
  return (session, body, call) => {
    if (countMessages(body, IN_CHANGE) > MAX_CHANGE_MESSAGES) {
      throw refuse(`a change has at most ${MAX_CHANGE_MESSAGES} ranges and assignments`);
    }
    const request = decode(vamos.tables.ChangeWhere, body);
    const table = session.host.catalogue.byNumber(request.table, request.version);
    const scope = checkScope(request.scope);
    const options = checkChange(table, request, scope, deletes);
    const ending = isOneKey(options.keys) ? 'shared' : 'commit';
    const done = session.within(scope, call, table, ending, (transaction) => {
      if (transaction.isReadOnly) throw new VamosError('READ_ONLY', 'the transaction was begun as read-only');
      if (scope.inTransaction) transaction.beginWrite(scope.statement);
      const { host } = session;
      return goOn(
        () => host.finish(() => host.store.change(transaction.number, options), call, scope),
        (outcome) => count(session, table, transaction, deletes, outcome),
        (error) => {
          throw namedValue(named(error, table), table);
        },
      );
    });
    return goOn(
      () => done,
      (changed) => vamos.tables.Changed.encode(changed).finish(),
    );
  };
}

/**
 * Says whether a change has one key. Only such a change is committed together with other writes: a range
 * takes a thread, as it might not be in memory, and of several rows those that don't pass the filter would
 * stay locked with those that are changed.
 */
function isOneKey(keys: Uint8Array | undefined): boolean {
  return keys !== undefined && keys.length >= 4 && asBuffer(keys).readUInt32LE() === keys.length - 4;
}

/**
 * Decodes and checks a change.
 * @throws VamosError BAD_REQUEST, INDEX_MISSING
 */
function checkChange(
  table: HostTable,
  request: vamos.tables.ChangeWhere,
  scope: Scope,
  deletes: boolean,
): ChangeOptions {
  const { index, keys, ranges, assignments, reverse, semiConsistent } = request;
  const isUnique = checkIndex(table, index).unique;
  const byKeys = keys.length > 0;
  if (byKeys && ranges.length > 0) throw refuse('a change goes by keys or by ranges, not by both');
  if (byKeys && !isUnique) throw refuse(`index ${index} is not unique: change by ranges of it`);
  if (skipsLocked(scope)) throw refuse("a change can't skip locked rows");
  if (deletes !== (assignments.length === 0)) throw refuse('an update assigns columns, a delete none');
  const assigned = new Set(assignments.map(({ column }) => column ?? 0));
  if (assigned.size < assignments.length) throw refuse('an assigned column comes twice');
  for (const column of assigned) checkAssigned(table, column, index);
  for (const touched of table.definition.indexes) {
    const parts = deletes ? touched.parts : touched.parts.filter(({ column }) => assigned.has(column));
    if (parts.length > 0 && touched.parts.some(({ opaque }) => opaque)) {
      throw refuse(
        `index ${touched.name} has keys that only the connector can make: it has to change the rows itself`,
      );
    }
  }
  return {
    table: table.storeTable,
    index,
    deletes,
    assignments: assignments.map(({ column, value }) => ({
      column: column ?? 0,
      value: value ?? new Uint8Array(),
    })),
    keys: byKeys ? keys : undefined,
    ranges: byKeys ? [] : ranges.length > 0 ? ranges.map(checkBounds) : [checkBounds(undefined)],
    reverse,
    filter: programOrNone(request.filter),
    limitRows: Number(request.limitRows),
    wait: scope.wait,
    semiConsistent,
  };
}

function checkAssigned(table: HostTable, number: number, readIndex: number): void {
  const { columns, indexes, autoIncrement } = table.definition;
  const column = columns[number];
  if (!column) throw refuse(`an assignment to column ${number}, which the table does not have`);
  if (number === autoIncrement - 1) {
    throw refuse(`column ${column.name} is numbered by auto-increment: it is not assigned`);
  }
  for (const index of new Set([indexes[0]!, indexes[readIndex]!])) {
    if (index.parts.some((part) => part.column === number)) {
      throw refuse(
        `column ${column.name} is in index ${index.name}, the primary key or what is read: it is not assigned`,
      );
    }
  }
}

function count(
  { host }: TablesSession,
  table: HostTable,
  transaction: HostTransaction,
  deletes: boolean,
  outcome: Outcome,
): vamos.tables.IChanged {
  const found = outcome.count ?? 0;
  const changed = outcome.changed ?? 0;
  host.counters.rowsRead += found;
  host.counters.rowsWritten += changed;
  if (changed > 0) transaction.addRows(table, deletes ? -changed : 0, changed);
  transaction.standsAlone = outcome.standsAlone ?? false;
  return { found, changed };
}

/** Adds the column's name to the error for a value that doesn't fit. */
function namedValue(error: unknown, table: HostTable): unknown {
  if (!(error instanceof VamosError) || error.code !== 'VALUE_OUT_OF_RANGE' || error.detail.length < 12)
    return error;
  const detail = asBuffer(error.detail);
  const column = table.definition.columns[detail.readUInt32LE(0)]?.name ?? '';
  const row = detail.readBigUInt64LE(4);
  return new VamosError(
    'VALUE_OUT_OF_RANGE',
    `the value for column ${column} of table ${table.definition.name} doesn't fit (row ${row} of those found)`,
    { detail },
  );
}

export const changeHandlers: [number, Handler][] = [
  [Method.UPDATE_WHERE, change(false)],
  [Method.DELETE_WHERE, change(true)],
];
