import type { Connection, RowDataPacket } from 'mysql2/promise';

/**
 * The consistency conditions of clause 3.3.2, each as a query for what breaks it. Condition 11 holds only for
 * the database as loaded, see `initialViolations`.
 */
const CONDITIONS: Record<number, string> = {
  1: `SELECT w_id, w_ytd, SUM(d_ytd) AS other FROM warehouse JOIN district ON d_w_id = w_id
      GROUP BY w_id, w_ytd HAVING other <> w_ytd`,
  2: `SELECT d_w_id, d_id, d_next_o_id,
        (SELECT MAX(o_id) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id) AS last_order,
        (SELECT MAX(no_o_id) FROM new_order WHERE no_w_id = d_w_id AND no_d_id = d_id) AS last_new
      FROM district HAVING last_order <> d_next_o_id - 1 OR last_new <> d_next_o_id - 1 OR last_order IS NULL`,
  3: `SELECT no_w_id, no_d_id, COUNT(*) AS found, MAX(no_o_id) - MIN(no_o_id) + 1 AS other FROM new_order
      GROUP BY no_w_id, no_d_id HAVING found <> other`,
  4: `SELECT d_w_id, d_id,
        (SELECT SUM(o_ol_cnt) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id) AS counted,
        (SELECT COUNT(*) FROM order_line WHERE ol_w_id = d_w_id AND ol_d_id = d_id) AS found
      FROM district HAVING NOT counted <=> found`,
  5: `SELECT o_w_id, o_d_id, o_id, o_carrier_id, no_o_id FROM orders
        LEFT JOIN new_order ON no_w_id = o_w_id AND no_d_id = o_d_id AND no_o_id = o_id
      WHERE (o_carrier_id IS NULL) <> (no_o_id IS NOT NULL)`,
  6: `SELECT o_w_id, o_d_id, o_id, o_ol_cnt, COUNT(ol_number) AS found FROM orders
        LEFT JOIN order_line ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id
      GROUP BY o_w_id, o_d_id, o_id, o_ol_cnt HAVING found <> o_ol_cnt`,
  7: `SELECT ol_w_id, ol_d_id, ol_o_id, ol_number FROM order_line
        JOIN orders ON o_w_id = ol_w_id AND o_d_id = ol_d_id AND o_id = ol_o_id
      WHERE (ol_delivery_d IS NULL) <> (o_carrier_id IS NULL)`,
  8: `SELECT w_id, w_ytd, SUM(h_amount) AS other FROM warehouse JOIN history ON h_w_id = w_id
      GROUP BY w_id, w_ytd HAVING other <> w_ytd`,
  9: `SELECT d_w_id, d_id, d_ytd, SUM(h_amount) AS other FROM district JOIN history ON h_w_id = d_w_id AND h_d_id = d_id
      GROUP BY d_w_id, d_id, d_ytd HAVING other <> d_ytd`,
  10: `SELECT c_w_id, c_d_id, c_id, c_balance, COALESCE(delivered, 0) - paid AS other FROM customer
        JOIN (SELECT h_c_w_id, h_c_d_id, h_c_id, SUM(h_amount) AS paid FROM history
              GROUP BY h_c_w_id, h_c_d_id, h_c_id) AS payments
          ON h_c_w_id = c_w_id AND h_c_d_id = c_d_id AND h_c_id = c_id
        LEFT JOIN (DELIVERED) AS deliveries ON o_w_id = c_w_id AND o_d_id = c_d_id AND o_c_id = c_id
      HAVING other <> c_balance`,
  12: `SELECT c_w_id, c_d_id, c_id, c_balance + c_ytd_payment AS total, COALESCE(delivered, 0) AS other FROM customer
        LEFT JOIN (DELIVERED) AS deliveries ON o_w_id = c_w_id AND o_d_id = c_d_id AND o_c_id = c_id
      HAVING other <> total`,
};

/** A query for what was delivered to each customer. */
const DELIVERED = `SELECT o_w_id, o_d_id, o_c_id, SUM(ol_amount) AS delivered FROM orders
  JOIN order_line ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id
  WHERE ol_delivery_d IS NOT NULL GROUP BY o_w_id, o_d_id, o_c_id`;

export const CONDITION_COUNT = Object.keys(CONDITIONS).length;

/**
 * Checks the conditions.
 * @returns a line for each that does not hold
 */
export async function violations(connection: Connection): Promise<string[]> {
  const found: string[] = [];
  for (const [number, query] of Object.entries(CONDITIONS)) {
    const [rows] = await connection.query<RowDataPacket[]>(query.replace('DELIVERED', DELIVERED));
    if (rows.length > 0) found.push(`condition ${number}: ${rows.length} rows, ${JSON.stringify(rows[0])}`);
  }
  return found;
}

/** Checks condition 11, of the database as loaded: this many orders of each district are delivered. */
export async function initialViolations(connection: Connection, delivered: number): Promise<string[]> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT d_w_id, d_id,
       (SELECT COUNT(*) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id) AS all_orders,
       (SELECT COUNT(*) FROM new_order WHERE no_w_id = d_w_id AND no_d_id = d_id) AS undelivered
     FROM district HAVING all_orders - undelivered <> ?`,
    [delivered],
  );
  return rows.length === 0 ? [] : [`condition 11: ${rows.length} districts, ${JSON.stringify(rows[0])}`];
}
