import { createHash } from 'node:crypto';
import { defineTable, t } from '../../guest/tables/index.js';

/** Orders and their line items: what the demo stores. The same seed gives the same rows. */
export const ORDERS = defineTable({
  name: 'orders',
  columns: {
    id: t.uint32(),
    customer: t.uint32(),
    placed: t.dateTime(),
    status: t.text(16),
    note: t.text().nullable(),
  },
  primaryKey: ['id'],
  indexes: { byCustomer: { columns: ['customer', 'placed'] } },
});

export const LINES = defineTable({
  name: 'lines',
  columns: {
    order: t.uint32(),
    number: t.uint16(),
    product: t.uint32(),
    quantity: t.uint16(),
    cents: t.int64(),
    description: t.text(),
    drawing: t.bytes().nullable(),
  },
  primaryKey: ['order', 'number'],
  indexes: { byProduct: { columns: ['product'] } },
});

export interface OrderRow {
  id: number;
  customer: number;
  placed: Date;
  status: string;
  note: string | null;
}

export interface LineRow {
  order: number;
  number: number;
  product: number;
  quantity: number;
  cents: bigint;
  description: string;
  drawing: Uint8Array | null;
}

export const CUSTOMERS = 400;
export const PRODUCTS = 1000;
const FIRST_DAY = Date.UTC(2020, 0, 1);
const STATUSES = ['new', 'paid', 'packed', 'shipped', 'returned'] as const;

/** Returns numbers from 0 to below 1 (the generator mulberry32), fixed by the seed, on every machine. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Makes rows of mixed sizes: lines from 40 bytes to 8 KiB, some 350 on average. */
export class RowMaker {
  readonly #random: () => number;
  /** Text and bytes are pieces of one pool: making rows must not be what is measured. */
  readonly #pool: Buffer;
  readonly #text: string;

  constructor(seed: number) {
    this.#random = randomNumbers(seed);
    this.#pool = Buffer.alloc(64 * 1024);
    for (let index = 0; index < this.#pool.length; index += 1) this.#pool[index] = this.below(256);
    this.#text = this.#pool.toString('base64');
  }

  /** Returns a whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  text(length: number): string {
    const start = this.below(this.#text.length - length);
    return this.#text.slice(start, start + length);
  }

  bytes(length: number): Uint8Array {
    const start = this.below(this.#pool.length - length);
    return this.#pool.subarray(start, start + length);
  }

  order(id: number, noteBytes = this.below(4) === 0 ? this.below(600) : null): OrderRow {
    return {
      id,
      customer: this.below(CUSTOMERS),
      placed: new Date(FIRST_DAY + this.below(1000) * 86_400_000 + this.below(86_400) * 1000),
      status: STATUSES[this.below(STATUSES.length)]!,
      note: noteBytes === null ? null : this.text(noteBytes),
    };
  }

  /** Returns one to seven lines. */
  lines(order: number): LineRow[] {
    return Array.from({ length: 1 + this.below(7) }, (_, index) => ({
      order,
      number: index + 1,
      product: this.below(PRODUCTS),
      quantity: 1 + this.below(20),
      cents: BigInt(this.below(1_000_000)),
      description: this.text(10 + this.below(190)),
      drawing: this.#drawing(),
    }));
  }

  #drawing(): Uint8Array | null {
    const kind = this.below(20);
    if (kind < 14) return null;
    return this.bytes(kind < 19 ? 100 + this.below(900) : 1000 + this.below(7000));
  }
}

/** SHA-256 over rows and bytes in one canonical form, so that two runs compare byte for byte. */
export class Checksum {
  readonly #hash = createHash('sha256');

  /** Adds each value as its type, its length and its bytes. */
  row(row: object): this {
    for (const value of Object.values(row) as unknown[]) {
      if (value instanceof Uint8Array) this.#add('b', value);
      else if (value instanceof Date) this.#add('d', value.toISOString());
      else if (value === null) this.#add('n', '');
      else if (typeof value === 'string') this.#add('s', value);
      else if (typeof value === 'bigint' || typeof value === 'number') this.#add('i', value.toString());
      else throw new TypeError(`no canonical form for a ${typeof value}`);
    }
    this.#hash.update(';');
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  #add(type: string, data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    this.#hash.update(`${type}${bytes.length}:`).update(bytes);
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}
