import { countKeys, readWindow as rowsOf } from '../../../../src/protocol/batches.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import { uint64Field } from '../../../../src/protocol/uint64.js';
import type { Call } from '../../../../src/rpc/contract.js';
import type { HostTable } from '../host_table.js';
import { goOn, whenOver, type NowOrLater } from '../now_or_later.js';
import { native, parkIfSlow } from '../operations.js';
import { decode } from '../decode.js';
import {
  checkBounds,
  checkIndex,
  checkLock,
  checkProjection,
  checkScope,
  programOrNone,
  refuse,
  type Scope,
  isLocking,
  skipsLocked,
} from '../requests.js';
import { KEYS_PER_READ, readWindow, readWindows, type RowRequest } from '../row_reader.js';
import type { Handler, TablesSession } from '../session.js';

const { Method } = vamos.tables;
const EMPTY = new Uint8Array();

/** The most bytes of rows in a reply, so that it has room in a frame; a single row may be larger. */
const MAX_REPLY_BYTES = 1024 * 1024 - 16 * 1024;

const get: Handler = (session, body, call) => {
  const request = decode(vamos.tables.Get, body);
  const table = session.host.catalogue.byNumber(request.table, request.version);
  const scope = checkScope(request.scope);
  const { index, lock, keys, withKeys } = request;
  checkLock(lock);
  if (!checkIndex(table, index).unique) throw refuse(`index ${index} is not unique: scan it`);
  if (!isLocking(lock) && skipsLocked(scope)) throw refuse('only a read that locks skips locked rows');
  const read: RowRequest = {
    transaction: 0,
    table,
    index,
    keys,
    lock,
    columns: checkProjection(table, request.columns),
    withKeys,
    filter: programOrNone(request.filter),
  };
  if (!scope.inTransaction && !isLocking(lock)) {
    table.use.begin();
    return whenOver(
      () => readReply(session, read, call, scope),
      () => {
        table.use.end();
      },
    );
  }
  return session.within(scope, call, table, 'rollback', (transaction) =>
    readReply(session, { ...read, transaction: transaction.number }, call, scope),
  );
};

function readReply(
  session: TablesSession,
  read: RowRequest,
  call: Call,
  scope: Scope,
): NowOrLater<Uint8Array> {
  const count = countKeys(read.keys, KEYS_PER_READ);
  if (count === undefined) return readManyReply(session, read, call, scope);
  return goOn(
    () => readWindow(session.host, read, read.keys, call, scope),
    (window) => {
      if (window.length > MAX_REPLY_BYTES) {
        const fitting = firstRows(window, read.withKeys, MAX_REPLY_BYTES, true);
        return reply(session, fitting.window, fitting.rows);
      }
      return reply(session, window, count);
    },
  );
}

function reply(session: TablesSession, window: Uint8Array, count: number): Uint8Array {
  session.host.counters.rowsRead += count;
  return vamos.tables.Rows.encode({ window, count }).finish();
}

async function readManyReply(
  session: TablesSession,
  read: RowRequest,
  call: Call,
  scope: Scope,
): Promise<Uint8Array> {
  const windows: Uint8Array[] = [];
  let bytes = 0;
  let count = 0;
  for await (const { keys, window } of readWindows(session.host, read, call, scope)) {
    if (bytes + window.length > MAX_REPLY_BYTES) {
      const fitting = firstRows(window, read.withKeys, MAX_REPLY_BYTES - bytes, count === 0);
      windows.push(fitting.window);
      count += fitting.rows;
      break;
    }
    windows.push(window);
    bytes += window.length;
    count += keys;
  }
  return reply(session, Buffer.concat(windows), count);
}

/**
 * Returns as many rows of a window as maxBytes hold, and the first one in any case if the caller needs one.
 */
function firstRows(
  window: Uint8Array,
  withKeys: boolean,
  maxBytes: number,
  atLeastOne: boolean,
): { window: Uint8Array; rows: number } {
  let end = 0;
  let rows = 0;
  for (const row of rowsOf(window, withKeys)) {
    if (row.end > maxBytes && !(atLeastOne && rows === 0)) break;
    end = row.end;
    rows++;
  }
  return { window: window.subarray(0, end), rows };
}

