import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Choices } from './random.js';
import { districtColumn, type Scale } from './schema.js';

/** One of the five transactions, with its input, which stays the same however often it is run again. */
export interface Transaction {
  type: TransactionType;
  /**
   * Runs between START TRANSACTION and COMMIT. Returns false if it must be rolled back, as the application
   * wants it.
   */
  run(connection: Connection): Promise<boolean>;
}

export const TRANSACTION_TYPES = ['new order', 'payment', 'order status', 'delivery', 'stock level'] as const;
export type TransactionType = (typeof TRANSACTION_TYPES)[number];

/** Makes a transaction's input. `home` is the terminal's warehouse. */
export function makeTransaction(
  type: TransactionType,
  choices: Choices,
  home: number,
  scale: Scale,
): Transaction {
  return { type, run: MAKERS[type](choices, home, scale) };
}

const MAKERS: Record<TransactionType, (choices: Choices, home: number, scale: Scale) => Transaction['run']> =
  {
    'new order': newOrder,
    payment,
    'order status': orderStatus,
    delivery,
    'stock level': stockLevel,
  };

type Row = Record<string, string | number | null>;

async function select(connection: Connection, sql: string, values: unknown[]): Promise<Row[]> {
  const [rows] = await connection.query<RowDataPacket[]>(sql, values);
  return rows;
}

/**
 * Reads one row.
 * @throws Error where there is none: the database lost it
 */
async function selectOne(connection: Connection, sql: string, values: unknown[]): Promise<Row> {
  const [row] = await select(connection, sql, values);
  if (row === undefined) throw new Error(`no row: ${sql} [${values.join(', ')}]`);
  return row;
}

/**
 * Clause 2.4: an order of 5 to 15 items; one in a hundred names an item that does not exist, and is rolled
 * back.
 */
function newOrder(choices: Choices, home: number, scale: Scale): Transaction['run'] {
  const district = choices.between(1, scale.districts);
  const customer = choices.customer(scale);
  const count = choices.between(5, 15);
  const items = new Map<number, { quantity: number; supplier: number }>();
  while (items.size < count) {
    const supplier = choices.isOneIn(100) ? otherWarehouse(choices, home, scale) : home;
    items.set(choices.item(scale), { quantity: choices.between(1, 10), supplier });
  }
  if (choices.isOneIn(100)) items.set(scale.items + 1, { quantity: 1, supplier: home });
  // Items are taken in one order, so that two transactions seldom wait for each other in a circle.
  const lines = [...items].map(([item, line]) => ({ item, ...line })).sort((a, b) => a.item - b.item);
  const isLocal = lines.every(({ supplier }) => supplier === home);

  return async (connection) => {
    await selectOne(
      connection,
      `SELECT c_discount, c_last, c_credit, w_tax FROM customer JOIN warehouse ON w_id = c_w_id
       WHERE c_w_id = ? AND c_d_id = ? AND c_id = ?`,
      [home, district, customer],
    );
    const place = [home, district];
    const { d_next_o_id: order } = await selectOne(
      connection,
      'SELECT d_next_o_id, d_tax FROM district WHERE d_w_id = ? AND d_id = ? FOR UPDATE',
      place,
    );
    await connection.query(
      'UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = ? AND d_id = ?',
      place,
    );
    await connection.query(
      `INSERT INTO orders (o_w_id, o_d_id, o_id, o_c_id, o_entry_d, o_ol_cnt, o_all_local) VALUES (?, NOW(), ?, ?)`,
      [[...place, order, customer], lines.length, isLocal ? 1 : 0],
    );
    await connection.query('INSERT INTO new_order VALUES (?)', [[...place, order]]);
    const prices = await select(
      connection,
      'SELECT i_id, i_price, i_name, i_data FROM item WHERE i_id IN (?)',
      [lines.map(({ item }) => item)],
    );
    if (prices.length < lines.length) return false;
    const info = new Map<number, string | number | null>();
    for (const supplier of new Set(lines.map((line) => line.supplier))) {
      const supplied = lines.filter((line) => line.supplier === supplier);
      const ids = supplied.map(({ item }) => item);
      const stock = await select(
        connection,
        `SELECT s_i_id, s_quantity, s_data, ${districtColumn(district)} AS info FROM stock
         WHERE s_w_id = ? AND s_i_id IN (?) FOR UPDATE`,
        [supplier, ids],
      );
      if (stock.length < ids.length)
        throw new Error(`warehouse ${supplier} lacks stock of ${ids.join(', ')}`);
      for (const row of stock) info.set(Number(row.s_i_id), row.info!);
      const ordered = `CASE s_i_id ${'WHEN ? THEN ? '.repeat(supplied.length)}END`;
      const quantities = supplied.flatMap(({ item, quantity }) => [item, quantity]);
      // Assignments go from left to right: the first ones still see the old quantity.
      await connection.query(
        `UPDATE stock SET s_ytd = s_ytd + ${ordered}, s_order_cnt = s_order_cnt + 1, s_remote_cnt = s_remote_cnt + ?,
           s_quantity = s_quantity - ${ordered} + IF(s_quantity - ${ordered} >= 10, 0, 91)
         WHERE s_w_id = ? AND s_i_id IN (?)`,
        [...quantities, supplier === home ? 0 : 1, ...quantities, ...quantities, supplier, ids],
      );
    }
    const rows = lines.map(({ item, quantity, supplier }, index) => {
      const cents = Math.round(Number(prices.find((row) => row.i_id === item)!.i_price) * 100) * quantity;
      const amount = (cents / 100).toFixed(2);
      return [...place, order, index + 1, item, supplier, null, quantity, amount, info.get(item)];
    });
    await connection.query('INSERT INTO order_line VALUES ?', [rows]);
    return true;
  };
}

