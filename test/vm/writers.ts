import { defineTable, t } from '../../guest/tables/index.js';

/**
 * The number of writers. Half of them commit single rows, the others transactions of a row and of a count of
 * their rows.
 */
export const WRITERS = 8;

export const NOTES = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), writer: t.uint32(), turn: t.uint32(), tag: t.text() },
  primaryKey: ['id'],
  autoIncrement: 'id',
});

export const TALLIES = defineTable({
  name: 'tallies',
  columns: { writer: t.uint32(), counted: t.uint32() },
  primaryKey: ['writer'],
});

/** What a writer was told of one commit. */
export interface Report {
  writer: number;
  turn: number;
  /** A tag of this commit alone. */
  tag: string;
  /** The id of the row; 0 where there may be none. */
  id: number;
  /** `done`, or the error's code. */
  outcome: string;
}

export function formatReport({ writer, turn, tag, id, outcome }: Report): string {
  return `${writer} ${turn} ${tag} ${id} ${outcome}\n`;
}

/** Parses a report; undefined where a line was cut off. */
export function parseReport(line: string): Report | undefined {
  const [, writer, turn, tag, id, outcome] =
    /^(\d+) (\d+) ([0-9a-f]{16}) (\d+) (done|[A-Z_]+)$/.exec(line) ?? [];
  if (outcome === undefined) return undefined;
  return { writer: Number(writer), turn: Number(turn), tag: tag!, id: Number(id), outcome };
}
