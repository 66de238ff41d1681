import protobuf from 'protobufjs/minimal.js';
import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { ColumnKind } from '../../../src/protocol/rows.js';
import { decode } from './requests.js';

const MAX_NAME_BYTES = 255;
const MAX_TYPE_BYTES = 64;
const MAX_COLUMNS = 4096;
/** With the primary key. */
const MAX_INDEXES = 65;
const MAX_PARTS = 32;
const MAX_FIXED_BYTES = 65_535;
const MAX_VARIABLE_BYTES = 1024 * 1024 * 1024;
const MAX_DETAIL_BYTES = 1024 * 1024;
/** Of the row's fixed part, so that a row fits a request. */
const MAX_ROW_FIXED_BYTES = 512 * 1024;

/** A definition that was checked: all fields there, all numbers in range. */
export interface Definition {
  name: string;
  columns: { name: string; kind: ColumnKind; nullable: boolean; widthBytes: number; type: string }[];
  indexes: { name: string; unique: boolean; parts: { column: number; descending: boolean }[] }[];
  /** Number of the column + 1; 0: none. */
  autoIncrement: number;
  detail: Uint8Array;
}

/** @throws VamosError BAD_REQUEST */
export function checkName(name: string, what = 'table'): void {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > MAX_NAME_BYTES || name.includes('\0')) {
    throw refuse(`the name of a ${what} has 1 to ${MAX_NAME_BYTES} bytes and no NUL`);
  }
}

/** The messages that fields of a CreateTable hold, by field number. */
interface Messages {
  readonly [field: number]: Messages;
}
const IN_CREATE_TABLE: Messages = { 1: { 2: {}, 3: { 3: {} } } };
const MAX_MESSAGES = 1 + MAX_COLUMNS + MAX_INDEXES * (1 + MAX_PARTS);

/**
 * The definition in a CreateTable. What it holds is counted before it is decoded: an empty column is two bytes of a frame,
 * and an object of a hundred.
 * @throws VamosError BAD_REQUEST
 */
export function decodeDefinition(body: Uint8Array): Definition {
  const count = decode({ decode: () => countMessages(protobuf.Reader.create(body), body.length) }, body);
  if (count > MAX_MESSAGES) {
    throw refuse(
      `a table has at most ${MAX_COLUMNS} columns and ${MAX_INDEXES} indexes of ${MAX_PARTS} parts each`,
    );
  }
  return checkDefinition(decode(vamos.tables.CreateTable, body).definition);
}

function countMessages(reader: protobuf.Reader, end: number, fields = IN_CREATE_TABLE): number {
  let count = 0;
  while (reader.pos < end) {
    const tag = reader.uint32();
    const inner = (tag & 7) === 2 ? fields[tag >>> 3] : undefined;
    if (!inner) {
      reader.skipType(tag & 7);
      continue;
    }
    const length = reader.uint32();
    count += 1 + countMessages(reader, reader.pos + length, inner);
  }
  return count;
}

/** @throws VamosError BAD_REQUEST, saying which limit the definition breaks */
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
  if (kind === ColumnKind.BYTES || kind === ColumnKind.BLOB) return widthBytes <= MAX_VARIABLE_BYTES;
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
    }));
    if (parts.length === 0 || parts.length > MAX_PARTS)
      throw refuse(`index ${name} has not 1 to ${MAX_PARTS} parts`);
    for (const part of parts) {
      const column = columns[part.column];
      if (!column) throw refuse(`index ${name}: no column ${part.column}`);
      if (column.kind === ColumnKind.BLOB) throw refuse(`index ${name}: column ${column.name} is a blob`);
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
