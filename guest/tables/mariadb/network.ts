import { isIP } from 'node:net';
import { VamosError } from '../../../src/protocol/errors.js';

/** INET4, INET6 and UUID: bytes as in the server's records, text as mysql2 shows it. */

export function inet4Of(raw: Uint8Array): string {
  return raw.join('.');
}

export function packedInet4(text: string): Uint8Array {
  if (isIP(text) !== 4) throw wrong(text, 'IPv4 address');
  return Uint8Array.from(text.split('.'), Number);
}

/**
 * Writes an address as RFC 5952 does, with mapped and compatible IPv4 addresses dotted, as MariaDB writes
 * them.
 */
export function inet6Of(raw: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, number) => raw[2 * number]! * 256 + raw[2 * number + 1]!);
  const isFirstZero = words.slice(0, 5).every((word) => word === 0);
  const isMapped = isFirstZero && words[5] === 0xffff;
  const isCompatible = isFirstZero && words[5] === 0 && words[6] !== 0;
  if (isMapped || isCompatible) return `::${isMapped ? 'ffff:' : ''}${inet4Of(raw.subarray(12))}`;
  let [start, length] = [-1, 1];
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && words[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const text = (from: number, to: number) =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(':');
  return start < 0 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`;
}

export function packedInet6(text: string): Uint8Array {
  const kind = isIP(text);
  if (kind === 4)
    return Uint8Array.from([...new Array<number>(10).fill(0), 0xff, 0xff, ...packedInet4(text)]);
  if (kind !== 6 || text.includes('%')) throw wrong(text, 'IPv6 address');
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const last = dotted ? packedInet4(dotted[2]!) : undefined;
  const plain = last
    ? `${dotted![1]}${(last[0]! * 256 + last[1]!).toString(16)}:${(last[2]! * 256 + last[3]!).toString(16)}`
    : text;
  const [before = '', after] = plain.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => parseInt(word, 16)));
  const [left, right] = [words(before), words(after ?? '')];
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

/** Where the five groups of a UUID stand in a record that is ordered by time, in the order of its text. */
const GROUPS = [
  [12, 16],
  [10, 12],
  [8, 10],
  [6, 8],
  [0, 6],
] as const;

/**
 * Reads a UUID. Those of versions 1 to 5 stand in the record with their groups reversed, so that UUIDs made
 * by one machine follow one another; the others stand as they are. The bits of version and variant tell
 * which.
 */
export function uuidOf(raw: Uint8Array): string {
  const bytes = looksReversed(raw)
    ? Buffer.concat(GROUPS.map(([from, to]) => raw.subarray(from, to)))
    : Buffer.from(raw);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function looksReversed(raw: Uint8Array): boolean {
  return (raw[6]! & 0x80) !== 0 && raw[8]! > 0 && raw[8]! <= 0x80;
}

export function packedUuid(text: string): Uint8Array {
  const hex = text.replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/i.test(hex) || text.startsWith('-') || text.endsWith('-')) throw wrong(text, 'UUID');
  const bytes = Buffer.from(hex, 'hex');
  // The server refuses it, too: in a record it would look like a reversed one.
  if (looksReversed(bytes)) throw wrong(text, 'UUID that MariaDB can hold');
  const isReversed = bytes[6]! > 0 && bytes[6]! < 0x60 && (bytes[8]! & 0x80) !== 0;
  if (!isReversed) return bytes;
  const raw = new Uint8Array(16);
  let offset = 0;
  for (const [from, to] of GROUPS) {
    raw.set(bytes.subarray(offset, offset + to - from), from);
    offset += to - from;
  }
  return raw;
}

function wrong(text: string, what: string): VamosError {
  return new VamosError('BAD_REQUEST', `'${text}' is not a ${what}`);
}
