import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { uint64 } from '../../../src/protocol/uint64.js';
import { ColumnKind } from '../../../src/protocol/rows.js';
import { countMessages, decode, type Messages } from './decode.js';
import {
  MAX_BLOB_BYTES,
  MAX_COLUMNS,
  MAX_INDEXES,
  MAX_KEY_PARTS,
} from '../../../src/protocol/generated/limits.js';

/** The longest name of a column, an index or a table; a table's name includes its database. */
const MAX_NAME_BYTES = 255;
const MAX_TABLE_NAME_BYTES = 512;
const MAX_TYPE_BYTES = 64 * 1024;
const MAX_FIXED_BYTES = 65_535;
const MAX_DETAIL_BYTES = 1024 * 1024;
/** The most bytes of a row's fixed part, so that a row fits a request. */
const MAX_ROW_FIXED_BYTES = 512 * 1024;

/** The most levels of an opaque part (FORMATS.md, section Key). */
const MAX_LEVELS = 4;
const MAX_LEVEL_BYTES = 8;
const NO_LEVELS = new Uint8Array();

interface KeyPart {
  column: number;
  descending: boolean;
  opaque: boolean;
  /** The indexed characters; 0: all. */
  prefixCharacters: number;
  /** Where an opaque part's bytes end (FORMATS.md); empty: that is not known. */
  levels: Uint8Array;
}

/** A definition that was checked: all fields are there, and all numbers are in range. */
export interface Definition {
  name: string;
  columns: { name: string; kind: ColumnKind; nullable: boolean; widthBytes: number; type: string }[];
  indexes: {
    name: string;
    unique: boolean;
    parts: KeyPart[];
  }[];
  /** The number of the auto-increment column + 1; 0: there is none. */
  autoIncrement: number;
  detail: Uint8Array;
}

/**
 * Checks a name.
 * @throws VamosError BAD_REQUEST
 */
export function checkName(name: string, what = 'table'): void {
  const bytes = Buffer.byteLength(name);
  const most = what === 'table' ? MAX_TABLE_NAME_BYTES : MAX_NAME_BYTES;
  if (bytes === 0 || bytes > most || name.includes('\0')) {
    throw refuse(`the name of a ${what} has 1 to ${most} bytes and no NUL`);
  }
}

const IN_DEFINITION: Messages = { 2: {}, 3: { 3: {} } };
const IN_CREATE_TABLE: Messages = { 1: IN_DEFINITION };
const IN_REDEFINE_TABLE: Messages = { 2: IN_DEFINITION };
const MAX_MESSAGES = 1 + MAX_COLUMNS + MAX_INDEXES * (1 + MAX_KEY_PARTS);

export interface NewDefinition {
  definition: Definition;
  /** The next value; 0: not given. */
  nextAutoIncrement: bigint;
}

/**
 * Decodes and checks a CreateTable.
 * @throws VamosError BAD_REQUEST
 */
export function decodeCreateTable(body: Uint8Array): NewDefinition & { temporary: boolean } {
  checkMessages(body, IN_CREATE_TABLE);
  const { definition, nextAutoIncrement, temporary } = decode(vamos.tables.CreateTable, body);
  return {
    definition: checkDefinition(definition),
    nextAutoIncrement: uint64(nextAutoIncrement, body, 2),
    temporary,
  };
}

/**
 * Decodes and checks a RedefineTable.
 * @throws VamosError BAD_REQUEST
 */
export function decodeRedefineTable(body: Uint8Array): NewDefinition {
  checkMessages(body, IN_REDEFINE_TABLE);
  const { name, definition, nextAutoIncrement } = decode(vamos.tables.RedefineTable, body);
  const checked = checkDefinition(definition);
  if (checked.name !== name) throw refuse('a table keeps its name when it is redefined');
  return { definition: checked, nextAutoIncrement: uint64(nextAutoIncrement, body, 3) };
}

