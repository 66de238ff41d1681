import { vamos } from '../../src/protocol/generated/messages.js';

const { tables } = vamos;

const bytes = (value: string): Uint8Array => Buffer.from(value);

const scope: vamos.tables.IScope = {
  inTransaction: true,
  durability: 2,
  wait: 1,
  lockTimeoutMs: 70_000,
  statement: 3,
  commitNumber: 2 ** 40,
  commitToken: bytes('token'),
};
const bounds: vamos.tables.IBounds = {
  lower: bytes('low'),
  upper: bytes('up'),
  hasLower: true,
  hasUpper: true,
  lowerExclusive: true,
  upperExclusive: true,
};
const definition: vamos.tables.IDefinition = {
  name: 'shop/orders',
  columns: [
    { name: 'id', kind: 7, type: 'mariadb:bigint(20) unsigned' },
    { name: 'note', kind: 12, nullable: true, widthBytes: 65535, type: 'mariadb:text collate utf8mb4_bin' },
  ],
  indexes: [
    { name: 'PRIMARY', unique: true, parts: [{}] },
    {
      name: 'note',
      parts: [{ column: 1, descending: true, opaque: true, prefixCharacters: 20, levels: bytes('\0') }, {}],
    },
  ],
  autoIncrement: 1,
  detail: bytes('\0frm'),
};
const indexes = [{ hundredthsPerKey: [100, 2 ** 31] }, {}];
const statistics: vamos.tables.ITableStatistics = {
  rows: 1e15,
  bytes: 2,
  nextAutoIncrement: 3,
  indexBytes: 4,
  blobBytes: 5,
  sample: 6,
  indexes,
  createdMs: 1.7e12,
  updatedMs: 8,
};
const sample: vamos.tables.ITableSample = {
  number: 1,
  rows: 2,
  changed: 3,
  updatedMs: 1.7e12,
  rowBytes: 5,
  blobBytes: 6,
  entryBytes: 7,
  indexes,
};
const info: vamos.tables.ITableInfo = { table: 7, version: 300, definition, statistics };
const at = { table: 7, version: 300 };

