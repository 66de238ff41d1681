import { packedDecimal } from '../../guest/tables/mariadb/decimal.js';
import { WriteBatch, writeKeyBatch } from '../../src/protocol/batches.js';
import { KeyFormat } from '../../src/protocol/keys.js';
import { ProgramWriter, ValueType } from '../../src/protocol/program.js';
import { ColumnKind, RowFormat, type ColumnLayout, type RawValue } from '../../src/protocol/rows.js';
import { crc32c } from '../../src/channel/crc32c.js';

const column = (kind: ColumnKind, nullable = false, widthBytes = 0, isText = false): ColumnLayout => ({
  name: ColumnKind[kind],
  kind,
  nullable,
  widthBytes,
  isText,
});
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

const all: ColumnLayout[] = [
  column(ColumnKind.INT8),
  column(ColumnKind.INT16, true),
  column(ColumnKind.INT32),
  column(ColumnKind.INT64, true),
  column(ColumnKind.UINT8),
  column(ColumnKind.UINT16),
  column(ColumnKind.UINT32),
  column(ColumnKind.UINT64),
  column(ColumnKind.FLOAT),
  column(ColumnKind.DOUBLE, true),
  column(ColumnKind.FIXED, false, 5),
  column(ColumnKind.BYTES, true),
  column(ColumnKind.BYTES, false, 0, true),
  column(ColumnKind.BLOB, true),
  column(ColumnKind.BLOB),
];

const ROWS: { columns: ColumnLayout[]; values: RawValue[]; projection: number[] }[] = [
  {
    columns: all,
    values: [
      -128,
      -2,
      2147483647,
      -1n,
      255,
      65535,
      4294967295,
      2n ** 64n - 1n,
      1.5,
      -0.1,
      bytes(1, 2, 3, 4, 5),
      bytes(0, 255),
      'naïve ✓',
      bytes(9),
      { blob: 258, lengthBytes: 70000 },
    ],
    projection: [12, 0, 13, 9],
  },
  {
    columns: all,
    values: [0, null, 0, null, 0, 0, 0, 0n, 0, null, bytes(0, 0, 0, 0, 0), null, '', null, bytes()],
    projection: [11, 1],
  },
  { columns: [column(ColumnKind.INT8)], values: [1], projection: [0] },
  { columns: [column(ColumnKind.BYTES)], values: [bytes()], projection: [0] },
];

const KEYS: { parts: { column: ColumnLayout; descending: boolean }[]; values: RawValue[] }[] = [
  ...[-128, -1, 0, 127].map((each) => ({
    parts: [{ column: column(ColumnKind.INT8), descending: false }],
    values: [each],
  })),
  ...[-(2n ** 63n), 0n, 2n ** 63n - 1n].map((each) => ({
    parts: [{ column: column(ColumnKind.INT64), descending: true }],
    values: [each],
  })),
  ...[-Infinity, -1.5, -0, 0, 1.5].map((each) => ({
    parts: [{ column: column(ColumnKind.DOUBLE), descending: false }],
    values: [each],
  })),
  ...[-1.5, 0, 1.5].map((each) => ({
    parts: [{ column: column(ColumnKind.FLOAT, true), descending: true }],
    values: [each],
  })),
  ...[bytes(), bytes(0), bytes(0, 0), bytes(0, 1), bytes(1), bytes(255, 0, 255)].flatMap((each) =>
    [false, true].map((descending) => ({
      parts: [{ column: column(ColumnKind.BYTES, true), descending }],
      values: [each],
    })),
  ),
  ...[
    column(ColumnKind.INT16),
    column(ColumnKind.INT32, true),
    column(ColumnKind.UINT8),
    column(ColumnKind.UINT16, true),
    column(ColumnKind.UINT32),
  ].flatMap((each) =>
    [0, 1, 254].map((value) => ({ parts: [{ column: each, descending: value === 1 }], values: [value] })),
  ),
  ...[-1.5, -0, 2 ** 100].map((each) => ({
    parts: [{ column: column(ColumnKind.FLOAT), descending: false }],
    values: [each],
  })),
  { parts: [{ column: column(ColumnKind.UINT64), descending: true }], values: [2n ** 64n - 2n] },
  { parts: [{ column: column(ColumnKind.BYTES, true), descending: false }], values: [null] },
  { parts: [{ column: column(ColumnKind.BYTES, true), descending: true }], values: [null] },
  {
    parts: [
      { column: column(ColumnKind.BYTES, true, 0, true), descending: false },
      { column: column(ColumnKind.UINT32), descending: true },
      { column: column(ColumnKind.FIXED, false, 3), descending: false },
    ],
    values: ['a', 1, bytes(1, 2, 3)],
  },
];