function checkMessages(body: Uint8Array, fields: Messages): void {
  if (countMessages(body, fields) > MAX_MESSAGES) {
    throw refuse(
      `a table has at most ${MAX_COLUMNS} columns and ${MAX_INDEXES} indexes of ${MAX_KEY_PARTS} parts each`,
    );
  }
}

/**
 * Checks a definition.
 * @throws VamosError BAD_REQUEST, saying which limit the definition breaks
 */
export function checkDefinition(message: vamos.tables.IDefinition | null | undefined): Definition {
  if (!message) throw refuse('no definition');
  const name = message.name ?? '';
  checkName(name);
  const columns = checkColumns(message.columns ?? []);
  const indexes = checkIndexes(message.indexes ?? [], columns);
  const autoIncrement = message.autoIncrement ?? 0;
  checkAutoIncrement(autoIncrement, columns);
  const detail = message.detail ?? new Uint8Array();
  if (detail.length > MAX_DETAIL_BYTES)
    throw refuse(`a definition's detail has at most ${MAX_DETAIL_BYTES} bytes`);
  return { name, columns, indexes, autoIncrement, detail };
}

function checkColumns(messages: readonly vamos.tables.IColumn[]): Definition['columns'] {
  if (messages.length === 0 || messages.length > MAX_COLUMNS) {
    throw refuse(`a table has 1 to ${MAX_COLUMNS} columns, not ${messages.length}`);
  }
  const columns = messages.map((message) => {
    const column = {
      name: message.name ?? '',
      kind: message.kind ?? ColumnKind.INT8,
      nullable: message.nullable ?? false,
      widthBytes: message.widthBytes ?? 0,
      type: message.type ?? '',
    };
    checkName(column.name, 'column');
    if (ColumnKind[column.kind] === undefined)
      throw refuse(`column ${column.name}: unknown kind ${column.kind}`);
    if (!hasGoodWidth(column.kind, column.widthBytes)) {
      throw refuse(`column ${column.name}: ${ColumnKind[column.kind]} can't have ${column.widthBytes} bytes`);
    }
    if (Buffer.byteLength(column.type) > MAX_TYPE_BYTES) {
      throw refuse(`column ${column.name}: the name of its type has more than ${MAX_TYPE_BYTES} bytes`);
    }
    return column;
  });
  checkDifferent(
    columns.map((column) => column.name),
    'columns',
  );
  const fixedBytes = columns.reduce(
    (sum, { kind, widthBytes }) => sum + (kind === ColumnKind.FIXED ? widthBytes : 8),
    0,
  );
  if (fixedBytes > MAX_ROW_FIXED_BYTES)
    throw refuse(`the fixed columns take more than ${MAX_ROW_FIXED_BYTES} bytes`);
  return columns;
}

function hasGoodWidth(kind: ColumnKind, widthBytes: number): boolean {
  if (kind === ColumnKind.FIXED) return widthBytes >= 1 && widthBytes <= MAX_FIXED_BYTES;
  if (kind === ColumnKind.BYTES || kind === ColumnKind.BLOB) return widthBytes <= MAX_BLOB_BYTES;
  return widthBytes === 0;
}

