import { VamosError } from './errors.js';
import { asBuffer } from './rows.js';
import { MISSING_ROW } from './generated/limits.js';

/** A row's entry in one index. */
export interface IndexEntry {
  key: Uint8Array;
  /** The key has a NULL part, so it is not checked for uniqueness. */
  hasNull: boolean;
}

/** What a write request carries for one row: a delete part, an insert part, or both (update). */
export interface WriteParts {
  deleted?: { fingerprint: number; entries: IndexEntry[] };
  inserted?: { row: Uint8Array; entries: IndexEntry[] };
}

const HAS_NULL = 1;

/** Bytes that grow. */
class Sink {
  #bytes: Buffer = Buffer.allocUnsafe(512);
  length = 0;

  #reserve(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.length + count));
    this.#bytes.copy(larger, 0, 0, this.length);
    this.#bytes = larger;
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.length = this.#bytes.writeUInt32LE(value, this.length);
  }

  /** u32 length, then the bytes. */
  block(bytes: Uint8Array): void {
    this.uint32(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }
}

/** Reads what Sink wrote; every length is checked before use. */
class Source {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes);
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  get offset(): number {
    return this.#offset;
  }

  #take(count: number): number {
    if (count > this.#bytes.length - this.#offset) {
      throw new VamosError(
        'BAD_REQUEST',
        `${count} bytes announced where ${this.#bytes.length - this.#offset} are left`,
      );
    }
    this.#offset += count;
    return this.#offset - count;
  }

  uint8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  bytes(length: number): Buffer {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  block(): Buffer {
    return this.bytes(this.uint32());
  }
}

/** Builds an insert, update or delete batch (FORMATS.md, "Write batches"). */
export class WriteBatch {
  readonly #sink = new Sink();
  rows = 0;

  get lengthBytes(): number {
    return this.#sink.length;
  }

  add({ deleted, inserted }: WriteParts): void {
    if (deleted) {
      this.#sink.uint32(deleted.fingerprint);
      this.#entries(deleted.entries);
    }
    if (inserted) {
      this.#sink.block(inserted.row);
      this.#entries(inserted.entries);
    }
    this.rows++;
  }

  #entries(entries: readonly IndexEntry[]): void {
    for (const { key, hasNull } of entries) {
      this.#sink.uint8(hasNull ? HAS_NULL : 0);
      this.#sink.block(key);
      // Every key of this connector gives its values back, so nothing is covered.
      this.#sink.uint32(0);
    }
  }

  finish(): Buffer {
    return this.#sink.finish();
  }
}

/**
 * Reads a write batch; the parts are views into it.
 * @throws VamosError BAD_REQUEST
 */
export function* readWriteBatch(
  bytes: Uint8Array,
  indexes: number,
  has: { deleted: boolean; inserted: boolean },
): Generator<WriteParts> {
  const source = new Source(bytes);
  const entries = (): IndexEntry[] =>
    Array.from({ length: indexes }, () => {
      const flags = source.uint8();
      if (flags & ~HAS_NULL) throw new VamosError('BAD_REQUEST', `unknown flags ${flags} of an index entry`);
      const key = source.block();
      source.block();
      return { key, hasNull: flags === HAS_NULL };
    });
  while (!source.isAtEnd) {
    const parts: WriteParts = {};
    if (has.deleted) parts.deleted = { fingerprint: source.uint32(), entries: entries() };
    if (has.inserted) parts.inserted = { row: source.block(), entries: entries() };
    yield parts;
  }
}

export function writeKeyBatch(keys: readonly Uint8Array[]): Buffer {
  const sink = new Sink();
  for (const key of keys) sink.block(key);
  return sink.finish();
}

/** @throws VamosError BAD_REQUEST */
export function* readKeyBatch(bytes: Uint8Array): Generator<Buffer> {
  const source = new Source(bytes);
  while (!source.isAtEnd) yield source.block();
}

/** How many keys a batch has; undefined: more than `most`, or bytes that are no key batch. */
export function countKeys(bytes: Uint8Array, most: number): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let count = 0;
  for (let offset = 0; offset < bytes.length; count++) {
    if (count === most || offset + 4 > bytes.length) return undefined;
    offset += 4 + view.getUint32(offset, true);
    if (offset > bytes.length) return undefined;
  }
  return count;
}

/** A row of a window, a view into it. */
export interface WindowRow {
  /** undefined: no such row (GET only). */
  row: Buffer | undefined;
  /** Only where asked for. */
  primaryKey?: Buffer;
  /** Where the next row begins. */
  end: number;
}

/** @throws VamosError BAD_REQUEST */
export function* readWindow(bytes: Uint8Array, withKeys: boolean): Generator<WindowRow> {
  const source = new Source(bytes);
  while (!source.isAtEnd) {
    const length = source.uint32();
    if (length === MISSING_ROW) {
      yield { row: undefined, end: source.offset };
      continue;
    }
    const row = source.bytes(length);
    if (withKeys) yield { row, primaryKey: source.block(), end: source.offset };
    else yield { row, end: source.offset };
  }
}

/** The inverse of readWindow. */
export function writeWindow(
  rows: Iterable<{ row: Uint8Array | undefined; primaryKey?: Uint8Array }>,
): Buffer {
  const sink = new Sink();
  for (const { row, primaryKey } of rows) {
    if (!row) {
      sink.uint32(MISSING_ROW);
      continue;
    }
    sink.block(row);
    if (primaryKey) sink.block(primaryKey);
  }
  return sink.finish();
}
