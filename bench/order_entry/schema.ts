/**
 * Order entry in the style of TPC-C (Standard Specification 5.11): its nine tables and five transaction types, scaled
 * down. No TPC-C result: no terminals, no think times, no foreign keys, fewer rows. Statements are written for sets of
 * rows where that saves round trips, as an application with a network before its database would have it.
 */

/** How many rows: the specification's clause 1.2 asks for 10, 3000 and 100,000. */
export interface Scale {
  warehouses: number;
  districts: number;
  /** Customers of a district. It has as many orders at the start, of which three in ten are undelivered. */
  customers: number;
  /** Items, each of which is in stock at each warehouse. */
  items: number;
}

/**
 * Returns the table definitions of clause 1.3. `engine` as CREATE TABLE names it; undefined: each server's
 * default.
 */
export function tableDefinitions(engine: string | undefined): string[] {
  const options = `${engine === undefined ? '' : `ENGINE=${engine} `}DEFAULT CHARSET=utf8mb4`;
  const address = (prefix: string): string => `
    ${prefix}_street_1 VARCHAR(20) NOT NULL, ${prefix}_street_2 VARCHAR(20) NOT NULL, ${prefix}_city VARCHAR(20) NOT NULL,
    ${prefix}_state CHAR(2) NOT NULL, ${prefix}_zip CHAR(9) NOT NULL`;
  const tables: Record<string, string> = {
    warehouse: `
      w_id SMALLINT UNSIGNED NOT NULL, w_name VARCHAR(10) NOT NULL, ${address('w')}, w_tax DECIMAL(4,4) NOT NULL,
      w_ytd DECIMAL(12,2) NOT NULL, PRIMARY KEY (w_id)`,
    district: `
      d_w_id SMALLINT UNSIGNED NOT NULL, d_id TINYINT UNSIGNED NOT NULL, d_name VARCHAR(10) NOT NULL, ${address('d')},
      d_tax DECIMAL(4,4) NOT NULL, d_ytd DECIMAL(12,2) NOT NULL, d_next_o_id INT UNSIGNED NOT NULL,
      PRIMARY KEY (d_w_id, d_id)`,
    customer: `
      c_w_id SMALLINT UNSIGNED NOT NULL, c_d_id TINYINT UNSIGNED NOT NULL, c_id INT UNSIGNED NOT NULL,
      c_first VARCHAR(16) NOT NULL, c_middle CHAR(2) NOT NULL, c_last VARCHAR(16) NOT NULL, ${address('c')},
      c_phone CHAR(16) NOT NULL, c_since DATETIME NOT NULL, c_credit CHAR(2) NOT NULL,
      c_credit_lim DECIMAL(12,2) NOT NULL, c_discount DECIMAL(4,4) NOT NULL, c_balance DECIMAL(12,2) NOT NULL,
      c_ytd_payment DECIMAL(12,2) NOT NULL, c_payment_cnt SMALLINT UNSIGNED NOT NULL,
      c_delivery_cnt SMALLINT UNSIGNED NOT NULL, c_data VARCHAR(500) NOT NULL,
      PRIMARY KEY (c_w_id, c_d_id, c_id), KEY by_name (c_w_id, c_d_id, c_last, c_first)`,
    history: `
      h_c_id INT UNSIGNED NOT NULL, h_c_d_id TINYINT UNSIGNED NOT NULL, h_c_w_id SMALLINT UNSIGNED NOT NULL,
      h_d_id TINYINT UNSIGNED NOT NULL, h_w_id SMALLINT UNSIGNED NOT NULL, h_date DATETIME NOT NULL,
      h_amount DECIMAL(6,2) NOT NULL, h_data VARCHAR(24) NOT NULL`,
    orders: `
      o_w_id SMALLINT UNSIGNED NOT NULL, o_d_id TINYINT UNSIGNED NOT NULL, o_id INT UNSIGNED NOT NULL,
      o_c_id INT UNSIGNED NOT NULL, o_entry_d DATETIME NOT NULL, o_carrier_id TINYINT UNSIGNED,
      o_ol_cnt TINYINT UNSIGNED NOT NULL, o_all_local TINYINT UNSIGNED NOT NULL,
      PRIMARY KEY (o_w_id, o_d_id, o_id), KEY by_customer (o_w_id, o_d_id, o_c_id, o_id)`,
    new_order: `
      no_w_id SMALLINT UNSIGNED NOT NULL, no_d_id TINYINT UNSIGNED NOT NULL, no_o_id INT UNSIGNED NOT NULL,
      PRIMARY KEY (no_w_id, no_d_id, no_o_id)`,
    order_line: `
      ol_w_id SMALLINT UNSIGNED NOT NULL, ol_d_id TINYINT UNSIGNED NOT NULL, ol_o_id INT UNSIGNED NOT NULL,
      ol_number TINYINT UNSIGNED NOT NULL, ol_i_id INT UNSIGNED NOT NULL, ol_supply_w_id SMALLINT UNSIGNED NOT NULL,
      ol_delivery_d DATETIME, ol_quantity TINYINT UNSIGNED NOT NULL, ol_amount DECIMAL(6,2) NOT NULL,
      ol_dist_info CHAR(24) NOT NULL, PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number)`,
    item: `
      i_id INT UNSIGNED NOT NULL, i_im_id INT UNSIGNED NOT NULL, i_name VARCHAR(24) NOT NULL,
      i_price DECIMAL(5,2) NOT NULL, i_data VARCHAR(50) NOT NULL, PRIMARY KEY (i_id)`,
    stock: `
      s_w_id SMALLINT UNSIGNED NOT NULL, s_i_id INT UNSIGNED NOT NULL, s_quantity SMALLINT NOT NULL,
      ${DISTRICT_NUMBERS.map((number) => `s_dist_${number} CHAR(24) NOT NULL`).join(', ')},
      s_ytd INT UNSIGNED NOT NULL, s_order_cnt SMALLINT UNSIGNED NOT NULL, s_remote_cnt SMALLINT UNSIGNED NOT NULL,
      s_data VARCHAR(50) NOT NULL, PRIMARY KEY (s_w_id, s_i_id)`,
  };
  return Object.entries(tables).map(([name, columns]) => `CREATE TABLE ${name} (${columns}) ${options}`);
}

const DISTRICT_NUMBERS = Array.from({ length: 10 }, (_, index) => String(index + 1).padStart(2, '0'));

/** Returns the column of `stock` for a district. */
export function districtColumn(district: number): string {
  return `s_dist_${DISTRICT_NUMBERS[district - 1]}`;
}
