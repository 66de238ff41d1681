/**
 * The cases of Hermitage (github.com/ept/hermitage), which show what isolation levels mean in practice: statements of two or
 * three transactions in a fixed order, and whether the anomaly that they are named after happened.
 */

export const LEVELS = ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;
export type Level = (typeof LEVELS)[number];

export type Rows = readonly (readonly (number | string | null)[])[];

/** What became of a case's statements: rows of the reads; those of a transaction that failed are missing behind its error. */
export interface Run {
  /** By the step's number, from 0. */
  rows: Map<number, Rows>;
  /** A transaction was refused. */
  isRefused: boolean;
  /** Rows of the table in the end. */
  last: Rows;
}

export interface Case {
  name: string;
  title: string;
  /** Transaction and statement. */
  steps: readonly [number, string][];
  happened: (run: Run) => boolean;
}

export const SETUP = [
  'DROP TABLE IF EXISTS test',
  'CREATE TABLE test (id INT PRIMARY KEY, value INT)',
  'INSERT INTO test VALUES (1, 10), (2, 20)',
] as const;

const read = (id: number) => `SELECT value FROM test WHERE id = ${id}`;
const write = (id: number, value: number | string) => `UPDATE test SET value = ${value} WHERE id = ${id}`;
const saw = ({ rows }: Run, step: number, value: number) =>
  rows.get(step)?.some((row) => row.at(-1) === value) === true;
const found = ({ rows }: Run, step: number) => (rows.get(step)?.length ?? 0) > 0;
const isLast = ({ last }: Run, ...expected: Rows) => JSON.stringify(last) === JSON.stringify(expected);

