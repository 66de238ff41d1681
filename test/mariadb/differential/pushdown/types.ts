/** Column types that work may be pushed for, and some that it may not, with values at their edges. */

export type Family =
  'integer' | 'decimal' | 'float' | 'temporal' | 'text' | 'bytes' | 'label' | 'bit' | 'other';

export interface ColumnType {
  sql: string;
  family: Family;
  /** Literals that the type takes. */
  values: string[];
  /** Literals that don't fit, or not whole. */
  bad: string[];
  /** Arithmetic may leave the range of its results' type. */
  isWide: boolean;
  /** How it may stand in an index: whole, with a prefix, or not at all. */
  key: 'whole' | 'prefix' | 'no';
}

function type(sql: string, family: Family, values: string[], more: Partial<ColumnType> = {}): ColumnType {
  return { sql, family, values, bad: ['NULL'], isWide: false, key: 'whole', ...more };
}

const SMALL = ['0', '1', '-1', '2', '3', '7', '10'];

const INTEGERS = (
  [
    ['TINYINT', 7n],
    ['SMALLINT', 15n],
    ['MEDIUMINT', 23n],
    ['INT', 31n],
    ['BIGINT', 63n],
  ] as const
).flatMap(([name, bits]) => {
  const top = 1n << bits;
  const isWide = bits === 63n;
  return [
    type(name, 'integer', [...SMALL, String(-top), String(top - 1n), String(1n - top)], {
      bad: [String(top), String(-top - 1n), '1.5', '2.5e0', "'12'", "' 3x'", 'NULL', '1e30'],
      isWide,
    }),
    type(
      `${name} UNSIGNED`,
      'integer',
      ['0', '1', '2', '3', '7', String(2n * top - 1n), String(top), String(top - 1n)],
      { bad: ['-1', String(2n * top), '0.5', '-0.4', "'-1'", 'NULL'], isWide },
    ),
  ];
});

const decimal = (digits: number, scale: number, more: string[] = []): ColumnType => {
  const nines = '9'.repeat(digits);
  const largest = scale === 0 ? nines : `${nines.slice(0, digits - scale)}.${nines.slice(digits - scale)}`;
  const least = scale === 0 ? '1' : `0.${'1'.padStart(scale, '0')}`;
  return type(
    `DECIMAL(${digits},${scale})`,
    'decimal',
    ['0', least, `-${least}`, largest, `-${largest}`, ...more],
    {
      bad: [`${largest}9`, `${least}5`, `-${least}49`, '1e0', "'1.005'", "'x'", 'NULL', '1e60'],
      isWide: digits > 30,
    },
  );
};

const DECIMALS = [
  decimal(1, 0, ['1', '2']),
  decimal(5, 2, ['1', '1.5', '-1.50', '2', '10.01']),
  decimal(10, 0, ['1', '-2', '3']),
  decimal(10, 3, ['1', '1.5', '-0.005', '1234567.891']),
  decimal(18, 9, ['1', '1.5', '0.1']),
  decimal(36, 0, ['1', '7', '18446744073709551616']),
  decimal(38, 10, ['1', '1.5', '0.1']),
  decimal(65, 30, ['1', '1.5', '12345678901234567890.5']),
  decimal(65, 0, ['1', '7']),
  type('DECIMAL(8,2) UNSIGNED', 'decimal', ['0', '0.01', '999999.99', '1.5', '7'], { bad: ['-1', '-0.004'] }),
  type('DECIMAL(6,2) ZEROFILL', 'decimal', ['0', '0.01', '1.5', '7'], { bad: ['-1'] }),
];

