/** Random tables for work that is pushed to the data. */
import fc from 'fast-check';
import { number16, pick } from '../schema.js';
import type { Sql } from '../sql.js';
import type { Column } from './conditions.js';
import { TYPES } from './types.js';

export interface Table {
  name: string;
  /** `id`, that tells rows apart, then the others. */
  columns: Column[];
  keys: string[];
  /** May NULL stand in the column? */
  nullable: ReadonlySet<string>;
  generated?: string;
  view: string;
}

const columnSpec = fc.record({ type: number16, nullable: fc.boolean(), indexed: number16 });
export const tableSpec = fc.record({
  columns: fc.array(columnSpec, { minLength: 1, maxLength: 6 }),
  primary: number16,
  extra: number16,
});
export type TableSpec = typeof tableSpec extends fc.Arbitrary<infer Spec> ? Spec : never;

export function makeTable(name: string, spec: TableSpec): { table: Table; create: Sql[] } {
  const number = TYPES.find(({ sql }) => sql === 'INT')!;
  const columns: Column[] = [{ name: 'id', type: number }];
  const nullable = new Set<string>();
  const lines: string[] = [];
  const keys: string[] = [];
  spec.columns.forEach(({ type, nullable: isNullable, indexed }, index) => {
    const column = { name: `c${index}`, type: pick(TYPES, type) };
    const isNull = isNullable || column.type.sql.includes(' NULL');
    columns.push(column);
    if (isNull) nullable.add(column.name);
    const nullity = column.type.sql.includes(' NULL') ? '' : isNull ? ' NULL' : ' NOT NULL';
    lines.push(`${column.name} ${column.type.sql}${nullity}`);
    if (indexed % 4 !== 0 || column.type.key === 'no') return;
    const prefix = column.type.key === 'prefix' ? '(3)' : '';
    const way = indexed % 16 === 0 ? ' DESC' : '';
    const more = indexed % 3 === 0 && index > 0 && columns[1]!.type.key === 'whole' ? ', c0' : '';
    keys.push(`k${index}`);
    lines.push(`KEY k${index} (${column.name}${prefix}${way}${more})`);
  });
  const first = columns[1]!;
  const primary = pick(
    [
      'PRIMARY KEY (id)',
      'PRIMARY KEY (id)',
      'PRIMARY KEY (id DESC)',
      'KEY ki (id)',
      '',
      'UNIQUE KEY ki (id)',
    ],
    spec.primary,
  );
  if (primary.startsWith('PRIMARY')) keys.unshift('`PRIMARY`');
  else if (primary !== '') keys.push('ki');
  if (primary !== '') lines.push(primary);
  const table: Table = { name, columns, keys, nullable, view: `v_${name}` };
  const create: Sql[] = [];
  const isInteger = first.type.family === 'integer' && !first.type.isWide;
  switch (spec.extra % 12) {
    case 0:
      lines.push(`g INT AS (id DIV 3 + ${isInteger ? 'IFNULL(c0, 0) DIV 2' : '1'}) VIRTUAL`);
      break;
    case 1:
      lines.push(`g INT AS (id DIV 3 + ${isInteger ? 'IFNULL(c0, 0) DIV 2' : '1'}) STORED`);
      break;
    case 2:
      lines.push('g TIMESTAMP(3) NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP(3)');
      break;
    case 3:
      if (isInteger) lines.push('CONSTRAINT few CHECK (c0 <> 7 OR id < 5)');
      break;
    case 4:
      create.push({
        text: `CREATE TRIGGER before_update_${name} BEFORE UPDATE ON ${name} FOR EACH ROW SET @changes = @changes + OLD.id, NEW.id = OLD.id`,
      });
      break;
    case 5:
      create.push({
        text: `CREATE TRIGGER after_delete_${name} AFTER DELETE ON ${name} FOR EACH ROW SET @changes = @changes + OLD.id`,
      });
      break;
    default:
  }
  if (spec.extra % 12 < 3) {
    table.generated = 'g';
    columns.push({
      name: 'g',
      type: spec.extra % 12 === 2 ? TYPES.find(({ sql }) => sql.startsWith('TIMESTAMP(3)'))! : number,
    });
    nullable.add('g');
  }
  const partitions = primary === 'PRIMARY KEY (id)' && (spec.extra >> 4) % 8 === 0;
  create.unshift({
    text: `CREATE TABLE ${name} (id INT NOT NULL, ${lines.join(', ')})${partitions ? ' PARTITION BY HASH (id) PARTITIONS 3' : ''}`,
    anyCount: true,
  });
  const check = spec.extra % 2 === 0 ? ' WITH CHECK OPTION' : '';
  create.push({
    text: `CREATE VIEW v_${name} AS SELECT * FROM ${name} WHERE id % 5 <> 0 AND id < 1000${check}`,
    anyCount: true,
  });
  return { table, create };
}

/** Columns that a statement gives values, `id` not among them. */
export const given = (table: Table): Column[] =>
  table.columns.filter(({ name }) => name !== 'id' && name !== table.generated);
