import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { ColumnKind } from '../../src/protocol/rows.js';
import { uint64, uint64Field } from '../../src/protocol/uint64.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import type { AnyRow, TableCodec } from './codec.js';
import type { Link } from './stream.js';

const FIRST_RANGE = 16;
const LARGEST_RANGE = 16_384;

/** Hands out auto-increment values from ranges that the host reserves for this connector, larger ones each time. */
export class AutoIncrement {
  readonly #codec: TableCodec;
  readonly #name: string;
  readonly #valueOf: (next: bigint) => unknown;
  #next = 0n;
  #end = 0n;
  /** The session in which the range was reserved. */
  #epoch = 0;
  #rangeRows = FIRST_RANGE;
  #reserving: Promise<void> | undefined;

  constructor(codec: TableCodec, column: number) {
    this.#codec = codec;
    const { name, type } = codec.columns[column]!;
    this.#name = name;
    const isBigInt = type.kind === ColumnKind.INT64 || type.kind === ColumnKind.UINT64;
    // Columns of MariaDB's tables read as mysql2 would show them: as a number where it fits.
    this.#valueOf = (next) => {
      if (isBigInt && !type.isLossy) return next;
      return next <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(next) : String(next);
    };
  }

  /** Returns the rows with their values: those that have none get the next ones, in order. */
  async fill(rows: readonly AnyRow[], link: Link, options: CallOptions): Promise<AnyRow[]> {
    const given = this.#given(rows);
    const missing = rows.length - given.length;
    for (const value of given) this.#passOver(value);
    while (this.#left(link) < BigInt(missing)) {
      this.#reserving ??= this.#reserve(missing, link, options).finally(() => {
        this.#reserving = undefined;
      });
      await this.#reserving;
      // The host has not seen the rows' own values yet, so the new range may hold some of them.
      for (const value of given) if (value < this.#end) this.#passOver(value);
    }
    const numbered = rows.map((row) => {
      if (hasValue(row[this.#name])) return row;
      return { ...row, [this.#name]: this.#valueOf(this.#next++) };
    });
    for (const value of given) this.#passOver(value);
    return numbered;
  }

  /**
   * Returns how many values are left. What was reserved in another session is not this connector's any more:
   * its memory may have been rolled back since, and rows may have the values.
   */
  #left(link: Link): bigint {
    if (this.#epoch !== link.epoch) this.#next = this.#end;
    return this.#end - this.#next;
  }

  /**
   * Returns the largest value that the rows gave themselves, as a field of a message, for the host's counter.
   */
  seen(rows: readonly AnyRow[]): number {
    let largest = 0n;
    for (const value of this.#given(rows)) if (value > largest) largest = value;
    return uint64Field(largest);
  }

  #given(rows: readonly AnyRow[]): bigint[] {
    return rows.map((row) => integerOf(row[this.#name])).filter((value) => value !== undefined);
  }

  /** Makes sure that later values are greater than one that a row gave itself. */
  #passOver(value: bigint): void {
    if (value >= this.#next) this.#next = value < this.#end ? value + 1n : this.#end;
  }

  async #reserve(count: number, link: Link, options: CallOptions): Promise<void> {
    const wanted = Math.max(count, this.#rangeRows);
    const request = { table: this.#codec.table, version: this.#codec.version, count: wanted };
    const body = vamos.tables.Reserve.encode(request).finish();
    const answer = await link.sendApart(vamos.tables.Method.RESERVE_AUTO_INCREMENT, body, options);
    this.#epoch = link.epoch;
    const reply = vamos.tables.Reserved.decode(answer);
    if (reply.count < 1) throw new VamosError('INTERNAL', 'the host reserved no auto-increment value');
    // What is left of a range that can't serve the request is given up, unless the new range continues it.
    const first = uint64(reply.first, answer, 1);
    if (first !== this.#end) this.#next = first;
    this.#end = first + BigInt(reply.count);
    this.#rangeRows = Math.min(this.#rangeRows * 4, LARGEST_RANGE);
  }
}

function hasValue<Value>(value: Value): value is NonNullable<Value> {
  return value !== undefined && value !== null;
}

/** Returns undefined for what is no integer: the row's codec refuses that. */
function integerOf(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? BigInt(Math.trunc(value)) : undefined;
  return typeof value === 'string' && /^-?\d+$/.test(value) ? BigInt(value) : undefined;
}