function checkIndexes(
  messages: readonly vamos.tables.IIndex[],
  columns: Definition['columns'],
): Definition['indexes'] {
  if (messages.length === 0 || messages.length > MAX_INDEXES) {
    throw refuse(
      `a table has 1 to ${MAX_INDEXES} indexes, the first its primary key, not ${messages.length}`,
    );
  }
  const indexes = messages.map((message) => {
    const name = message.name ?? '';
    checkName(name, 'index');
    const parts = (message.parts ?? []).map((part) => ({
      column: part.column ?? 0,
      descending: part.descending ?? false,
      opaque: part.opaque ?? false,
      prefixCharacters: part.prefixCharacters ?? 0,
      levels: part.levels?.length ? Uint8Array.prototype.slice.call(part.levels) : NO_LEVELS,
    }));
    if (parts.length === 0 || parts.length > MAX_KEY_PARTS)
      throw refuse(`index ${name} has not 1 to ${MAX_KEY_PARTS} parts`);
    for (const part of parts) {
      const column = columns[part.column];
      if (!column) throw refuse(`index ${name}: no column ${part.column}`);
      if (column.kind === ColumnKind.BLOB && !part.opaque)
        throw refuse(`index ${name}: column ${column.name} is a blob, whose part is opaque`);
      if (!areLevels(part.levels))
        throw refuse(`index ${name}: column ${column.name} has levels that are none of an opaque part`);
    }
    if (new Set(parts.map((part) => part.column)).size < parts.length)
      throw refuse(`index ${name} has a column twice`);
    return { name, unique: message.unique ?? false, parts };
  });
  checkDifferent(
    indexes.map((index) => index.name),
    'indexes',
  );
  const primary = indexes[0]!;
  if (!primary.unique || primary.parts.some((part) => columns[part.column]!.nullable)) {
    throw refuse('the primary key is unique and has no column that may be NULL');
  }
  return indexes;
}

/** Checks the number of levels, and the bytes of each. */
function areLevels(levels: Uint8Array): boolean {
  let count = 0;
  let at = 0;
  for (; at < levels.length && count < MAX_LEVELS; count++) {
    if (levels[at]! > MAX_LEVEL_BYTES) return false;
    at += 1 + levels[at]!;
  }
  return at === levels.length;
}

/** Compares the parts of two indexes. A table that was made without levels may get them later. */
function sameParts(before: readonly KeyPart[], after: readonly KeyPart[]): boolean {
  const text = (parts: readonly KeyPart[]): string =>
    JSON.stringify(parts.map((part) => ({ ...part, levels: [] })));
  return text(before) === text(after);
}

/**
 * Checks that rows and keys stay the same in a new definition.
 * @throws VamosError BAD_REQUEST: they don't
 */
export function checkRedefinition(before: Definition, after: Definition): void {
  if (after.columns.length !== before.columns.length || after.indexes.length !== before.indexes.length)
    throw refuse('a table keeps the number of its columns and indexes when it is redefined');
  const indexed = new Set(before.indexes.flatMap(({ parts }) => parts.map(({ column }) => column)));
  after.columns.forEach((column, number) => {
    const { kind, nullable, widthBytes } = before.columns[number]!;
    const isVariable = kind === ColumnKind.BYTES || kind === ColumnKind.BLOB;
    const isWide =
      isVariable && (column.widthBytes === 0 || (widthBytes > 0 && column.widthBytes > widthBytes));
    if (column.kind !== kind || (column.widthBytes !== widthBytes && !isWide))
      throw refuse(`column ${column.name} keeps its kind and width when the table is redefined`);
    if (column.nullable !== nullable && (nullable || indexed.has(number)))
      throw refuse(`column ${column.name}: only one without index may become nullable`);
  });
  after.indexes.forEach(({ name, unique, parts }, number) => {
    const same = before.indexes[number]!;
    if (unique !== same.unique || !sameParts(same.parts, parts))
      throw refuse(`index ${name} keeps its parts when the table is redefined`);
  });
}

function checkDifferent(names: string[], what: string): void {
  if (new Set(names).size < names.length) throw refuse(`two ${what} have the same name`);
}

function checkAutoIncrement(autoIncrement: number, columns: Definition['columns']): void {
  if (autoIncrement === 0) return;
  const column = columns[autoIncrement - 1];
  if (!column) throw refuse(`no column ${autoIncrement - 1} for auto-increment`);
  if (column.kind > ColumnKind.UINT64) throw refuse(`column ${column.name}: auto-increment needs an integer`);
}

function refuse(message: string): VamosError {
  return new VamosError('BAD_REQUEST', message);
}
