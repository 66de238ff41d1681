import protobuf from 'protobufjs/minimal.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { BatchAnswers, FrameRequest, ModuleSession } from '../../../src/rpc/contract.js';
import type { HostTable } from './host_table.js';
import { native } from './operations.js';
import type { TablesHost } from './host.js';

const { Method } = vamos.tables;

/** How many numbers the store takes for a request. */
const FIELDS = 5;
/** The tags of Get's first fields. */
const TABLE_TAG = 1 << 3;
const VERSION_TAG = 2 << 3;

/** What this needs of a session. */
interface Reader {
  readonly host: TablesHost;
  /** See TablesSession. */
  plainReader(stream: number, table: HostTable): number | undefined;
}

/**
 * Answers GETs that lock nothing, which are most of what many connectors ask: the store answers those of a
 * frame in one call, from encoded messages to encoded messages. A GET with anything unusual (see the store's
 * `answerGets`) is left to its handler.
 */
export class BatchedGets implements NonNullable<ModuleSession['batch']> {
  readonly #session: Reader;

  constructor(session: Reader) {
    this.#session = session;
  }

  has(method: number): boolean {
    return method === Number(Method.GET);
  }

  answer(frame: Uint8Array, requests: readonly FrameRequest[], maxBytes: number): BatchAnswers {
    const { store, counters } = this.#session.host;
    const entries = new Float64Array(requests.length * FIELDS);
    const reader = protobuf.Reader.create(frame);
    for (const [index, { id, stream, offset, length }] of requests.entries()) {
      const table = this.#tableAt(reader, offset, length);
      const transaction = table && this.#session.plainReader(stream, table);
      if (transaction === undefined) continue;
      entries.set([id, transaction, table!.storeTable, offset, length], index * FIELDS);
    }
    const replies = native(() => store.answerGets(frame, entries, maxBytes));
    for (let index = 0; index < requests.length; index++) counters.rowsRead += entries[index * FIELDS + 1]!;
    return { replies, isAnswered: (index) => entries[index * FIELDS]! > 0 };
  }

  /** Returns the open table that a GET names; undefined: its handler says what is wrong. */
  #tableAt(reader: protobuf.Reader, offset: number, length: number): HostTable | undefined {
    try {
      reader.pos = offset;
      if (reader.uint32() !== TABLE_TAG) return undefined;
      const number = reader.uint32();
      if (reader.uint32() !== VERSION_TAG) return undefined;
      const version = reader.uint32();
      return reader.pos <= offset + length ? this.#session.host.catalogue.find(number, version) : undefined;
    } catch {
      return undefined; // The frame ends here.
    }
  }
}
