import { VamosError } from '../../../src/protocol/errors.js';
import { characterSetOf } from './text.js';
import { GENERAL_CI, SWEDISH_CI } from './weights.js';

/** The weights of a string's characters; all of `bytes` each. */
interface Weights {
  bytes: number;
  of(codePoint: number): number;
  /** Of the space that shorter strings are compared as if padded with; undefined: they are not. */
  pad: number | undefined;
}

const FLAG_SMALLER = 1;
const FLAG_END = 2;
const FLAG_LARGER = 3;
const MAX_BMP = 0xffff;
const REPLACEMENT = 0xfffd;

/**
 * The sort key of a string under a MariaDB collation (FORMATS.md, "MariaDB's columns").
 * @param prefixCharacters of so many first characters (bytes, in a binary column); 0: of all
 * @throws VamosError BAD_REQUEST: a collation whose weights only MariaDB knows
 */
export function sortKey(
  column: string,
  collation: string,
  value: Uint8Array,
  prefixCharacters: number,
): Uint8Array {
  if (collation === 'binary') return prefixCharacters > 0 ? value.subarray(0, prefixCharacters) : value;
  const weights = weightsOf(collation);
  if (!weights) {
    throw new VamosError(
      'BAD_REQUEST',
      `column ${column} is indexed under ${collation}, whose order only MariaDB knows: use another index, ` +
        `write the table through MariaDB, or give the column a _bin or _general_ci collation`,
    );
  }
  const codePoints = Array.from(characterSetOf(collation).decode(value), (each) => each.codePointAt(0)!);
  const used = prefixCharacters > 0 ? codePoints.slice(0, prefixCharacters) : codePoints;
  return encode(
    weights,
    used.map((codePoint) => weights.of(codePoint)),
  );
}

const known = new Map<string, Weights | undefined>();

function weightsOf(collation: string): Weights | undefined {
  if (!known.has(collation)) known.set(collation, make(collation));
  return known.get(collation);
}

function make(collation: string): Weights | undefined {
  const isPadded = !collation.includes('_nopad_');
  const of = formulas[collation.replace('_nopad_', '_')];
  if (!of) return undefined;
  const [, characters] = /^(\w+?)_/.exec(collation)!;
  const bytes =
    characters === 'utf8mb4' && collation.endsWith('_bin') ? 3 : characters!.startsWith('utf8') ? 2 : 1;
  return { bytes, of, pad: isPadded ? of(0x20) : undefined };
}

const asItIs = (codePoint: number): number => codePoint;
const upperAscii = (codePoint: number): number =>
  codePoint >= 0x61 && codePoint <= 0x7a ? codePoint - 0x20 : codePoint;
/** The byte of a latin1 character. */
const latin1Byte = (codePoint: number): number =>
  codePoint < 256 ? codePoint : characterSetOf('latin1').encode(String.fromCodePoint(codePoint))[0]!;

const formulas: Record<string, (codePoint: number) => number> = {
  utf8mb4_bin: asItIs,
  utf8mb3_bin: asItIs,
  ascii_bin: asItIs,
  latin1_bin: latin1Byte,
  ascii_general_ci: upperAscii,
  utf8mb4_general_ci: (codePoint) =>
    codePoint > MAX_BMP ? REPLACEMENT : (GENERAL_CI.get(codePoint) ?? codePoint),
  utf8mb3_general_ci: (codePoint) => GENERAL_CI.get(codePoint) ?? codePoint,
  latin1_swedish_ci: (codePoint) => {
    const byte = latin1Byte(codePoint);
    return SWEDISH_CI.get(byte) ?? byte;
  },
};

/** Padded: each run of pad weights, and the end, which is an endless run, says how what follows it compares with them. */
function encode({ bytes, pad }: Weights, weights: readonly number[]): Buffer {
  const key: number[] = [];
  const put = (value: number, length: number): void => {
    for (let shift = 8 * (length - 1); shift >= 0; shift -= 8) key.push((value >>> shift) & 0xff);
  };
  for (let next = 0; next < weights.length;) {
    const weight = weights[next]!;
    if (weight !== pad) {
      put(weight, bytes);
      next++;
      continue;
    }
    let end = next;
    while (end < weights.length && weights[end] === pad) end++;
    if (end === weights.length) break;
    const isSmaller = weights[end]! < pad;
    put(pad, bytes);
    key.push(isSmaller ? FLAG_SMALLER : FLAG_LARGER);
    put(isSmaller ? end - next : 0xffff - (end - next), 2);
    next = end;
  }
  if (pad !== undefined) {
    put(pad, bytes);
    key.push(FLAG_END);
  }
  return Buffer.from(key);
}
