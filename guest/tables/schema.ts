import { VamosError } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { mariadbType } from './mariadb/type.js';
import { typeOfColumn, type AnyColumnType } from './types.js';

export type Columns = Record<string, AnyColumnType>;

/** A part of an index: a column, ascending unless said. */
export type IndexPart<Name extends string> = Name | { column: Name; descending?: boolean };

export interface IndexDefinition<Name extends string = string> {
  columns: readonly IndexPart<Name>[];
  /** No two rows may have the same key, unless part of it is NULL. */
  unique?: boolean;
}

export type Indexes<Name extends string = string> = Record<string, IndexDefinition<Name>>;

/** What a table is made of; the types of rows and keys follow from it. */
export interface TableDefinition<
  C extends Columns = Columns,
  P extends readonly (keyof C & string)[] = readonly (keyof C & string)[],
  I extends Indexes<keyof C & string> = Indexes<keyof C & string>,
  A extends keyof C & string = keyof C & string,
> {
  /** The table's name, at most 255 bytes of UTF-8. */
  name: string;
  /** The columns in the order of the row, at most 4,096. */
  columns: C;
  /** The primary key: columns without NULL whose values no two rows share. */
  primaryKey: P;
  /** Further indexes, at most 64; `primary` is reserved for the primary key. */
  indexes?: I;
  /** An integer column, first in some index, that gets its value where a new row has none. */
  autoIncrement?: A;
}

/** Any definition; for signatures. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the parts depend on one another
export type AnyDefinition = TableDefinition<any, any, any, any>;

/** Returns a definition with its exact type; for tables that several places open. */
export function defineTable<
  const C extends Columns,
  const P extends readonly (keyof C & string)[],
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- no indexes
  const I extends Indexes<keyof C & string> = {},
  const A extends keyof C & string = never,
>(definition: TableDefinition<C, P, I, A>): TableDefinition<C, P, I, A> {
  return definition;
}

type ColumnsOf<D extends AnyDefinition> = D['columns'];
export type ColumnName<D extends AnyDefinition> = keyof ColumnsOf<D> & string;
type AutoColumn<D extends AnyDefinition> = NonNullable<D['autoIncrement']>;

type OptionalColumn<D extends AnyDefinition> = {
  [K in ColumnName<D>]: ColumnsOf<D>[K]['isNullable'] extends true ? K : K extends AutoColumn<D> ? K : never;
}[ColumnName<D>];

/** A row as it is read. */
export type Row<D extends AnyDefinition> = { [K in ColumnName<D>]: ColumnsOf<D>[K]['read'] };

/** A new row: columns that may be NULL and the auto-increment column may be left out. */
export type NewRow<D extends AnyDefinition> = {
  [K in Exclude<ColumnName<D>, OptionalColumn<D>>]: ColumnsOf<D>[K]['written'];
} & { [K in OptionalColumn<D>]?: ColumnsOf<D>[K]['written'] | undefined };

/** Columns to change; the others keep their values. */
export type Changes<D extends AnyDefinition> = { [K in ColumnName<D>]?: ColumnsOf<D>[K]['written'] };

/** Names of all indexes, `primary` among them. */
export type IndexName<D extends AnyDefinition> = 'primary' | (keyof NonNullable<D['indexes']> & string);

type PartName<Part> = Part extends string ? Part : Part extends { column: infer Name } ? Name : never;
type PartsOf<D extends AnyDefinition, I extends string> = I extends 'primary'
  ? D['primaryKey']
  : NonNullable<D['indexes']>[I]['columns'];
type KeyColumn<D extends AnyDefinition, I extends string> = PartName<PartsOf<D, I>[number]> & ColumnName<D>;

/** The values of an index's columns; if it has only one column, its value alone will do. */
export type Key<D extends AnyDefinition, I extends string = 'primary'> =
  | { [K in KeyColumn<D, I>]: ColumnsOf<D>[K]['read'] }
  | (PartsOf<D, I> extends readonly [infer Part]
      ? ColumnsOf<D>[PartName<Part> & ColumnName<D>]['read']
      : never);

/** Values of an index's first columns. */
export type KeyPrefix<D extends AnyDefinition, I extends string> = {
  [K in KeyColumn<D, I>]?: ColumnsOf<D>[K]['read'];
};

/** Returns the definition as a message. */
export function toMessage(definition: AnyDefinition): vamos.tables.IDefinition {
  const columns = definition.columns as Columns;
  const names = Object.keys(columns);
  const numberOf = (name: string): number => {
    const number = names.indexOf(name);
    if (number < 0) {
      throw new VamosError('BAD_REQUEST', `table ${definition.name} has no column ${name}`);
    }
    return number;
  };
  const index = (name: string, { columns: parts, unique }: IndexDefinition): vamos.tables.IIndex => ({
    name,
    unique: unique ?? false,
    parts: parts.map((part) =>
      typeof part === 'string'
        ? { column: numberOf(part), descending: false }
        : { column: numberOf(part.column), descending: part.descending ?? false },
    ),
  });
  const primaryKey = definition.primaryKey as readonly string[];
  const indexes = (definition.indexes ?? {}) as Indexes;
  const autoIncrement = definition.autoIncrement as string | undefined;
  return {
    name: definition.name,
    columns: names.map((name) => {
      const type = columns[name]!;
      return {
        name,
        kind: type.kind,
        nullable: type.isNullable,
        widthBytes: type.widthBytes,
        type: type.typeName,
      };
    }),
    indexes: [
      index('primary', { columns: primaryKey, unique: true }),
      ...Object.entries(indexes).map(([name, each]) => index(name, each)),
    ],
    autoIncrement: autoIncrement === undefined ? 0 : numberOf(autoIncrement) + 1,
  };
}

/** Returns the definition of a table that was opened by its name. */
export function fromMessage(message: vamos.tables.IDefinition): TableDefinition {
  const definition = vamos.tables.Definition.fromObject(message);
  const names = definition.columns.map((column) => column.name ?? '');
  const columns = definition.columns.map((column) => {
    const stored = vamos.tables.Column.fromObject(column);
    const made = mariadbType(stored);
    if (made) return stored.nullable ? made.nullable() : made;
    return typeOfColumn(stored);
  });
  const parts = (index: vamos.tables.IIndex) =>
    (index.parts ?? []).map((part) => ({
      column: names[part.column ?? 0]!,
      descending: part.descending ?? false,
    }));
  const [primary, ...others] = definition.indexes;
  return {
    name: definition.name,
    columns: Object.fromEntries(names.map((name, number) => [name, columns[number]!])),
    primaryKey: parts(primary!).map((part) => part.column),
    indexes: Object.fromEntries(
      others.map((index) => [index.name ?? '', { columns: parts(index), unique: index.unique ?? false }]),
    ),
    ...(definition.autoIncrement > 0 ? { autoIncrement: names[definition.autoIncrement - 1]! } : {}),
  };
}

/** Says whether two definitions give the same rows and indexes. */
export function isSameDefinition(a: vamos.tables.IDefinition, b: vamos.tables.IDefinition): boolean {
  const bytes = (message: vamos.tables.IDefinition) =>
    Buffer.from(vamos.tables.Definition.encode({ ...message, name: '', detail: new Uint8Array() }).finish());
  return bytes(a).equals(bytes(b));
}