function otherWarehouse(choices: Choices, home: number, { warehouses }: Scale): number {
  if (warehouses === 1) return home;
  return ((home - 1 + choices.between(1, warehouses - 1)) % warehouses) + 1;
}

/**
 * A customer by number, or, in six of ten cases, by last name: then the middle one of the customers that have
 * it.
 */
interface CustomerChoice {
  warehouse: number;
  district: number;
  id: number;
  name: string | undefined;
}

function chooseCustomer(choices: Choices, warehouse: number, district: number, scale: Scale): CustomerChoice {
  const name = choices.between(1, 100) <= 60 ? choices.customerName(scale) : undefined;
  return { warehouse, district, id: choices.customer(scale), name };
}

const CUSTOMER_COLUMNS = 'c_id, c_first, c_middle, c_last, c_credit, c_credit_lim, c_discount, c_balance';

/** Finds the customer. `lock`: FOR UPDATE, or nothing. */
async function findCustomer(connection: Connection, choice: CustomerChoice, lock: string): Promise<Row> {
  const { warehouse, district, id, name } = choice;
  if (name === undefined) {
    return selectOne(
      connection,
      `SELECT ${CUSTOMER_COLUMNS} FROM customer WHERE c_w_id = ? AND c_d_id = ? AND c_id = ? ${lock}`,
      [warehouse, district, id],
    );
  }
  const found = await select(
    connection,
    `SELECT ${CUSTOMER_COLUMNS} FROM customer WHERE c_w_id = ? AND c_d_id = ? AND c_last = ? ORDER BY c_first ${lock}`,
    [warehouse, district, name],
  );
  const middle = found[Math.ceil(found.length / 2) - 1];
  if (middle === undefined) throw new Error(`no customer ${name} in district ${district}`);
  return middle;
}

/** Clause 2.5; in fifteen of a hundred cases the customer is one of another warehouse. */
function payment(choices: Choices, home: number, scale: Scale): Transaction['run'] {
  const district = choices.between(1, scale.districts);
  const isRemote = choices.between(1, 100) <= 15;
  const customerWarehouse = isRemote ? otherWarehouse(choices, home, scale) : home;
  const customerDistrict = isRemote ? choices.between(1, scale.districts) : district;
  const choice = chooseCustomer(choices, customerWarehouse, customerDistrict, scale);
  const amount = choices.decimal(100, 500_000, 2);

  return async (connection) => {
    await connection.query('UPDATE warehouse SET w_ytd = w_ytd + ? WHERE w_id = ?', [amount, home]);
    const warehouse = await selectOne(
      connection,
      'SELECT w_name, w_street_1, w_street_2, w_city, w_state, w_zip FROM warehouse WHERE w_id = ?',
      [home],
    );
    await connection.query('UPDATE district SET d_ytd = d_ytd + ? WHERE d_w_id = ? AND d_id = ?', [
      amount,
      home,
      district,
    ]);
    const { d_name: districtName } = await selectOne(
      connection,
      'SELECT d_name, d_street_1, d_street_2, d_city, d_state, d_zip FROM district WHERE d_w_id = ? AND d_id = ?',
      [home, district],
    );
    const customer = await findCustomer(connection, choice, 'FOR UPDATE');
    const key = [customerWarehouse, customerDistrict, customer.c_id];
    const badCredit = customer.c_credit === 'BC' ? `, c_data = LEFT(CONCAT_WS(' ', ?, c_data), 500)` : '';
    const note = [...key, district, home, amount].join(' ');
    await connection.query(
      `UPDATE customer SET c_balance = c_balance - ?, c_ytd_payment = c_ytd_payment + ?,
         c_payment_cnt = c_payment_cnt + 1${badCredit} WHERE c_w_id = ? AND c_d_id = ? AND c_id = ?`,
      [amount, amount, ...(badCredit === '' ? [] : [note]), ...key],
    );
    await connection.query('INSERT INTO history VALUES (?, NOW(), ?, ?)', [
      [customer.c_id, customerDistrict, customerWarehouse, district, home],
      amount,
      `${warehouse.w_name}    ${districtName}`,
    ]);
    return true;
  };
}

