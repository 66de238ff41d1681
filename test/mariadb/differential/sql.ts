/** A statement as it is sent, and how its outcome is to be compared. */
export interface Sql {
  text: string;
  /** Rows come in this order; else in any. */
  ordered?: boolean;
  /** Rows were changed in an order that the server is free to choose: numbers of rows in warnings may differ. */
  anyRowOrder?: boolean;
  /**
   * How many rows it changed is not told alike: one engine copies a table where the other needn't; ON DUPLICATE KEY
   * UPDATE to the same values counts as 1 where the engine itself finds that they are, as 0 where the server does.
   */
  anyCount?: boolean;
  /** Types of the result's columns are compared; those of a temporary table, which the server may or may not make, aren't. */
  columns?: boolean;
  /** A condition that warns for rows, and which rows it is evaluated for depends on the way to them. */
  anyWarnings?: boolean;
  /** The same, where it may fail: then nothing is compared. */
  anyError?: boolean;
  /** Which of the side's connections runs it; 0 if not given. */
  connection?: number;
  /** What is true of the tables once it has been done. */
  effect?: () => void;
}
