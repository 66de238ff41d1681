import type { Table } from '../../guest/tables/index.js';
import { BlobHandle } from '../../guest/tables/blob.js';
import type { AnyRow } from '../../guest/tables/codec.js';
import { crc32c } from '../../src/channel/crc32c.js';
import { readWindow, WriteBatch, writeKeyBatch } from '../../src/protocol/batches.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { BlobReference } from '../../src/protocol/rows.js';
import type { RpcStream } from '../../src/rpc/contract.js';
import type { RpcClient } from '../../src/rpc/connector/client.js';

const { Method } = vamos.tables;
const NO_READER = { isTransaction: false, send: () => Promise.reject(new Error('read with readBlob')) };
type Scope = vamos.tables.IScope;

/** Sends what a connector in another language asks for, message by message, on a stream of its own. */
export class Requests {
  readonly stream: RpcStream;

  constructor(
    client: RpcClient,
    // A table of any definition.
    private readonly table: Pick<Table<never>, 'opened'>,
  ) {
    this.stream = client.stream();
  }

  get head(): { table: number; version: number } {
    const { table, version } = this.table.opened.codec;
    return { table, version };
  }

  begin(fields: vamos.tables.IBegin = {}): Promise<Uint8Array> {
    return this.stream.call(Method.BEGIN, vamos.tables.Begin.encode(fields).finish());
  }

  commit(fields: vamos.tables.ICommit = {}): Promise<Uint8Array> {
    const body = vamos.tables.Commit.encode(fields).finish();
    return this.stream.call(Method.COMMIT, body, { isCommit: true });
  }

  rollback(): Promise<Uint8Array> {
    return this.stream.call(Method.ROLLBACK, new Uint8Array());
  }

  savepoint(action: 'SET' | 'ROLLBACK_TO' | 'RELEASE' | 'ROLLBACK_STATEMENT', which: string | number) {
    const fields = typeof which === 'string' ? { name: which } : { statement: which };
    const body = vamos.tables.Savepoint.encode({
      action: vamos.tables.Savepoint.Action[action],
      ...fields,
    }).finish();
    return this.stream.call(Method.SAVEPOINT, body);
  }

  prepare(xid: string | Uint8Array, fields: vamos.tables.IPrepare = {}): Promise<Uint8Array> {
    const body = vamos.tables.Prepare.encode({ xid: Buffer.from(xid as string), ...fields }).finish();
    return this.stream.call(Method.PREPARE, body);
  }

  endPrepared(how: 'COMMIT' | 'ROLLBACK', xid: string | Uint8Array): Promise<Uint8Array> {
    const body = vamos.tables.EndPrepared.encode({ xid: Buffer.from(xid as string) }).finish();
    return this.stream.call(Method[`${how}_PREPARED`], body);
  }

  async listPrepared(): Promise<string[]> {
    const body = await this.stream.call(Method.LIST_PREPARED, new Uint8Array());
    return vamos.tables.PreparedList.decode(body)
      .xids.map((xid) => Buffer.from(xid).toString())
      .sort();
  }

  async lastCommit(stream: number): Promise<number> {
    const body = await this.stream.call(
      Method.LAST_COMMIT,
      vamos.tables.LastCommit.encode({ stream }).finish(),
    );
    return Number(vamos.tables.LastCommitted.decode(body).number);
  }

  closeStream(): Promise<Uint8Array> {
    return this.stream.call(Method.CLOSE_STREAM, new Uint8Array());
  }

  insert(row: AnyRow, scope: Scope = {}, fields: vamos.tables.IWrite = {}): Promise<Uint8Array> {
    return this.#write(Method.INSERT, { new: row }, scope, fields);
  }

  update(before: AnyRow, after: AnyRow, scope: Scope = {}): Promise<Uint8Array> {
    return this.#write(Method.UPDATE, { old: before, new: after }, scope);
  }