const FLOATS = [
  type(
    'FLOAT',
    'float',
    [
      '0',
      '-0e0',
      '1.5',
      '-1.5',
      '0.1',
      '3.4028234e38',
      '-3.4028234e38',
      '1.17549435e-38',
      '16777217',
      '1e-45',
    ],
    { bad: ['1e39', "'1.5x'", 'NULL'] },
  ),
  type('FLOAT(7,2)', 'float', ['0', '1.5', '-1.25', '0.1', '99999.99', '2'], { bad: ['1.005', '1e9'] }),
  type(
    'DOUBLE',
    'float',
    [
      '0',
      '-0e0',
      '1.5',
      '-1.5',
      '0.1',
      '0.30000000000000004',
      '9007199254740993',
      '9223372036854775807',
      '1.7976931348623157e308',
      '-1.7976931348623157e308',
      '2.2250738585072014e-308',
      '5e-324',
    ],
    { bad: ["'1e999'", "'z'", 'NULL'], isWide: true },
  ),
  type('DOUBLE(10,3)', 'float', ['0', '1.5', '-0.001', '1234567.891'], { bad: ['0.0005', '1e12'] }),
  type('DOUBLE UNSIGNED', 'float', ['0', '1.5', '0.1', '1e300'], { bad: ['-1', '-0.1'], isWide: true }),
];

const DATES = [
  "'0000-00-00'",
  "'2024-00-00'",
  "'2024-02-29'",
  "'1000-01-01'",
  "'9999-12-31'",
  "'2001-01-01'",
];
const BAD_TIMES = ["'2023-02-30'", "'x'", "''", 'NULL', '20240229', "'99:99:99'"];

const TEMPORAL = [
  type('DATE', 'temporal', DATES, { bad: [...BAD_TIMES, "'2024-02-29 10:11:12'"] }),
  type('YEAR', 'temporal', ['2024', '1901', '2155', '0', '1970'], { bad: ['1900', "'70'", '70', 'NULL'] }),
  ...[0, 1, 2, 3, 4, 6].flatMap((digits) => [
    type(
      `TIME(${digits})`,
      'temporal',
      [
        "'00:00:00'",
        "'-838:59:59'",
        "'838:59:59'",
        "'12:34:56.789'",
        "'-00:00:00.5'",
        "'12:34:56'",
        "'00:00:00.000001'",
        "'-00:00:01.999999'",
      ],
      { bad: [...BAD_TIMES, "'900:00:00'", "'12:34:56.9999999'"] },
    ),
    type(
      `DATETIME(${digits})`,
      'temporal',
      [
        "'0000-00-00 00:00:00'",
        "'2024-02-29 01:02:03'",
        "'2024-02-29 01:02:03.5'",
        "'1000-01-01 00:00:00'",
        "'9999-12-31 23:59:59'",
        "'2024-02-29 00:00:00'",
        "'2024-10-27 02:30:00'",
        "'2001-01-01 23:59:59.999999'",
      ],
      { bad: [...BAD_TIMES, "'9999-12-31 23:59:59.9999999'"] },
    ),
    type(
      `TIMESTAMP(${digits}) NULL DEFAULT NULL`,
      'temporal',
      [
        "'0000-00-00 00:00:00'",
        "'2024-02-29 01:02:03'",
        "'2024-02-29 01:02:03.25'",
        "'1990-01-01 00:00:00'",
        "'2038-01-19 01:00:00.999999'",
        "'2024-10-27 02:30:00'",
        "'2024-10-27 01:30:00'",
      ],
      { bad: [...BAD_TIMES, "'1900-01-01'", "'2024-03-31 02:30:00'"] },
    ),
  ]),
];

const TEXTS = [
  "''",
  "' '",
  "'a'",
  "'A'",
  "'a '",
  "'ab'",
  "'b'",
  "'B  '",
  "'ä'",
  "'e'",
  "'é'",
  "'ß'",
  "'ss'",
  "'a\\0b'",
  "'a\\t'",
  "'zz%'",
  "'Zz_9'",
  "'1'",
  "'1.5'",
  "'01'",
  "'2024-02-29'",
];
const LONG_TEXT = "REPEAT('xyz ', 400)";

