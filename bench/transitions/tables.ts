/**
 * The tables for the workloads. Each engine holds the same columns; payloads are VARBINARY, which every
 * engine stores with the row (no BLOB, which some store separately).
 */

/** A table of the benchmark: its columns and its contents. */
export interface TableDefinition {
  name: string;
  /** Columns and keys, as CREATE TABLE has them. */
  columns: string;
  /**
   * A statement that fills the table in the server, with nothing but the sequence engine: INSERT … SELECT.
   * Without it the table starts empty.
   */
  fill?: string;
}

/** Returns statements that make and fill a table. */
export function makeStatements({ name, columns, fill }: TableDefinition, engineClause: string): string[] {
  return [
    `CREATE TABLE ${name} (${columns}) ENGINE=${engineClause}`,
    ...(fill === undefined ? [] : [`INSERT INTO ${name} ${fill}`]),
  ];
}

/** Four bytes each for id, number, amount and version. */
const FIXED_BYTES = 16;
/** How many values `number` has: one row in a hundred has a given one. */
export const NUMBERS = 100;
export const AMOUNTS = 100_000;

export const payloadBytes = (rowBytes: number): number => rowBytes - FIXED_BYTES;

/** A table of rows of one size. `number` has no index; each of its values is in one row of a hundred. */
export function rowsTable(name: string, rowBytes: number, rows = 0): TableDefinition {
  const length = payloadBytes(rowBytes);
  return {
    name,
    columns: `id INT UNSIGNED NOT NULL PRIMARY KEY, number INT NOT NULL, amount INT NOT NULL, version INT NOT NULL,
      payload VARBINARY(${length}) NOT NULL`,
    ...(rows > 0 && {
      fill: `SELECT seq, seq * 7919 % ${NUMBERS}, CRC32(seq) % ${AMOUNTS}, 0, RPAD(SHA2(seq, 512), ${length}, SHA2(CONCAT('-', seq), 512))
        FROM seq_1_to_${rows}`,
    }),
  };
}

const CUSTOMER_PAYLOAD_BYTES = 1024 - 40;

export function customersTable(rows: number): TableDefinition {
  return {
    name: 'customers',
    columns: `id INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(32) NOT NULL, discount DECIMAL(4,2) NOT NULL,
      history VARBINARY(${CUSTOMER_PAYLOAD_BYTES}) NOT NULL`,
    fill: `SELECT seq, LEFT(SHA1(seq), 24), CRC32(seq) % 5000 / 100,
      RPAD(SHA2(seq, 512), ${CUSTOMER_PAYLOAD_BYTES}, SHA2(CONCAT('-', seq), 512)) FROM seq_1_to_${rows}`,
  };
}

/** A table of orders, each of some customer, with neighbours of different customers. */
export function ordersTable(rows: number, customers: number): TableDefinition {
  return {
    name: 'orders',
    columns: `id INT UNSIGNED NOT NULL PRIMARY KEY, customer INT UNSIGNED NOT NULL, placed DATETIME NOT NULL,
      total DECIMAL(10,2) NOT NULL`,
    fill: `SELECT seq, CRC32(seq) % ${customers} + 1, '2024-01-01' + INTERVAL seq MINUTE, CRC32(CONCAT('-', seq)) % 1000000 / 100
      FROM seq_1_to_${rows}`,
  };
}

/** A table as sysbench's oltp tests make it. */
export function sysbenchTable(rows: number): TableDefinition {
  return {
    name: 'sbtest',
    columns: `id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '',
      pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k)`,
    fill: `SELECT seq, CRC32(seq) % ${rows} + 1, LEFT(SHA2(seq, 512), 119), LEFT(SHA2(CONCAT('-', seq), 256), 59) FROM seq_1_to_${rows}`,
  };
}

/** Returns a query whose only row says what a table holds, the same for the same rows in whatever order. */
export function contentQuery(table: string, columns: readonly string[], where = 'TRUE'): string {
  return `SELECT COUNT(*), BIT_XOR(CRC32(CONCAT_WS(',', ${columns.join(', ')}))), SUM(CRC32(CONCAT_WS('-', ${columns.join(', ')})))
    FROM ${table} WHERE ${where}`;
}

export const ROW_COLUMNS = ['id', 'number', 'amount', 'version', 'payload'];