  delete(row: AnyRow, scope: Scope = {}): Promise<Uint8Array> {
    return this.#write(Method.DELETE, { old: row }, scope);
  }

  updateWhere(fields: vamos.tables.IChangeWhere, scope: Scope = {}) {
    return this.#change(Method.UPDATE_WHERE, fields, scope);
  }

  deleteWhere(fields: vamos.tables.IChangeWhere = {}, scope: Scope = {}) {
    return this.#change(Method.DELETE_WHERE, fields, scope);
  }

  async get(id: number, scope: Scope = {}, lock: keyof typeof vamos.tables.Lock = 'NONE') {
    const { codec } = this.table.opened;
    const keys = writeKeyBatch([codec.key(0, id)]);
    const request = { ...this.head, scope, keys, lock: vamos.tables.Lock[lock] };
    const body = await this.stream.call(Method.GET, vamos.tables.Get.encode(request).finish());
    const [found] = [...readWindow(vamos.tables.Rows.decode(body).window, false)];
    return found?.row ? codec.unpack(codec.whole, found.row, NO_READER, true) : undefined;
  }

  /** Writes a new blob, for one row of this session to own. */
  async writeBlob(data: Uint8Array): Promise<BlobHandle> {
    const body = await this.stream.call(Method.WRITE_BLOB, vamos.tables.WriteBlob.encode({ data }).finish());
    const { blob, lengthBytes } = vamos.tables.BlobWritten.decode(body);
    return new BlobHandle({ blob: Number(blob), lengthBytes: Number(lengthBytes) }, NO_READER);
  }

  /** Discards a blob, to which no row will refer. */
  discardBlob({ raw }: BlobHandle): Promise<Uint8Array> {
    const { blob } = raw as BlobReference;
    return this.stream.call(
      Method.WRITE_BLOB,
      vamos.tables.WriteBlob.encode({ blob, discard: true }).finish(),
    );
  }

  async readBlob({ raw }: BlobHandle): Promise<Uint8Array> {
    const { blob, lengthBytes } = raw as BlobReference;
    const request = vamos.tables.ReadBlob.encode({ blob, lengthBytes }).finish();
    return vamos.tables.BlobRead.decode(await this.stream.call(Method.READ_BLOB, request)).data;
  }

  unlock(ids: readonly number[], scope: Scope): Promise<Uint8Array> {
    const keys = writeKeyBatch(ids.map((id) => this.table.opened.codec.key(0, id)));
    return this.stream.call(
      Method.UNLOCK,
      vamos.tables.Unlock.encode({ ...this.head, scope, keys }).finish(),
    );
  }

  async #change(method: number, fields: vamos.tables.IChangeWhere, scope: Scope) {
    const body = vamos.tables.ChangeWhere.encode({ ...this.head, scope, ...fields }).finish();
    const { found, changed } = vamos.tables.Changed.decode(await this.stream.call(method, body));
    return { found: Number(found), changed: Number(changed) };
  }

  #write(
    method: number,
    row: { old?: AnyRow; new?: AnyRow },
    scope: Scope,
    fields: vamos.tables.IWrite = {},
  ): Promise<Uint8Array> {
    const { codec } = this.table.opened;
    const batch = new WriteBatch();
    const old = row.old && codec.packedAsRead(row.old);
    const raw = row.new && codec.rawValues(row.new);
    batch.add({
      ...(old && {
        deleted: { fingerprint: crc32c(old.packed), entries: codec.entries(old.raw) },
      }),
      ...(raw && { inserted: { row: codec.whole.format.pack(raw), entries: codec.entries(raw) } }),
    });
    const request = { ...this.head, scope, batch: batch.finish(), ...fields };
    return this.stream.call(method, vamos.tables.Write.encode(request).finish());
  }
}

/** A scope in the stream's transaction; statement 0: the request is one by itself. */
export function inTransaction(statement = 0, more: Scope = {}): Scope {
  return { inTransaction: true, statement, ...more };
}
