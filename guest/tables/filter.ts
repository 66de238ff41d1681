/** Conditions that the host tests beside the data, to choose the rows that a scan gives. */
import { VamosError } from '../../src/protocol/errors.js';
import { ProgramWriter, ValueType, type Comparison } from '../../src/protocol/program.js';
import { ColumnKind, type RawValue } from '../../src/protocol/rows.js';
import { comparesAsBytes } from './mariadb/collation.js';
import type { AnyDefinition, ColumnName } from './schema.js';
import type { AnyColumnType, ColumnType } from './types.js';

/** What a column's value is compared with; its type is as in a row to write. */
type Operand<C> = C extends ColumnType<infer Read, unknown, boolean> ? NonNullable<Read> : never;
type MaybeNull<C extends AnyColumnType> = C['isNullable'] extends false ? never : null;

/**
 * Tests of a column, all of which must hold. NULL is a value like others here: `eq: null` finds it, `ne: 3`
 * does, too; it is neither below nor above anything.
 */
export interface Tests<Value, Null = null> {
  eq?: Value | Null;
  ne?: Value | Null;
  lt?: Value;
  lte?: Value;
  gt?: Value;
  gte?: Value;
  in?: readonly (Value | Null)[];
  notIn?: readonly (Value | Null)[];
  /** Strings and bytes: the value begins with these, byte for byte. */
  startsWith?: Value & (string | Uint8Array);
}

type Test<C extends AnyColumnType> = Operand<C> | MaybeNull<C> | Tests<Operand<C>, MaybeNull<C>>;

/** Conditions by column, all of which must hold: `{ customer: 7, placed: { gte: today } }`. */
export type Conditions<D extends AnyDefinition> = { [K in ColumnName<D>]?: Test<D['columns'][K]> };

/**
 * Conditions, or several sets of them of which one is enough: `[{ state: 'new' }, { priority: { gt: 5 } }]`.
 */
export type Filter<D extends AnyDefinition> = Conditions<D> | readonly Conditions<D>[];

/** A table's columns, by number. */
export type FilteredColumns = readonly { name: string; type: AnyColumnType }[];

const COMPARISONS: Record<'lt' | 'lte' | 'gt' | 'gte', Comparison> = {
  lt: 'LESS',
  lte: 'LESS_OR_EQUAL',
  gt: 'GREATER',
  gte: 'GREATER_OR_EQUAL',
};

/**
 * Writes the filter as a program for the host.
 * @returns no bytes where every row passes
 * @throws VamosError BAD_REQUEST: a column that the host can't compare, or a value that is none of the
 * column's
 */
export function filterProgram(columns: FilteredColumns, filter: Filter<AnyDefinition> | undefined): Buffer {
  if (filter === undefined) return Buffer.alloc(0);
  const program = new ProgramWriter();
  const isList = Array.isArray(filter);
  const alternatives = (isList ? filter : [filter]) as Record<string, unknown>[];
  if (isList && alternatives.length === 0) return neverTrue(program).finish();
  const written = alternatives.map((each) => writeConditions(program, columns, each));
  // A set without a condition lets all rows pass.
  if (written.includes(0)) return Buffer.alloc(0);
  for (let number = 1; number < written.length; number++) program.operation('OR');
  return program.finish();
}

const neverTrue = (program: ProgramWriter): ProgramWriter => program.null(ValueType.BOOLEAN);

/**
 * Writes code that leaves one BOOLEAN, unless there is nothing to test.
 * @returns the number of tests
 */
function writeConditions(
  program: ProgramWriter,
  columns: FilteredColumns,
  conditions: Record<string, unknown>,
): number {
  let count = 0;
  for (const [name, test] of Object.entries(conditions)) {
    if (test === undefined) continue;
    const number = columns.findIndex((column) => column.name === name);
    if (number < 0) throw new VamosError('BAD_REQUEST', `no column ${name}`);
    const column = new FilteredColumn(program, number, name, columns[number]!.type);
    const tests = isTests(test) ? test : { eq: test };
    for (const [operator, value] of Object.entries(tests)) {
      if (value === undefined) continue;
      column.test(operator, value);
      if (++count > 1) program.operation('AND');
    }
  }
  return count;
}

function isTests(test: unknown): test is Record<string, unknown> {
  return (
    typeof test === 'object' && test !== null && !(test instanceof Uint8Array) && !(test instanceof Date)
  );
}

/**
 * Checks that the host can compare the column's values.
 * @throws VamosError BAD_REQUEST
 */
export function checkComparable(name: string, { kind, typeName, collation, isPadded }: AnyColumnType): void {
  if (kind === ColumnKind.BLOB) throw refusal(name, 'may stand beside its row: only its NULL can be tested');
  if (typeName === 'json') throw refusal(name, 'holds JSON: only its NULL can be tested');
  if (/^mariadb:.*compressed/is.test(typeName))
    throw refusal(name, 'is compressed: only its NULL can be tested');
  if (kind !== ColumnKind.BYTES || collation === undefined) return;
  if (!comparesAsBytes({ collation, isPadded })) {
    throw refusal(name, `has the collation ${collation}, by which the host can't compare`);
  }
}

