import protobuf from 'protobufjs/minimal.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { BatchAnswers, FrameRequest, ModuleSession } from '../../../src/rpc/contract.js';
import type { HostTable } from './host_table.js';
import { native } from './operations.js';
import type { TablesHost } from './host.js';

const { Method } = vamos.tables;

/** Numbers that the store takes of a request. */
const FIELDS = 5;
/** Of Get: its first fields. */
const TABLE_TAG = 1 << 3;
const VERSION_TAG = 2 << 3;

/** What it takes of a session. */
interface Reader {
  readonly host: TablesHost;
  /** See TablesSession. */
  plainReader(stream: number, table: HostTable): number | undefined;
}

/**
 * GETs that lock nothing are most of what many connectors ask: the store answers those of a frame in one call, from the
 * messages to the messages. What is unusual about one (see the store's `answerGets`) leaves it to its handler.
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

  /** The table that a GET names, as it was opened; undefined: its handler says what is wrong. */
  #tableAt(reader: protobuf.Reader, offset: number, length: number): HostTable | undefined {
    try {
      reader.pos = offset;
      if (reader.uint32() !== TABLE_TAG) return undefined;
      const number = reader.uint32();
      if (reader.uint32() !== VERSION_TAG) return undefined;
      const version = reader.uint32();
      return reader.pos <= offset + length ? this.#session.host.catalogue.find(number, version) : undefined;
    } catch {
      return undefined; // the frame's last bytes
    }
  }
}