const unlock: Handler = (session, body, call) => {
  const request = decode(vamos.tables.Unlock, body);
  const table = session.host.catalogue.byNumber(request.table, request.version);
  const transaction = session.transaction(call.stream);
  // Another statement began meanwhile, so it is too late.
  if (checkScope(request.scope).statement !== transaction.statement) return EMPTY;
  native(() => {
    session.host.store.unlock(transaction.number, table.storeTable, request.keys);
  });
  return EMPTY;
};

const estimate: Handler = (session, body, call) => {
  const request = decode(vamos.tables.Estimate, body);
  const table = session.host.catalogue.byNumber(request.table, request.version);
  checkIndex(table, request.index);
  const bounds = checkBounds(request.bounds);
  const { host } = session;
  return goOn(
    () => host.finish(() => host.store.estimateRange(table.storeTable, request.index, bounds), call),
    ({ result }) => result ?? EMPTY,
  );
};

/**
 * Makes the statistics that a connector gets of a table's size and values.
 * @param knownSample the sample whose indexes the connector has already
 */
export function statisticsOf(
  session: TablesSession,
  table: HostTable,
  knownSample = 0,
): vamos.tables.ITableStatistics {
  const { createdMs, sample } = table;
  const rows = Math.max(0, table.rows);
  const isSampled = sample.number > 0;
  return {
    rows,
    bytes: isSampled
      ? rows * sample.rowBytes
      : native(() => session.host.store.estimate(table.storeTable)).bytes,
    nextAutoIncrement: table.definition.autoIncrement === 0 ? 0 : uint64Field(table.autoIncrement.next),
    indexBytes: rows * sample.entryBytes,
    blobBytes: rows * sample.blobBytes,
    sample: sample.number,
    indexes: sample.number === knownSample ? [] : sample.indexes,
    createdMs,
    updatedMs: sample.updatedMs,
  };
}

/** Waits until the table's statistics are not out of date. If that fails they stay as they are. */
export async function freshen(session: TablesSession, table: HostTable, call: Call): Promise<void> {
  const slow = parkIfSlow([call]);
  await session.host.catalogue.samples.renew(table).catch(() => undefined);
  slow.done();
}

const statistics: Handler = (session, body, call) => {
  const { table: number, knownSample, fresh } = decode(vamos.tables.Statistics, body);
  const { catalogue } = session.host;
  const reply = (): Uint8Array =>
    vamos.tables.TableStatistics.encode(
      statisticsOf(session, catalogue.latest(number), knownSample),
    ).finish();
  const table = catalogue.latest(number);
  if (fresh && catalogue.samples.isStale(table)) return freshen(session, table, call).then(reply);
  catalogue.samples.refresh(table);
  return reply();
};

const analyze: Handler = async (session, body, call) => {
  const { table: number } = decode(vamos.tables.Statistics, body);
  const { catalogue } = session.host;
  const slow = parkIfSlow([call]);
  try {
    await catalogue.samples.renew(catalogue.latest(number));
  } finally {
    slow.done();
  }
  return vamos.tables.TableStatistics.encode(statisticsOf(session, catalogue.latest(number))).finish();
};

const reserve: Handler = async (session, body) => {
  const request = decode(vamos.tables.Reserve, body);
  const table = session.host.catalogue.byNumber(request.table, request.version);
  if (table.definition.autoIncrement === 0) throw refuse('the table has no auto-increment column');
  const { first, count } = await table.autoIncrement.reserve(request.count);
  return vamos.tables.Reserved.encode({ first: uint64Field(first), count }).finish();
};

export const readHandlers: [number, Handler][] = [
  [Method.GET, get],
  [Method.UNLOCK, unlock],
  [Method.ESTIMATE, estimate],
  [Method.STATISTICS, statistics],
  [Method.ANALYZE_TABLE, analyze],
  [Method.RESERVE_AUTO_INCREMENT, reserve],
];
