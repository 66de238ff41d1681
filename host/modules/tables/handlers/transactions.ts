import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import { goOn } from '../now_or_later.js';
import { decode } from '../decode.js';
import { checkCommit, checkDurability, refuse } from '../requests.js';
import type { Handler } from '../session.js';

const { Method, Isolation } = vamos.tables;
const { Action } = vamos.tables.Savepoint;

const EMPTY = new Uint8Array();
const MAX_NAME_BYTES = 255;
const SESSION_BYTES = 16;

const begin: Handler = (session, body, call) => {
  const { isolation, readOnly, consistentSnapshot } = decode(vamos.tables.Begin, body);
  if (Isolation[isolation] === undefined) throw refuse(`no isolation has number ${isolation}`);
  session.begin(call.stream, () => session.host.begin(isolation, readOnly, consistentSnapshot));
  return EMPTY;
};

const commit: Handler = (session, body, call) => {
  const { durability, number, token } = decode(vamos.tables.Commit, body);
  checkDurability(durability);
  return goOn(
    () => session.commit(call.stream, durability, checkCommit(number, token), call),
    () => EMPTY,
  );
};

const prepare: Handler = async (session, body, call) => {
  const { xid, durability } = decode(vamos.tables.Prepare, body);
  checkDurability(durability);
  await session.prepare(call.stream, xid, durability, call);
  return EMPTY;
};

function endPrepared(isCommit: boolean): Handler {
  return async (session, body, call) => {
    const { xid, durability } = decode(vamos.tables.EndPrepared, body);
    checkDurability(durability);
    await session.host.prepared.end(xid, isCommit, durability, call);
    return EMPTY;
  };
}

const listPrepared: Handler = async (session) =>
  vamos.tables.PreparedList.encode({ xids: await session.host.prepared.list() }).finish();

const lastCommit: Handler = (session, body) => {
  const { stream, session: id } = decode(vamos.tables.LastCommit, body);
  if (id.length > 0 && id.length !== SESSION_BYTES) throw refuse(`a session has ${SESSION_BYTES} bytes`);
  return vamos.tables.LastCommitted.encode(session.lastCommit(stream, id)).finish();
};

const rollback: Handler = (session, _body, call) => {
  session.rollback(call.stream);
  return EMPTY;
};

const savepoint: Handler = (session, body, call) => {
  const { action, name, statement } = decode(vamos.tables.Savepoint, body);
  const transaction = session.transaction(call.stream);
  switch (action) {
    case Action.SET:
      if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
        throw refuse(`a savepoint's name has at most ${MAX_NAME_BYTES} bytes`);
      }
      transaction.setSavepoint(name);
      return EMPTY;
    case Action.ROLLBACK_TO:
      transaction.rollbackToSavepoint(name);
      return EMPTY;
    case Action.RELEASE:
      transaction.releaseSavepoint(name);
      return EMPTY;
    case Action.ROLLBACK_STATEMENT:
      if (statement === 0) throw refuse('a statement has a number from 1 on');
      transaction.rollbackStatement(statement);
      return EMPTY;
    default:
      throw new VamosError('BAD_REQUEST', `no savepoint action has number ${String(action)}`);
  }
};

/** Rolls back and forgets what the stream has open. */
const closeStream: Handler = (session, _body, call) => {
  for (const [number, cursor] of session.cursors) {
    if (cursor.stream === call.stream) session.closeCursor(number);
  }
  if (session.hasTransaction(call.stream)) session.rollback(call.stream);
  session.forgetCommits(call.stream);
  return EMPTY;
};

export const transactionHandlers: [number, Handler][] = [
  [Method.BEGIN, begin],
  [Method.COMMIT, commit],
  [Method.ROLLBACK, rollback],
  [Method.SAVEPOINT, savepoint],
  [Method.CLOSE_STREAM, closeStream],
  [Method.PREPARE, prepare],
  [Method.COMMIT_PREPARED, endPrepared(true)],
  [Method.ROLLBACK_PREPARED, endPrepared(false)],
  [Method.LIST_PREPARED, listPrepared],
  [Method.LAST_COMMIT, lastCommit],
];