function text(sql: string, collation: string): ColumnType {
  const charset = collation.split('_')[0]!;
  const isWide = ['utf8mb4', 'utf8mb3', 'utf16', 'ucs2'].includes(charset);
  const isLong = sql.includes('TEXT');
  const values = charset === 'ascii' ? TEXTS.filter((each) => !/[^ -~]/.test(each)) : TEXTS;
  return type(
    `${sql} CHARACTER SET ${charset} COLLATE ${collation}`,
    'text',
    [
      ...values,
      ...(isWide ? ["'日本'", "'Ω'"] : []),
      ...(['utf8mb4', 'utf16'].includes(charset) ? ["'😀'", "'ﬀ'"] : []),
      ...(isLong ? [LONG_TEXT] : []),
    ],
    { bad: [LONG_TEXT, 'NULL', '12', ...(isWide ? [] : ["'日'"])], key: isLong ? 'prefix' : 'whole' },
  );
}

const STRINGS = [
  text('VARCHAR(20)', 'utf8mb4_bin'),
  text('VARCHAR(20)', 'utf8mb4_nopad_bin'),
  text('CHAR(10)', 'utf8mb4_bin'),
  text('CHAR(10)', 'utf8mb4_nopad_bin'),
  text('CHAR(10)', 'latin1_bin'),
  text('VARCHAR(300)', 'latin1_bin'),
  text('VARCHAR(20)', 'latin1_nopad_bin'),
  text('VARCHAR(20)', 'ascii_bin'),
  text('VARCHAR(20)', 'utf8mb3_bin'),
  text('VARCHAR(20)', 'utf16_bin'),
  text('VARCHAR(20)', 'ucs2_bin'),
  text('TEXT', 'utf8mb4_bin'),
  text('TINYTEXT', 'latin1_bin'),
  text('VARCHAR(20)', 'utf8mb4_general_ci'),
  text('CHAR(10)', 'utf8mb4_unicode_ci'),
  text('VARCHAR(20)', 'latin1_swedish_ci'),
  text('VARCHAR(20)', 'utf8mb4_general_nopad_ci'),
  text('VARCHAR(20)', 'utf8mb4_uca1400_ai_ci'),
  text('TEXT', 'utf8mb4_general_ci'),
];

const BYTES = ["''", "'a'", "'A'", "X'00'", "X'0001'", "X'FF'", "X'FF00'", "'a '", "'ab'", "'1'"];
const OTHERS = [
  type('BINARY(4)', 'bytes', BYTES, { bad: ["'abcdef'", 'NULL', '12'] }),
  type('BINARY(1)', 'bytes', ["''", "'a'", "X'00'", "X'FF'", "' '"], { bad: ["'ab'"] }),
  type('VARBINARY(8)', 'bytes', BYTES, { bad: ["'abcdefghi'", 'NULL', '12'] }),
  type('VARBINARY(300)', 'bytes', [...BYTES, "REPEAT('q', 299)"], { bad: ["REPEAT('q', 301)"] }),
  type('BLOB', 'bytes', [...BYTES, "REPEAT('q', 5000)"], { key: 'prefix' }),
  type('LONGBLOB', 'bytes', [...BYTES, "REPEAT('r', 40000)"], { key: 'prefix' }),
  type("ENUM('b','a','c d','1')", 'label', ["'a'", "'b'", "'c d'", '1', "'1'"], {
    bad: ["'nope'", '0', '9', "''"],
  }),
  type("ENUM('x','Y') COLLATE utf8mb4_bin", 'label', ["'x'", "'Y'"], { bad: ["'y'", 'NULL'] }),
  type("SET('y','x','z')", 'label', ["''", "'x'", "'y,z'", '7', '3'], { bad: ["'w'", "'x,w'", '9', 'NULL'] }),
  type('BIT(1)', 'bit', ["b'0'", "b'1'"], { bad: ["b'10'", '7', 'NULL'] }),
  type('BIT(8)', 'bit', ["b'0'", "b'1'", '255', '97'], { bad: ['256', '-1'] }),
  type('BIT(17)', 'bit', ["b'0'", "b'11111111111111111'", "b'101'"], { bad: ['1000000'] }),
  type('BIT(64)', 'bit', ['0', '1', '18446744073709551615', '9223372036854775808'], {
    bad: ['1e30'],
    isWide: true,
  }),
  type('BOOL', 'integer', ['TRUE', 'FALSE', '2'], { bad: ['300', "'t'"] }),
  type('JSON', 'other', ['\'{"a":1}\'', "'[]'", "'null'", "'1'"], { bad: ["'{'"], key: 'no' }),
  type('INET6', 'other', ["'::1'", "'::'", "'::192.0.2.1'", "'ff::ab'"], { bad: ["'ip'"] }),
  type(
    'UUID',
    'other',
    ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"],
    { bad: ["'u'"] },
  ),
];

