import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import type { Call } from '../../../../src/rpc/contract.js';
import type { AggregateOptions, CursorOptions, Outcome } from '../binding.js';
import type { HostTable } from '../host_table.js';
import { native } from '../operations.js';
import { countMessages, decode } from '../decode.js';
import {
  checkBounds,
  checkIndex,
  checkLock,
  checkProjection,
  checkScope,
  refuse,
  isLocking,
  programOrNone,
  skipsLocked,
} from '../requests.js';
import type { Handler, HostCursor, TablesSession } from '../session.js';
import { MAX_AGGREGATES } from '../../../../src/protocol/generated/limits.js';

const { Method } = vamos.tables;
const AggregateFunction = vamos.tables.Aggregate.Function;
/** The field of OpenCursor that repeats messages. */
const IN_OPEN_CURSOR = { 14: {} };
const EMPTY = new Uint8Array();
const COUNT_OF_ROWS: AggregateOptions = { function: AggregateFunction.COUNT, isPadded: false };
/** The most bytes of a window, so that it has room in a frame; a single row may be larger. */
const MAX_WINDOW_BYTES = 1024 * 1024 - 16 * 1024;

/** Cursor numbers begin at random, so that one of an earlier worker is not taken for one of this worker. */
let lastNumber = Math.floor(Math.random() * 0x4000_0000);

const open: Handler = async (session, body, call) => {
  if (countMessages(body, IN_OPEN_CURSOR) > MAX_AGGREGATES) {
    throw refuse(`at most ${MAX_AGGREGATES} aggregates in one request`);
  }
  const request = decode(vamos.tables.OpenCursor, body);
  const table = session.host.catalogue.byNumber(request.table, request.version);
  const options = checkOptions(table, request);
  if (session.cursors.size >= session.host.limits.maxCursors) {
    throw refuse(`a session has at most ${session.host.limits.maxCursors} cursors open`);
  }
  const cursor = start(session, table, request, options, call);
  let outcome: Outcome;
  try {
    outcome = await fetchWindow(session, cursor, request.windowBytes, call);
  } catch (error) {
    session.host.store.closeCursor(cursor.number);
    session.release(cursor);
    session.endIfVictim(call.stream, error);
    throw error;
  }
  if (outcome.atEnd) {
    session.release(cursor);
    return reply(outcome, 0, request.countOnly);
  }
  lastNumber = lastNumber >= 0xffff_ffff ? 1 : lastNumber + 1;
  session.cursors.set(lastNumber, cursor);
  session.host.counters.cursorsOpen++;
  return reply(outcome, lastNumber, request.countOnly);
};

function checkOptions(table: HostTable, request: vamos.tables.OpenCursor): CursorOptions {
  const { index, reverse, lock, withKeys, semiConsistent } = request;
  checkIndex(table, index);
  checkLock(lock);
  const scope = checkScope(request.scope);
  if (!isLocking(lock) && skipsLocked(scope)) throw refuse('only a read that locks skips locked rows');
  return {
    table: table.storeTable,
    index,
    ...checkBounds(request.bounds),
    reverse,
    limitRows: Number(request.limitRows),
    firstRows: request.firstRows,
    lock,
    wait: scope.wait,
    columns: checkProjection(table, request.columns),
    withKeys,
    semiConsistent,
    filter: programOrNone(request.filter),
    aggregates: request.countOnly ? [COUNT_OF_ROWS] : request.aggregates.map(aggregateOptions),
  };
}

function aggregateOptions(aggregate: vamos.tables.IAggregate): AggregateOptions {
  return {
    function: aggregate.function ?? AggregateFunction.COUNT,
    value: programOrNone(aggregate.value),
    isPadded: aggregate.padded ?? false,
  };
}

/**
 * Opens a cursor in the stream's transaction. Otherwise the cursor has a snapshot of its own, or a
 * transaction of its own if it locks.
 */
function start(
  session: TablesSession,
  table: HostTable,
  request: vamos.tables.OpenCursor,
  options: CursorOptions,
  call: Call,
): HostCursor {
  const scope = checkScope(request.scope);
  const { host } = session;
  const transaction = scope.inTransaction
    ? session.transaction(call.stream)
    : isLocking(options.lock)
      ? host.beginAutocommit()
      : undefined;
  if (transaction) transaction.use(table);
  else table.use.begin();
  if (scope.inTransaction) transaction?.beginStatement(scope.statement);
  const cursor = { number: 0, stream: call.stream, table, scope, transaction };
  try {
    cursor.number = native(() => host.store.openCursor(transaction?.number ?? 0, options));
  } catch (error) {
    session.release(cursor);
    throw error;
  }
  return cursor;
}

async function fetchWindow(
  session: TablesSession,
  cursor: HostCursor,
  windowBytes: number,
  call: Call,
): Promise<Outcome> {
  const bytes = Math.min(Math.max(windowBytes, 1), MAX_WINDOW_BYTES);
  const outcome = await session.host.finish(
    () => session.host.store.fetch(cursor.number, bytes),
    call,
    cursor.scope,
  );
  session.host.counters.rowsRead += outcome.count ?? 0;
  return outcome;
}

function reply(outcome: Outcome, cursor: number, countOnly: boolean): Uint8Array {
  const rows = countOnly
    ? { window: EMPTY, count: outcome.count ?? 0 }
    : { window: outcome.result ?? EMPTY, count: 0, lastUnlocked: outcome.lastUnlocked ?? false };
  return vamos.tables.Rows.encode({ ...rows, cursor }).finish();
}

const fetch: Handler = async (session, body, call) => {
  const request = decode(vamos.tables.Fetch, body);
  const cursor = session.cursors.get(request.cursor);
  if (cursor?.stream !== call.stream)
    throw new VamosError('CURSOR_MISSING', 'the stream has no such cursor open');
  try {
    const outcome = await fetchWindow(session, cursor, request.windowBytes, call);
    if (outcome.atEnd) session.forgetCursor(request.cursor);
    return reply(outcome, outcome.atEnd ? 0 : request.cursor, false);
  } catch (error) {
    session.closeCursor(request.cursor);
    session.endIfVictim(call.stream, error);
    throw error;
  }
};

/** Closes a cursor. It is no error if the cursor has ended meanwhile. */
const close: Handler = (session, body, call) => {
  const { cursor: number } = decode(vamos.tables.CloseCursor, body);
  const numbers = number === 0 ? ownCursors(session, call.stream) : [number];
  for (const each of numbers)
    if (session.cursors.get(each)?.stream === call.stream) session.closeCursor(each);
  return EMPTY;
};

/** Returns the cursors of the stream that no end of a transaction closes. */
function ownCursors(session: TablesSession, stream: number): number[] {
  return [...session.cursors].flatMap(([number, cursor]) =>
    cursor.stream === stream && !cursor.scope.inTransaction ? [number] : [],
  );
}

export const cursorHandlers: [number, Handler][] = [
  [Method.OPEN_CURSOR, open],
  [Method.FETCH, fetch],
  [Method.CLOSE_CURSOR, close],
];
