import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { ColumnKind } from '../../src/protocol/rows.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import type { AnyRow, TableCodec } from './codec.js';
import type { Link } from './stream.js';

const FIRST_RANGE = 16;
const LARGEST_RANGE = 16_384;

/** Hands out auto-increment values from ranges that the host reserves for this connector, larger ones each time. */
export class AutoIncrement {
  readonly #codec: TableCodec;
  readonly #name: string;
  readonly #valueOf: (next: number) => unknown;
  #next = 0;
  #end = 0;
  #rangeRows = FIRST_RANGE;
  #reserving: Promise<void> | undefined;

  constructor(codec: TableCodec, column: number) {
    this.#codec = codec;
    const { name, type } = codec.columns[column]!;
    this.#name = name;
    const isBigInt = type.kind === ColumnKind.INT64 || type.kind === ColumnKind.UINT64;
    // Columns of MariaDB's tables show as mysql2 would show them: as a number.
    this.#valueOf = (next) => (isBigInt && !type.isLossy ? BigInt(next) : next);
  }

  /** The rows with their values: those that have none get the next ones, in order. */
  async fill(rows: readonly AnyRow[], link: Link, options: CallOptions): Promise<AnyRow[]> {
    const given = rows.map((row) => row[this.#name]).filter(hasValue);
    const missing = rows.length - given.length;
    for (const value of given) this.#passOver(Number(value));
    while (this.#end - this.#next < missing) {
      this.#reserving ??= this.#reserve(missing, link, options).finally(() => {
        this.#reserving = undefined;
      });
      await this.#reserving;
      // The host has not seen the rows' own values yet: the new range may hold some of them.
      for (const value of given) if (Number(value) < this.#end) this.#passOver(Number(value));
    }
    const numbered = rows.map((row) => {
      if (hasValue(row[this.#name])) return row;
      return { ...row, [this.#name]: this.#valueOf(this.#next++) };
    });
    for (const value of given) this.#passOver(Number(value));
    return numbered;
  }

  /** The largest value that the rows gave themselves, for the host's counter. */
  seen(rows: readonly AnyRow[]): number {
    let largest = 0;
    for (const row of rows) {
      const value = row[this.#name];
      if (hasValue(value)) largest = Math.max(largest, Number(value));
    }
    return Math.min(largest, Number.MAX_SAFE_INTEGER);
  }

  /** What comes next is greater than what a row gave itself. */
  #passOver(value: number): void {
    if (value >= this.#next) this.#next = Math.min(value + 1, this.#end);
  }

  async #reserve(count: number, link: Link, options: CallOptions): Promise<void> {
    const wanted = Math.max(count, this.#rangeRows);
    const request = { table: this.#codec.table, version: this.#codec.version, count: wanted };
    const body = vamos.tables.Reserve.encode(request).finish();
    const reply = vamos.tables.Reserved.decode(
      await link.sendApart(vamos.tables.Method.RESERVE_AUTO_INCREMENT, body, options),
    );
    if (reply.count < 1) throw new VamosError('INTERNAL', 'the host reserved no auto-increment value');
    // What is left of a range that can't serve the request is given up, unless the new one continues it.
    if (Number(reply.first) !== this.#end) this.#next = Number(reply.first);
    this.#end = Number(reply.first) + reply.count;
    this.#rangeRows = Math.min(this.#rangeRows * 4, LARGEST_RANGE);
  }
}

function hasValue(value: unknown): boolean {
  return value !== undefined && value !== null;
}