/** The columns of a row over which a program runs that has each instruction at least once. */
const PROGRAM_COLUMNS: ColumnLayout[] = [
  column(ColumnKind.INT32),
  column(ColumnKind.DOUBLE, true),
  column(ColumnKind.FIXED, false, 6),
  column(ColumnKind.BYTES),
  column(ColumnKind.BLOB, true),
  column(ColumnKind.UINT64, true),
];
const PROGRAM_ROW: RawValue[] = [-7, 1.5, packedDecimal('-1234.567', 10, 3), bytes(0x61, 0x20), null, null];
const program = (): ProgramWriter => new ProgramWriter();
const PROGRAMS: [program: ProgramWriter, isTrue: boolean][] = [
  [program().column(0).integer(-7n).compare('EQUAL'), true],
  [program().column(0).integer(-7n).compare('NOT_EQUAL'), false],
  [program().column(0).integer(-6n).compare('LESS'), true],
  [program().column(0).integer(-7n).compare('LESS'), false],
  [program().column(0).integer(-7n).compare('LESS_OR_EQUAL'), true],
  [program().column(0).integer(-7n).compare('GREATER'), false],
  [program().column(0).integer(-7n).compare('GREATER_OR_EQUAL'), true],
  [program().column(0).integer(3n).operation('ADD').integer(-4n).compare('EQUAL'), true],
  [program().column(0).integer(3n).operation('SUBTRACT').integer(-10n).compare('EQUAL'), true],
  [program().column(0).integer(3n).operation('MULTIPLY').integer(-21n).compare('EQUAL'), true],
  [program().column(0).operation('NEGATE').integer(7n).compare('EQUAL'), true],
  [program().column(0).operation('TO_DOUBLE').double(-7).compare('EQUAL'), true],
  [program().column(1).double(1.5).compare('EQUAL'), true],
  [program().decimal(2, 10, 3).integer(-1234567n).compare('EQUAL'), true],
  [program().length(3).integer(2n).compare('EQUAL'), true],
  [program().column(3).bytes(bytes(0x61)).compare('EQUAL'), false],
  [program().column(3).bytes(bytes(0x61)).compare('EQUAL', true), true],
  [program().column(3).bytes(bytes(0x61)).operation('STARTS_WITH'), true],
  [program().column(0).integer(5n).integer(-7n).in(2), true],
  [program().column(3).bytes(bytes(0x62)).bytes(bytes(0x61)).in(2, true), true],
  [
    program()
      .column(5)
      .integer(2n ** 125n)
      .compare('LESS'),
    false,
  ],
  [program().column(5).null(ValueType.INTEGER).compare('SAME'), true],
  [program().column(5).operation('IS_NULL'), true],
  [program().length(4).operation('IS_NULL').operation('NOT'), false],
  [
    program()
      .integer(-(2n ** 64n))
      .integer(-(2n ** 64n) - 1n)
      .compare('GREATER'),
    true,
  ],
  [program().null(ValueType.BOOLEAN).operation('IS_TRUE').operation('NOT'), true],
  [program().null(ValueType.BOOLEAN).column(5).operation('IS_NULL').operation('OR'), true],
  [program().null(ValueType.BOOLEAN).column(5).operation('IS_NULL').operation('AND'), false],
];
const BIG_ENDIAN: [ColumnLayout, RawValue] = [column(ColumnKind.FIXED, false, 3), bytes(1, 2, 3)];

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex') || '-';
const columnText = ({ kind, nullable, widthBytes }: ColumnLayout): string =>
  `${ColumnKind[kind]}${widthBytes > 0 ? `:${widthBytes}` : ''}${nullable ? '?' : ''}`;