/** Every message that C++ uses, with a value in each of its fields that is not its default. */
const MESSAGES: [string, { finish(): Uint8Array }][] = [
  ['CreateTable', tables.CreateTable.encode({ definition, nextAutoIncrement: 9, temporary: true })],
  ['RedefineTable', tables.RedefineTable.encode({ name: 'shop/orders', definition, nextAutoIncrement: 9 })],
  ['TableName', tables.TableName.encode({ name: 'a' })],
  ['RenameTable', tables.RenameTable.encode({ from: 'a', to: 'b', rebuilt: true })],
  ['TableStatistics', tables.TableStatistics.encode(statistics)],
  ['TableInfo', tables.TableInfo.encode(info)],
  ['TableSample', tables.TableSample.encode(sample)],
  ['ListTables', tables.ListTables.encode({ after: 8 })],
  ['TableList', tables.TableList.encode({ tables: [info, {}], hasMore: true })],
  ['Begin', tables.Begin.encode({ isolation: 2, readOnly: true, consistentSnapshot: true })],
  ['Commit', tables.Commit.encode({ durability: 1, number: 12, token: bytes('t') })],
  ['Savepoint', tables.Savepoint.encode({ action: 3, name: 's', statement: 4 })],
  ['Prepare', tables.Prepare.encode({ xid: bytes('xid'), durability: 1 })],
  ['EndPrepared', tables.EndPrepared.encode({ xid: bytes('xid'), durability: 1 })],
  ['PreparedList', tables.PreparedList.encode({ xids: [bytes('one'), bytes('')] })],
  ['LastCommit', tables.LastCommit.encode({ stream: 5, session: bytes('s') })],
  ['LastCommitted', tables.LastCommitted.encode({ number: 6, token: bytes('t') })],
  ['Unlock', tables.Unlock.encode({ ...at, scope, keys: bytes('keys') })],
  ['Write', tables.Write.encode({ ...at, scope, batch: bytes('b'), autoIncrementSeen: 5, duplicateLock: 2 })],
  ['Written', tables.Written.encode({ rows: 2 })],
  [
    'Get',
    tables.Get.encode({
      ...at,
      scope,
      index: 1,
      keys: bytes('k'),
      lock: 1,
      columns: [0, 300],
      withKeys: true,
    }),
  ],
  [
    'OpenCursor',
    tables.OpenCursor.encode({
      ...at,
      scope,
      index: 1,
      bounds,
      reverse: true,
      limitRows: 10,
      lock: 2,
      columns: [2],
      withKeys: true,
      windowBytes: 65536,
      countOnly: true,
      semiConsistent: true,
    }),
  ],
  ['Fetch', tables.Fetch.encode({ cursor: 1, windowBytes: 2 })],
  ['CloseCursor', tables.CloseCursor.encode({ cursor: 1 })],
  ['Rows', tables.Rows.encode({ window: bytes('window'), cursor: 2, count: 3, lastUnlocked: true })],
  ['Reserve', tables.Reserve.encode({ ...at, count: 3 })],
  ['Reserved', tables.Reserved.encode({ first: 2 ** 50, count: 3 })],
  ['Statistics', tables.Statistics.encode({ table: 7, knownSample: 8, fresh: true })],
  ['Estimate', tables.Estimate.encode({ ...at, index: 1, bounds })],
  ['Estimated', tables.Estimated.encode({ rows: 1, bytes: 2 })],
  ['WriteBlob', tables.WriteBlob.encode({ blob: 3, data: bytes('data'), discard: true })],
  ['BlobWritten', tables.BlobWritten.encode({ blob: 3, lengthBytes: 4 })],
  ['ReadBlob', tables.ReadBlob.encode({ blob: 3, offset: 4, lengthBytes: 5, inTransaction: true })],
  ['BlobRead', tables.BlobRead.encode({ data: bytes('data') })],
  [
    'Hello',
    vamos.Hello.encode({
      version: 1,
      nonce: bytes('nonce'),
      session: bytes('session'),
      epoch: 2,
      token: 't',
      program: 'p',
      replyWindowBytes: 3,
      stamps: [1, 2 ** 32 - 1],
    }),
  ],
  [
    'Welcome',
    vamos.Welcome.encode({
      nonce: bytes('nonce'),
      version: 1,
      maxFrameBytes: 2,
      requestWindowBytes: 3,
      maxFramesInFlight: 4,
      worker: bytes('worker'),
    }),
  ],
  [
    'RequestBatch',
    vamos.RequestBatch.encode({
      requests: [
        { id: 1, stream: 2, method: 273, deadlineMs: 5000, chain: true, body: bytes('x'.repeat(200)) },
        { id: 200, stream: 2, method: 289 },
      ],
      receivedBytes: 2 ** 33,
      stamp: 2 ** 32 - 1,
    }),
  ],
  [
    'ReplyBatch',
    vamos.ReplyBatch.encode({
      replies: [
        { id: 1, body: bytes('body') },
        { id: 2, failure: { code: 100, message: 'twice', detail: bytes('d') } },
      ],
      stamp: 2 ** 32 - 1,
    }),
  ],
  ['Parked', vamos.Parked.encode({ ids: [1, 200] })],
  ['Cancel', vamos.Cancel.encode({ ids: [1, 200] })],
  ['Goodbye', vamos.Goodbye.encode({ code: 46, message: 'why', nonce: bytes('n') })],
  ['Credit', vamos.Credit.encode({ receivedBytes: 2 ** 33 })],
];

/** Returns the lines of test/vectors/messages.txt: `NAME BYTES`, the bytes in hexadecimal. */
export function messageLines(): string[] {
  return MESSAGES.map(([name, writer]) => `${name} ${Buffer.from(writer.finish()).toString('hex')}`);
}