export const TYPES: ColumnType[] = [...INTEGERS, ...DECIMALS, ...FLOATS, ...TEMPORAL, ...STRINGS, ...OTHERS];

/** What a literal is to a column that it is compared with. */
type Kind = 'number' | 'numeric text' | 'text' | 'time' | 'typed time' | 'bytes' | 'null';

export const CONSTANTS: { sql: string; kind: Kind }[] = [
  ...[
    '0',
    '1',
    '-1',
    '2',
    '3',
    '7',
    '127',
    '128',
    '-129',
    '255',
    '256',
    '2024',
    '2147483648',
    '9223372036854775807',
    '9223372036854775808',
    '-9223372036854775808',
    '-9223372036854775809',
    '18446744073709551615',
    '18446744073709551616',
    '20240229',
    '20240229010203',
    '123456',
    '1+1',
    "CAST('2' AS SIGNED)",
    'TRUE',
    'FALSE',
    '0.0',
    '1.5',
    '-1.5',
    '0.5',
    '1.50',
    '127.4999',
    '255.5',
    '2147483647.5',
    '1.005',
    '0.1',
    '10/4',
    '9'.repeat(65),
    '0.000000000000000000000000000001',
    '0e0',
    '-0e0',
    '1.5e0',
    '1e300',
    '-1e300',
    '0.1e0',
    '9.223372036854775807e18',
    '1.8446744073709552e19',
    '1e-45',
    '3.4028234e38',
    '@i',
    '@d',
    '@f',
  ].map((sql) => ({ sql, kind: 'number' as const })),
  ...["'0'", "'1'", "'1.5'", "' 1'", "'1e0'", "'-1'", "'2147483648'", "'01'"].map((sql) => ({
    sql,
    kind: 'numeric text' as const,
  })),
  ...[
    "'a'",
    "'A'",
    "'a '",
    "'1x'",
    "'1 '",
    "''",
    "'ä'",
    "'Ω'",
    "'a' COLLATE utf8mb4_bin",
    "_latin1'a'",
    '@s',
  ].map((sql) => ({ sql, kind: 'text' as const })),
  ...[
    "'2024-02-29'",
    "'2024-02-29 00:00:00'",
    "'2024-02-29 01:02:03.5'",
    "'2024-2-29'",
    "'2024-02-30'",
    "'12:34:56'",
    "'0000-00-00'",
    "'-838:59:59'",
    "'2024-10-27 02:30:00'",
    "'2001-01-01 23:59:59.9999999'",
  ].map((sql) => ({ sql, kind: 'time' as const })),
  ...[
    "DATE'2024-02-29'",
    "TIMESTAMP'2024-02-29 01:02:03'",
    "TIMESTAMP'2024-02-29 01:02:03.500'",
    "TIME'12:34:56'",
    "TIME'-00:00:00.5'",
    "DATE'2001-01-01' + INTERVAL 1 DAY",
  ].map((sql) => ({ sql, kind: 'typed time' as const })),
  ...["X'61'", '0x31', "b'1'", "_binary'a'", "X'00'", "BINARY 'a'"].map((sql) => ({
    sql,
    kind: 'bytes' as const,
  })),
  ...['NULL', '@n'].map((sql) => ({ sql, kind: 'null' as const })),
];

/** Whether comparing may warn for each row that is compared. */
export function warns(family: Family, kind: Kind): boolean {
  if (kind === 'null') return false;
  switch (family) {
    case 'integer':
    case 'decimal':
    case 'float':
    case 'bit':
      return kind !== 'number' && kind !== 'numeric text';
    case 'text':
    case 'bytes':
      return kind === 'number' || kind === 'typed time';
    case 'label':
      return kind === 'typed time' || kind === 'number';
    case 'temporal':
      return kind !== 'typed time';
    default:
      return true;
  }
}