/**
 * The shared vectors, one a line, fields between blanks ('-' for no bytes):
 *     row COLUMNS ROW FINGERPRINT PROJECTION PROJECTED_ROW
 *     key PARTS ROW KEY                         (the row of just the parts' columns)
 *     insert|update|delete ROWS BATCH           (of the first rows above, one index of their first column)
 *     keys COUNT BATCH
 *     program COLUMNS ROW CODE true|false     (for that row: true, or anything else)
 * COLUMNS: KIND[:WIDTH][?] between commas, '?' for nullable; PARTS the same, descending ones with '-' in front.
 */
export function vectorLines(): string[] {
  const rows = ROWS.map(({ columns, values, projection }) => {
    const format = new RowFormat(columns);
    const row = format.pack(values);
    const projected = format.project(projection).pack(projection.map((number) => values[number]!));
    const fingerprint = crc32c(row).toString(16).padStart(8, '0');
    return `row ${columns.map(columnText).join(',')} ${hex(row)} ${fingerprint} ${projection.join(',')} ${hex(projected)}`;
  });
  const keys = KEYS.map(({ parts, values }) => {
    const text = parts.map((part) => (part.descending ? '-' : '') + columnText(part.column)).join(',');
    const row = new RowFormat(parts.map((part) => part.column)).pack(values);
    return `key ${text} ${hex(row)} ${hex(new KeyFormat(parts).encode(values))}`;
  });
  return [...rows, ...keys, ...batchLines(), ...programLines()];
}

function programLines(): string[] {
  const line = (
    columns: ColumnLayout[],
    values: RawValue[],
    [code, isTrue]: (typeof PROGRAMS)[number],
  ): string => {
    const row = new RowFormat(columns).pack(values);
    return `program ${columns.map(columnText).join(',')} ${hex(row)} ${hex(code.finish())} ${isTrue}`;
  };
  const [wide, value] = BIG_ENDIAN;
  return [
    ...PROGRAMS.map((each) => line(PROGRAM_COLUMNS, PROGRAM_ROW, each)),
    line([wide], [value], [program().bigEndian(0).integer(0x10203n).compare('EQUAL'), true]),
  ];
}

function batchLines(): string[] {
  const format = new RowFormat(all);
  const key = new KeyFormat([{ column: all[0]!, descending: false }]);
  const rows = ROWS.slice(0, 2).map(({ values }) => format.pack(values));
  const entries = ROWS.slice(0, 2).map(({ values }) => [{ key: key.encode([values[0]!]), hasNull: false }]);
  const deleted = rows.map((row, number) => ({ fingerprint: crc32c(row), entries: entries[number]! }));
  const inserted = rows.map((row, number) => ({ row, entries: entries[number]! }));
  const insert = new WriteBatch();
  for (const each of inserted) insert.add({ inserted: each });
  const update = new WriteBatch();
  update.add({ deleted: deleted[0]!, inserted: inserted[1]! });
  const remove = new WriteBatch();
  for (const each of deleted) remove.add({ deleted: each });
  const keys = entries.map(([entry]) => entry!.key);
  return [
    `insert 2 ${hex(insert.finish())}`,
    `update 1 ${hex(update.finish())}`,
    `delete 2 ${hex(remove.finish())}`,
    `keys 2 ${hex(writeKeyBatch(keys))}`,
  ];
}
