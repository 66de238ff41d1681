import { VamosError } from '../../../src/protocol/errors.js';
import { escapeZeros } from '../../../src/protocol/keys.js';
import { characterSetOf } from './text.js';
import { GENERAL_CI, SWEDISH_CI } from './weights.js';

/** Returns the weights by which a string is compared. */
type Order = (text: string) => Uint8Array;

const FLAG_SMALLER = 1;
const FLAG_END = 2;
const FLAG_LARGER = 3;
const LONG_RUN = 0xff;
const MAX_BMP = 0xffff;
const REPLACEMENT = 0xfffd;

/** A column whose strings are to be sorted. */
export interface SortedColumn {
  name: string;
  collation: string;
  /** The column is a CHAR, whose values count as filled up with spaces. */
  isPadded: boolean;
}

/**
 * Returns the bytes of a string in an index under a MariaDB collation (FORMATS.md, "MariaDB's columns").
 * @param prefixCharacters how many first characters (bytes, in a binary column) are taken; 0: all
 * @throws VamosError BAD_REQUEST: a collation whose weights only MariaDB knows
 */
export function sortKey(
  { name, collation, isPadded }: SortedColumn,
  value: Uint8Array,
  prefixCharacters: number,
): Buffer {
  if (collation === 'binary') {
    return escapeZeros(prefixCharacters > 0 ? value.subarray(0, prefixCharacters) : value);
  }
  const isNoPad = collation.includes('_nopad_');
  const order = orderOf(collation);
  if (!order || (isPadded && isNoPad)) {
    throw new VamosError(
      'BAD_REQUEST',
      `column ${name} is indexed under ${collation}, whose order only MariaDB knows: use another index, ` +
        `write the table through MariaDB, or give the column a _bin or _general_ci collation`,
    );
  }
  const text = characterSetOf(collation).decode(value);
  const used = prefixCharacters > 0 ? [...text].slice(0, prefixCharacters).join('') : text;
  const weights = order(used);
  if (isNoPad) return escapeZeros(weights);
  return padded(weights, order(' '));
}

/** Character sets whose `_bin` collations order strings by their bytes. */
const BYTE_ORDERED = /^(utf8mb4|utf8mb3|latin\d|ascii|cp125\d|koi8[ru]|greek|hebrew|tis620)_/;

/**
 * Says whether strings compare as their bytes do, with the shorter one filled up with spaces unless the
 * collation has NO PAD. Then a host can compare them.
 */
export function comparesAsBytes({ collation, isPadded }: Omit<SortedColumn, 'name'>): boolean {
  if (collation === 'binary') return true;
  if (isPadded && collation.includes('_nopad_')) return false;
  return collation.endsWith('_bin') && BYTE_ORDERED.test(collation);
}

const known = new Map<string, Order | undefined>();

function orderOf(collation: string): Order | undefined {
  if (!known.has(collation)) known.set(collation, make(collation.replace('_nopad_', '_')));
  return known.get(collation);
}

function make(collation: string): Order | undefined {
  // UTF-8 sorts by its bytes as by its characters.
  if (/^utf8mb[34]_bin$/.test(collation)) {
    return (text) => Buffer.from(text, 'utf8');
  }
  const weightOf = formulas[collation];
  if (!weightOf) return undefined;
  const unitBytes = collation.startsWith('utf8') ? 2 : 1;
  return (text) => {
    const codePoints = Array.from(text, (each) => each.codePointAt(0)!);
    const bytes = Buffer.alloc(codePoints.length * unitBytes);
    codePoints.forEach((codePoint, number) => {
      bytes.writeUIntBE(weightOf(codePoint), number * unitBytes, unitBytes);
    });
    return bytes;
  };
}

const upperAscii = (codePoint: number): number =>
  codePoint >= 0x61 && codePoint <= 0x7a ? codePoint - 0x20 : codePoint;
/** Returns the byte of a latin1 character. */
const latin1Byte = (codePoint: number): number =>
  codePoint < 256 ? codePoint : characterSetOf('latin1').encode(String.fromCodePoint(codePoint))[0]!;

/** Functions that give the weight of one character, by collation. */
const formulas: Record<string, (codePoint: number) => number> = {
  ascii_bin: (codePoint) => codePoint,
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

/**
 * Returns weights that compare as if the pad followed for ever. A run of pads, including the endless one at
 * the end, becomes the pad and a byte that says whether what follows the run is smaller, nothing, or larger;
 * then the run's length, inverted where a longer run is the smaller string.
 */
function padded(weights: Uint8Array, pad: Uint8Array): Buffer {
  const key: number[] = [];
  const unit = (at: number) => weights.subarray(at, at + pad.length);
  const isPad = (at: number) => Buffer.compare(unit(at), pad) === 0;
  for (let at = 0; ;) {
    while (at < weights.length && !isPad(at)) {
      key.push(...unit(at));
      at += pad.length;
    }
    const start = at;
    while (at < weights.length && isPad(at)) at += pad.length;
    if (at === weights.length) {
      key.push(...pad, FLAG_END);
      return Buffer.from(key);
    }
    const isSmaller = Buffer.compare(unit(at), pad) < 0;
    key.push(...pad, isSmaller ? FLAG_SMALLER : FLAG_LARGER);
    const length = (at - start) / pad.length;
    const bytes =
      length < LONG_RUN ? [length] : [LONG_RUN, length >>> 24, length >>> 16, length >>> 8, length];
    key.push(...bytes.map((byte) => (byte & 0xff) ^ (isSmaller ? 0 : 0xff)));
  }
}