export const CASES: readonly Case[] = [
  {
    name: 'G0',
    title: 'writes of two transactions are mixed',
    steps: [
      [1, write(1, 11)],
      [2, write(1, 12)],
      [1, write(2, 21)],
      [1, 'COMMIT'],
      [2, write(2, 22)],
      [2, 'COMMIT'],
    ],
    happened: (run) => !isLast(run, [1, 12], [2, 22]) && !isLast(run, [1, 11], [2, 21]),
  },
  {
    name: 'G1a',
    title: 'a value that was rolled back is read',
    steps: [
      [1, write(1, 101)],
      [2, 'SELECT * FROM test'],
      [1, 'ROLLBACK'],
      [2, 'SELECT * FROM test'],
      [2, 'COMMIT'],
    ],
    happened: (run) => saw(run, 1, 101) || saw(run, 3, 101),
  },
  {
    name: 'G1b',
    title: 'a value is read that its transaction wrote over',
    steps: [
      [1, write(1, 101)],
      [2, 'SELECT * FROM test'],
      [1, write(1, 11)],
      [1, 'COMMIT'],
      [2, 'SELECT * FROM test'],
      [2, 'COMMIT'],
    ],
    happened: (run) => saw(run, 1, 101) || saw(run, 4, 101),
  },
  {
    name: 'G1c',
    title: 'two transactions read what the other one wrote',
    steps: [
      [1, write(1, 11)],
      [2, write(2, 22)],
      [1, read(2)],
      [2, read(1)],
      [1, 'COMMIT'],
      [2, 'COMMIT'],
    ],
    happened: (run) => saw(run, 2, 22) && saw(run, 3, 11),
  },
  {
    name: 'OTV',
    title: 'of a transaction that was seen, a part is not seen later',
    steps: [
      [1, write(1, 11)],
      [1, write(2, 19)],
      [2, write(1, 12)],
      [1, 'COMMIT'],
      [3, read(1)],
      [2, write(2, 18)],
      [3, read(2)],
      [2, 'COMMIT'],
      [3, read(2)],
      [3, read(1)],
      [3, 'COMMIT'],
    ],
    happened: (run) => (saw(run, 4, 12) && saw(run, 6, 19)) || (saw(run, 6, 18) && saw(run, 9, 11)),
  },
  {
    name: 'PMP',
    title: 'rows come to a condition between two reads',
    steps: [
      [1, 'SELECT * FROM test WHERE value = 30'],
      [2, 'INSERT INTO test VALUES (3, 30)'],
      [2, 'COMMIT'],
      [1, 'SELECT * FROM test WHERE value % 3 = 0'],
      [1, 'COMMIT'],
    ],
    happened: (run) => found(run, 3),
  },
  {
    name: 'PMP, write',
    title: 'a DELETE meets other rows than a read before it',
    steps: [
      [1, 'UPDATE test SET value = value + 10'],
      [2, 'SELECT * FROM test WHERE value = 20'],
      [2, 'DELETE FROM test WHERE value = 20'],
      [1, 'COMMIT'],
      [2, 'SELECT * FROM test WHERE value = 20'],
      [2, 'COMMIT'],
    ],
    happened: (run) => run.rows.get(1)?.[0]?.[0] === 2 && isLast(run, [2, 30]),
  },
  {
    name: 'P4',
    title: 'an update is lost under another one',
    steps: [
      [1, read(1)],
      [2, read(1)],
      [1, write(1, 11)],
      [2, write(1, 11)],
      [1, 'COMMIT'],
      [2, 'COMMIT'],
    ],
    happened: (run) => !run.isRefused,
  },
  {
    name: 'G-single',
    title: 'rows of two moments are read',
    steps: [
      [1, read(1)],
      [2, read(1)],
      [2, read(2)],
      [2, write(1, 12)],
      [2, write(2, 18)],
      [2, 'COMMIT'],
      [1, read(2)],
      [1, 'COMMIT'],
    ],
    happened: (run) => saw(run, 6, 18),
  },
  {
    name: 'G-single, condition',
    title: 'rows of two moments are read by conditions',
    steps: [
      [1, 'SELECT * FROM test WHERE value % 5 = 0'],
      [2, 'UPDATE test SET value = 12 WHERE value = 10'],
      [2, 'COMMIT'],
      [1, 'SELECT * FROM test WHERE value % 3 = 0'],
      [1, 'COMMIT'],
    ],
    happened: (run) => found(run, 3),
  },
  {
    name: 'G-single, write',
    title: 'a DELETE passes over a row that its transaction reads',
    steps: [
      [1, read(1)],
      [2, 'SELECT * FROM test'],
      [2, write(1, 12)],
      [2, write(2, 18)],
      [2, 'COMMIT'],
      [1, 'DELETE FROM test WHERE value = 20'],
      [1, read(2)],
      [1, 'COMMIT'],
    ],
    happened: (run) => saw(run, 6, 20),
  },
  {
    name: 'G2-item',
    title: 'two transactions write what the other one has read',
    steps: [
      [1, 'SELECT * FROM test WHERE id IN (1, 2)'],
      [2, 'SELECT * FROM test WHERE id IN (1, 2)'],
      [1, write(1, 11)],
      [2, write(2, 21)],
      [1, 'COMMIT'],
      [2, 'COMMIT'],
    ],
    happened: (run) => isLast(run, [1, 11], [2, 21]),
  },
  {
    name: 'G2',
    title: 'two transactions insert what meets the condition that the other one has read by',
    steps: [
      [1, 'SELECT * FROM test WHERE value % 3 = 0'],
      [2, 'SELECT * FROM test WHERE value % 3 = 0'],
      [1, 'INSERT INTO test VALUES (3, 30)'],
      [2, 'INSERT INTO test VALUES (4, 42)'],
      [1, 'COMMIT'],
      [2, 'COMMIT'],
    ],
    happened: (run) => run.last.length === 4,
  },
  {
    name: 'G2, two edges',
    title: 'a reader sees two transactions in an order that contradicts what they read',
    steps: [
      [1, 'SELECT * FROM test'],
      [2, write(2, 'value + 5')],
      [2, 'COMMIT'],
      [3, 'SELECT * FROM test'],
      [3, 'COMMIT'],
      [1, write(1, 0)],
      [1, 'COMMIT'],
    ],
    happened: (run) => isLast(run, [1, 0], [2, 25]) && saw(run, 3, 25) && saw(run, 3, 10),
  },
];
