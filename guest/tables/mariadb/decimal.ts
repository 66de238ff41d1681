import { VamosError } from '../../../src/protocol/errors.js';
import { asBuffer } from '../../../src/protocol/rows.js';
import { MAX_DECIMAL_DIGITS } from '../../../src/protocol/generated/limits.js';

/** MariaDB's binary DECIMAL: groups of nine digits in four bytes, incomplete groups at both outer ends in fewer. */
const GROUP_DIGITS = 9;
const BYTES_OF_DIGITS = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const SIGN = 0x80;

/** The digits of each group from the left: `whole` before the point, `fraction` behind it. */
function groupsOf(digits: number, scale: number): { whole: number[]; fraction: number[] } {
  const whole = digits - scale;
  const full = (count: number) => new Array<number>(Math.floor(count / GROUP_DIGITS)).fill(GROUP_DIGITS);
  const rest = (count: number) => (count % GROUP_DIGITS === 0 ? [] : [count % GROUP_DIGITS]);
  return { whole: [...rest(whole), ...full(whole)], fraction: [...full(scale), ...rest(scale)] };
}

/** Returns the value as text with all digits of its scale, as mysql2 gives it. */
export function decimalOf(raw: Uint8Array, digits: number, scale: number): string {
  const bytes = Buffer.from(asBuffer(raw));
  const isNegative = (bytes[0]! & SIGN) === 0;
  bytes[0]! ^= SIGN;
  if (isNegative) for (let offset = 0; offset < bytes.length; offset++) bytes[offset]! ^= 0xff;
  const { whole, fraction } = groupsOf(digits, scale);
  let offset = 0;
  const read = (count: number): string => {
    const length = BYTES_OF_DIGITS[count]!;
    const value = bytes.readUIntBE(offset, length);
    offset += length;
    return String(value).padStart(count, '0');
  };
  const wholeText = whole.map(read).join('').replace(/^0+/, '') || '0';
  const fractionText = fraction.map(read).join('');
  const text = scale > 0 ? `${wholeText}.${fractionText}` : wholeText;
  return isNegative ? `-${text}` : text;
}

/**
 * Returns the bytes of a decimal.
 * @throws VamosError BAD_REQUEST: the value is no decimal, or has more digits than the column
 */
export function packedDecimal(value: string | number, digits: number, scale: number): Buffer {
  const [, sign, wholeText, fractionText = ''] =
    /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(String(value).trim()) ?? [];
  const whole = wholeText?.replace(/^0+/, '');
  const fraction = fractionText.replace(/0+$/, '');
  if (whole === undefined || whole.length > digits - scale || fraction.length > scale) {
    throw new VamosError('BAD_REQUEST', `${String(value)} is no decimal(${digits},${scale})`);
  }
  const groups = groupsOf(digits, scale);
  const text = whole.padStart(digits - scale, '0') + fraction.padEnd(scale, '0');
  const isNegative = sign === '-' && /[1-9]/.test(text);
  const pieces: Buffer[] = [];
  let position = 0;
  for (const count of [...groups.whole, ...groups.fraction]) {
    const piece = Buffer.alloc(BYTES_OF_DIGITS[count]!);
    piece.writeUIntBE(Number(text.slice(position, position + count)), 0, piece.length);
    pieces.push(piece);
    position += count;
  }
  const bytes = Buffer.concat(pieces);
  if (isNegative) for (let offset = 0; offset < bytes.length; offset++) bytes[offset]! ^= 0xff;
  bytes[0]! ^= SIGN;
  return bytes;
}

/** Returns digits and scale of a DECIMAL column, by its type's name, if a host can compute with it. */
export function decimalShape(typeName: string): { digits: number; scale: number } | undefined {
  const [, digits, scale] = /^mariadb:decimal\((\d+),(\d+)\)/i.exec(typeName) ?? [];
  if (digits === undefined || Number(digits) > MAX_DECIMAL_DIGITS) return undefined;
  return { digits: Number(digits), scale: Number(scale) };
}

/** Returns the text of a decimal, from its value times 10^scale. */
export function decimalText(value: bigint, scale: number): string {
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
  const sign = value < 0n ? '-' : '';
  if (scale === 0) return sign + digits;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