/** Clause 2.6: a customer's last order and its lines. */
function orderStatus(choices: Choices, home: number, scale: Scale): Transaction['run'] {
  const district = choices.between(1, scale.districts);
  const choice = chooseCustomer(choices, home, district, scale);

  return async (connection) => {
    const { c_id: customer } = await findCustomer(connection, choice, '');
    const { o_id: order } = await selectOne(
      connection,
      `SELECT o_id, o_entry_d, o_carrier_id FROM orders WHERE o_w_id = ? AND o_d_id = ? AND o_c_id = ?
       ORDER BY o_id DESC LIMIT 1`,
      [home, district, customer],
    );
    await select(
      connection,
      `SELECT ol_i_id, ol_supply_w_id, ol_quantity, ol_amount, ol_delivery_d FROM order_line
       WHERE ol_w_id = ? AND ol_d_id = ? AND ol_o_id = ?`,
      [home, district, order],
    );
    return true;
  };
}

/** Clause 2.7: the oldest undelivered order of each district, all in one transaction. */
function delivery(choices: Choices, home: number, scale: Scale): Transaction['run'] {
  const carrier = choices.between(1, 10);

  return async (connection) => {
    for (let district = 1; district <= scale.districts; district++) {
      const place = [home, district];
      const [oldest] = await select(
        connection,
        'SELECT no_o_id FROM new_order WHERE no_w_id = ? AND no_d_id = ? ORDER BY no_o_id LIMIT 1 FOR UPDATE',
        place,
      );
      if (oldest === undefined) continue;
      const key = [...place, oldest.no_o_id];
      await connection.query('DELETE FROM new_order WHERE no_w_id = ? AND no_d_id = ? AND no_o_id = ?', key);
      const { o_c_id: customer } = await selectOne(
        connection,
        'SELECT o_c_id FROM orders WHERE o_w_id = ? AND o_d_id = ? AND o_id = ? FOR UPDATE',
        key,
      );
      await connection.query(
        'UPDATE orders SET o_carrier_id = ? WHERE o_w_id = ? AND o_d_id = ? AND o_id = ?',
        [carrier, ...key],
      );
      await connection.query(
        'UPDATE order_line SET ol_delivery_d = NOW() WHERE ol_w_id = ? AND ol_d_id = ? AND ol_o_id = ?',
        key,
      );
      const { total } = await selectOne(
        connection,
        'SELECT SUM(ol_amount) AS total FROM order_line WHERE ol_w_id = ? AND ol_d_id = ? AND ol_o_id = ?',
        key,
      );
      await connection.query(
        `UPDATE customer SET c_balance = c_balance + ?, c_delivery_cnt = c_delivery_cnt + 1
         WHERE c_w_id = ? AND c_d_id = ? AND c_id = ?`,
        [total, ...place, customer],
      );
    }
    return true;
  };
}

/** Clause 2.8: items of the district's last 20 orders that run low. */
function stockLevel(choices: Choices, home: number, scale: Scale): Transaction['run'] {
  const district = choices.between(1, scale.districts);
  const threshold = choices.between(10, 20);

  return async (connection) => {
    const { d_next_o_id: next } = await selectOne(
      connection,
      'SELECT d_next_o_id FROM district WHERE d_w_id = ? AND d_id = ?',
      [home, district],
    );
    await selectOne(
      connection,
      `SELECT COUNT(DISTINCT s_i_id) AS low FROM order_line JOIN stock ON s_w_id = ol_w_id AND s_i_id = ol_i_id
       WHERE ol_w_id = ? AND ol_d_id = ? AND ol_o_id >= ? AND ol_o_id < ? AND s_quantity < ?`,
      [home, district, Number(next) - 20, next, threshold],
    );
    return true;
  };
}
