import { VamosError } from '../../../../src/protocol/errors.js';
import { vamos } from '../../../../src/protocol/generated/messages.js';
import { native } from '../operations.js';
import { checkDurability, decode, refuse } from '../requests.js';
import type { Handler } from '../session.js';

const { Method, Isolation } = vamos.tables;
const { Action } = vamos.tables.Savepoint;

const EMPTY = new Uint8Array();
const MAX_NAME_BYTES = 255;

const begin: Handler = (session, body, call) => {
  const { isolation, readOnly, consistentSnapshot } = decode(vamos.tables.Begin, body);
  if (Isolation[isolation] === undefined) throw refuse(`no isolation has number ${isolation}`);
  session.begin(call.stream, () => session.host.begin(isolation, readOnly, consistentSnapshot));
  return EMPTY;
};

const commit: Handler = async (session, body, call) => {
  const { durability } = decode(vamos.tables.Commit, body);
  checkDurability(durability);
  await session.commit(call.stream, durability, call);
  return EMPTY;
};

const rollback: Handler = (session, _body, call) => {
  session.rollback(call.stream);
  return EMPTY;
};

const savepoint: Handler = (session, body, call) => {
  const { action, name } = decode(vamos.tables.Savepoint, body);
  const { store } = session.host;
  const transaction = session.transaction(call.stream);
  switch (action) {
    case Action.SET:
      if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
        throw refuse(`a savepoint's name has at most ${MAX_NAME_BYTES} bytes`);
      }
      transaction.setSavepoint(name);
      native(() => {
        store.setSavepoint(transaction.number);
      });
      return EMPTY;
    case Action.ROLLBACK_TO:
    case Action.RELEASE: {
      const isRelease = action === Action.RELEASE;
      const released = transaction.savepointsAbove(name) + (isRelease ? 1 : 0);
      for (let count = 0; count < released; count++) {
        transaction.releaseSavepoint();
        native(() => {
          store.releaseSavepoint(transaction.number);
        });
      }
      if (isRelease) return EMPTY;
      transaction.rollbackToSavepoint();
      native(() => {
        store.rollbackToSavepoint(transaction.number);
      });
      return EMPTY;
    }
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
  return EMPTY;
};

export const transactionHandlers: [number, Handler][] = [
  [Method.BEGIN, begin],
  [Method.COMMIT, commit],
  [Method.ROLLBACK, rollback],
  [Method.SAVEPOINT, savepoint],
  [Method.CLOSE_STREAM, closeStream],
];