/** Says whether the shorter of two values counts as filled up with spaces. */
export function isPadded({ kind, collation }: AnyColumnType): boolean {
  return (
    kind === ColumnKind.BYTES &&
    collation !== undefined &&
    collation !== 'binary' &&
    !collation.includes('_nopad_')
  );
}

function refusal(name: string, why: string): VamosError {
  return new VamosError('BAD_REQUEST', `column ${name} ${why}: filter what the scan gives`);
}

/** One column in a program; each test leaves a BOOLEAN. */
class FilteredColumn {
  readonly #program: ProgramWriter;
  readonly #number: number;
  readonly #name: string;
  readonly #type: AnyColumnType;

  constructor(program: ProgramWriter, number: number, name: string, type: AnyColumnType) {
    this.#program = program;
    this.#number = number;
    this.#name = name;
    this.#type = type;
  }

  test(operator: string, value: unknown): void {
    switch (operator) {
      case 'eq':
        this.#oneOf([value]);
        return;
      case 'ne':
        this.#oneOf([value]);
        this.#program.operation('NOT');
        return;
      case 'in':
        this.#oneOf(this.#list(value));
        return;
      case 'notIn':
        this.#oneOf(this.#list(value));
        this.#program.operation('NOT');
        return;
      case 'lt':
      case 'lte':
      case 'gt':
      case 'gte':
        this.#value();
        this.#constant(value);
        this.#program.compare(COMPARISONS[operator], this.#isPadded);
        return;
      case 'startsWith':
        if (![ColumnKind.BYTES, ColumnKind.FIXED].includes(this.#type.kind)) {
          throw refusal(this.#name, 'holds neither strings nor bytes');
        }
        this.#value();
        this.#program.bytes(this.#prefix(value)).operation('STARTS_WITH');
        return;
      default:
        throw new VamosError('BAD_REQUEST', `column ${this.#name}: there is no test '${operator}'`);
    }
  }

  /** Leaves true or false, never NULL, so that it may be negated. */
  #oneOf(values: readonly unknown[]): void {
    const given = values.filter((value) => value !== null);
    const hasNull = given.length < values.length;
    if (given.length > 0) {
      this.#value();
      for (const value of given) this.#constant(value);
      this.#program.in(given.length, this.#isPadded).operation('IS_TRUE');
    } else if (!hasNull) {
      neverTrue(this.#program).operation('IS_TRUE');
    }
    if (!hasNull) return;
    // Only the length of a BLOB can be tested.
    if (this.#type.kind === ColumnKind.BLOB) this.#program.length(this.#number);
    else this.#program.column(this.#number);
    this.#program.operation('IS_NULL');
    if (given.length > 0) this.#program.operation('OR');
  }

  #list(value: unknown): readonly unknown[] {
    if (Array.isArray(value)) return value;
    throw new VamosError('BAD_REQUEST', `column ${this.#name}: 'in' and 'notIn' take a list`);
  }

  /**
   * Loads the column's value.
   * @throws VamosError BAD_REQUEST: the host doesn't know how its values compare
   */
  #value(): void {
    checkComparable(this.#name, this.#type);
    this.#program.column(this.#number);
  }

  get #isPadded(): boolean {
    return isPadded(this.#type);
  }

  #constant(value: unknown): void {
    const raw = this.#raw(value);
    switch (this.#type.kind) {
      case ColumnKind.FLOAT:
      case ColumnKind.DOUBLE:
        if (typeof raw !== 'number') throw this.#wrong(value);
        this.#program.double(this.#type.kind === ColumnKind.FLOAT ? Math.fround(raw) : raw);
        return;
      case ColumnKind.BYTES:
      case ColumnKind.FIXED:
        this.#program.bytes(this.#bytes(raw, value));
        return;
      default:
        if (typeof raw === 'bigint') this.#program.integer(raw);
        else if (Number.isInteger(raw)) this.#program.integer(BigInt(raw as number));
        else throw this.#wrong(value);
    }
  }

  #prefix(value: unknown): Uint8Array {
    // A part of a FIXED value may be no value of the column by itself.
    return this.#type.kind === ColumnKind.FIXED && value instanceof Uint8Array
      ? value
      : this.#bytes(this.#raw(value), value);
  }

  #bytes(raw: RawValue, value: unknown): Uint8Array {
    if (raw instanceof Uint8Array) return raw;
    if (typeof raw === 'string' && this.#type.isText) return Buffer.from(raw, 'utf8');
    throw this.#wrong(value);
  }

  #raw(value: unknown): RawValue {
    if (value === null || value === undefined) throw this.#wrong(value);
    try {
      return this.#type.encode ? this.#type.encode(value as never) : (value as RawValue);
    } catch (cause) {
      throw new VamosError('BAD_REQUEST', `column ${this.#name}: ${(cause as Error).message}`, { cause });
    }
  }

  #wrong(value: unknown): VamosError {
    const shown = typeof value === 'object' && value !== null ? 'the value' : String(value);
    return new VamosError(
      'BAD_REQUEST',
      `column ${this.#name}: ${shown} can't be compared with its ${ColumnKind[this.#type.kind]} values`,
    );
  }
}
