import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import type { Call } from '../../../../src/rpc/contract.js';
import type { HostTable } from '../host_table.js';
import { decodeCreateTable, decodeRedefineTable } from '../definition.js';
import { decode } from '../decode.js';
import type { Handler, TablesSession } from '../session.js';
import { freshen, statisticsOf } from './reads.js';

const { Method } = vamos.tables;
const EMPTY = new Uint8Array();
/** How many tables one reply lists. With the longest names it is smaller than the smallest frame. */
const LISTED_TABLES = 100;

function encodeInfo(session: TablesSession, table: HostTable): Uint8Array {
  const { number, version, definition } = table;
  const statistics = statisticsOf(session, table);
  return vamos.tables.TableInfo.encode({ table: number, version, definition, statistics }).finish();
}

/** Refuses definitions within a transaction: it may use the table, and the stream would wait for itself. */
function checkNoTransaction(session: TablesSession, call: Call): void {
  if (session.hasTransaction(call.stream)) {
    throw new VamosError('BAD_REQUEST', 'commit or roll back the open transaction of the stream first');
  }
}

function untilUnused(session: TablesSession, call: Call): (table: HostTable) => Promise<void> {
  return (table) => table.use.untilUnused(call, session.host.limits.definitionTimeoutMs);
}

const create: Handler = async (session, body, call) => {
  checkNoTransaction(session, call);
  const { temporary, ...created } = decodeCreateTable(body);
  return encodeInfo(session, await session.host.catalogue.create(created, temporary, call.signal));
};

const redefine: Handler = async (session, body, call) => {
  checkNoTransaction(session, call);
  const redefined = await session.host.catalogue.redefine(
    decodeRedefineTable(body),
    call.signal,
    untilUnused(session, call),
  );
  return encodeInfo(session, redefined);
};

const open: Handler = (session, body, call) => {
  const { name } = decode(vamos.tables.TableName, body);
  const { catalogue } = session.host;
  const table = catalogue.byName(name);
  const reply = (): Uint8Array => encodeInfo(session, catalogue.byName(name));
  return catalogue.samples.isStale(table) ? freshen(session, table, call).then(reply) : reply();
};

const drop: Handler = async (session, body, call) => {
  checkNoTransaction(session, call);
  const { name } = decode(vamos.tables.TableName, body);
  await session.host.catalogue.drop(name, call.signal, untilUnused(session, call));
  return EMPTY;
};

const truncate: Handler = async (session, body, call) => {
  checkNoTransaction(session, call);
  const { name } = decode(vamos.tables.TableName, body);
  const emptied = await session.host.catalogue.truncate(name, call.signal, untilUnused(session, call));
  return encodeInfo(session, emptied);
};

const rename: Handler = async (session, body, call) => {
  checkNoTransaction(session, call);
  const { from, to, rebuilt } = decode(vamos.tables.RenameTable, body);
  await session.host.catalogue.rename(from, to, rebuilt, call.signal);
  return EMPTY;
};

/** Lists tables in the order of their numbers, which stay when a table is renamed between two pages. */
const list: Handler = (session, body) => {
  const { after } = decode(vamos.tables.ListTables, body);
  const later = [...session.host.catalogue.tables].filter(({ number }) => number > after);
  later.sort((one, other) => one.number - other.number);
  const tables = later.slice(0, LISTED_TABLES).map(({ number, version, definition }) => ({
    table: number,
    version,
    definition: { name: definition.name },
  }));
  return vamos.tables.TableList.encode({ tables, hasMore: later.length > LISTED_TABLES }).finish();
};

export const definitionHandlers: [number, Handler][] = [
  [Method.CREATE_TABLE, create],
  [Method.OPEN_TABLE, open],
  [Method.REDEFINE_TABLE, redefine],
  [Method.DROP_TABLE, drop],
  [Method.TRUNCATE_TABLE, truncate],
  [Method.RENAME_TABLE, rename],
  [Method.LIST_TABLES, list],
];
