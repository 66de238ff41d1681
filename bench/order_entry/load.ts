import type { Connection } from 'mysql2/promise';
import { Choices, lastName } from './random.js';
import { type Scale, tableDefinitions } from './schema.js';

const SEED = 20_101;
const ROWS_PER_INSERT = 250;
/** How many of ten orders are delivered at the start (clause 4.3.3.1: 2,100 of 3,000). */
const DELIVERED_TENTHS = 7;
const ORIGINAL = 'ORIGINAL';

type Row = (string | number | Date | null)[];

/**
 * Makes the nine tables in the connection's database and fills them (clause 4.3.3.1). The rows are the same
 * every time.
 */
export async function load(connection: Connection, engine: string | undefined, scale: Scale): Promise<void> {
  for (const definition of tableDefinitions(engine)) await connection.query(definition);
  for (const [table, rows] of generate(scale)) {
    for (let first = 0; first < rows.length; first += ROWS_PER_INSERT) {
      await connection.query(`INSERT INTO ${table} VALUES ?`, [rows.slice(first, first + ROWS_PER_INSERT)]);
    }
  }
}

function* generate(scale: Scale): Generator<[table: string, rows: Row[]]> {
  const choices = new Choices(SEED);
  const since = new Date(2024, 0, 1);
  yield ['item', numbers(scale.items).map((id) => itemRow(choices, id))];
  for (const warehouse of numbers(scale.warehouses)) {
    const perDistrict = scale.customers * 10;
    yield [
      'warehouse',
      [[warehouse, choices.text(6, 10), ...address(choices), tax(choices), perDistrict * scale.districts]],
    ];
    yield ['stock', numbers(scale.items).map((item) => stockRow(choices, warehouse, item))];
    const next = scale.customers + 1;
    yield [
      'district',
      numbers(scale.districts).map((district) => [
        warehouse,
        district,
        choices.text(6, 10),
        ...address(choices),
        tax(choices),
        perDistrict,
        next,
      ]),
    ];
    for (const district of numbers(scale.districts)) {
      const customers = numbers(scale.customers);
      yield ['customer', customers.map((id) => customerRow(choices, warehouse, district, id, since))];
      yield [
        'history',
        customers.map((id) => [
          id,
          district,
          warehouse,
          district,
          warehouse,
          since,
          10,
          choices.text(12, 24),
        ]),
      ];
      yield* orders(choices, warehouse, district, scale, since);
    }
  }
}

/** Yields one order a customer, in random order. */
function* orders(
  choices: Choices,
  warehouse: number,
  district: number,
  scale: Scale,
  entered: Date,
): Generator<[table: string, rows: Row[]]> {
  const orders: Row[] = [];
  const newOrders: Row[] = [];
  const lines: Row[] = [];
  const firstUndelivered = firstUndeliveredOrder(scale);
  choices.shuffled(numbers(scale.customers)).forEach((customer, index) => {
    const order = index + 1;
    const isDelivered = order < firstUndelivered;
    const count = choices.between(5, 15);
    const carrier = isDelivered ? choices.between(1, 10) : null;
    orders.push([warehouse, district, order, customer, entered, carrier, count, 1]);
    if (!isDelivered) newOrders.push([warehouse, district, order]);
    for (const number of numbers(count)) {
      const item = choices.between(1, scale.items);
      const amount = isDelivered ? '0.00' : choices.decimal(1, 999_999, 2);
      const delivered = isDelivered ? entered : null;
      const info = choices.text(24);
      lines.push([warehouse, district, order, number, item, warehouse, delivered, 5, amount, info]);
    }
  });
  yield ['orders', orders];
  yield ['new_order', newOrders];
  yield ['order_line', lines];
}

export function firstUndeliveredOrder({ customers }: Scale): number {
  return Math.floor((customers * DELIVERED_TENTHS) / 10) + 1;
}

function itemRow(choices: Choices, id: number): Row {
  return [
    id,
    choices.between(1, 10_000),
    choices.text(14, 24),
    choices.decimal(100, 10_000, 2),
    data(choices),
  ];
}

function stockRow(choices: Choices, warehouse: number, item: number): Row {
  const info = Array.from({ length: 10 }, () => choices.text(24));
  return [warehouse, item, choices.between(10, 100), ...info, 0, 0, 0, data(choices)];
}

function customerRow(choices: Choices, warehouse: number, district: number, id: number, since: Date): Row {
  const credit = choices.isOneIn(10) ? 'BC' : 'GC';
  const name = [choices.text(8, 16), 'OE', lastName(id - 1)];
  const money = ['50000.00', choices.decimal(0, 5000, 4), '-10.00', '10.00', 1, 0];
  const text = choices.text(300, 500);
  const phone = choices.digits(16);
  return [warehouse, district, id, ...name, ...address(choices), phone, since, credit, ...money, text];
}

function address(choices: Choices): Row {
  const lines = [choices.text(10, 20), choices.text(10, 20), choices.text(10, 20)];
  return [...lines, choices.text(2), `${choices.digits(4)}11111`];
}

function tax(choices: Choices): string {
  return choices.decimal(0, 2000, 4);
}

/** Returns random data, of which one in ten contains the word that marks an original. */
function data(choices: Choices): string {
  const text = choices.text(26, 50);
  if (!choices.isOneIn(10)) return text;
  const start = choices.between(0, text.length - ORIGINAL.length);
  return text.slice(0, start) + ORIGINAL + text.slice(start + ORIGINAL.length);
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
