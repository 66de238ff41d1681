import { TextDecoder } from 'node:util';
import { VamosError } from '../../../src/protocol/errors.js';

/** Turns a column's bytes into a string and back. */
export interface CharacterSet {
  readonly name: string;
  decode(bytes: Uint8Array): string;
  /** @throws VamosError BAD_REQUEST: the set doesn't have a character, or can only be read */
  encode(text: string): Uint8Array;
}

/** TextDecoder's names of character sets that MariaDB names differently. */
const LABELS: Record<string, string> = {
  latin2: 'iso-8859-2',
  latin5: 'windows-1254',
  latin7: 'iso-8859-13',
  greek: 'iso-8859-7',
  hebrew: 'iso-8859-8',
  cp850: '',
  cp852: '',
  cp866: 'ibm866',
  cp932: 'shift_jis',
  cp1250: 'windows-1250',
  cp1251: 'windows-1251',
  cp1256: 'windows-1256',
  cp1257: 'windows-1257',
  koi8r: 'koi8-r',
  koi8u: 'koi8-u',
  tis620: 'windows-874',
  macroman: 'macintosh',
  sjis: 'shift_jis',
  ujis: 'euc-jp',
  eucjpms: 'euc-jp',
  euckr: 'euc-kr',
  gb2312: 'gbk',
  ucs2: 'utf-16be',
  utf16: 'utf-16be',
  utf16le: 'utf-16le',
};

/**
 * The characters 0x80 to 0x9f of MariaDB's latin1, which is Windows-1252. (Node 20's own decoder takes them
 * for ISO 8859-1's.)
 */
const LATIN1_HIGH = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';

const UTF8 = new Set(['utf8mb4', 'utf8mb3', 'utf8']);
const known = new Map<string, CharacterSet>();

/** Returns the character set of a collation: the first word of its name. */
export function characterSetOf(collation: string): CharacterSet {
  const name = collation.split('_')[0]!;
  const found = known.get(name) ?? make(name);
  known.set(name, found);
  return found;
}

function make(name: string): CharacterSet {
  if (UTF8.has(name)) {
    return {
      name,
      decode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'),
      encode: (text) => {
        if (name !== 'utf8mb4' && /[\u{10000}-\u{10ffff}]/u.test(text)) throw cantEncode(name, text);
        return Buffer.from(text, 'utf8');
      },
    };
  }
  const decoder = name === 'latin1' ? { decode: decodeLatin1 } : decoderOf(name);
  const decode = (bytes: Uint8Array): string => {
    if (!decoder) throw new VamosError('BAD_REQUEST', `character set ${name} can't be decoded here`);
    return decoder.decode(bytes);
  };
  let bytesOf: Map<string, number> | undefined;
  return {
    name,
    decode,
    encode: (text) => {
      bytesOf ??= singleBytes(decode);
      return Uint8Array.from(text, (character) => {
        const byte = bytesOf!.get(character);
        if (byte === undefined) throw cantEncode(name, character);
        return byte;
      });
    },
  };
}

function decodeLatin1(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  return text.replace(/[\x80-\x9f]/g, (character) => LATIN1_HIGH[character.charCodeAt(0) - 0x80]!);
}

function decoderOf(name: string): TextDecoder | undefined {
  try {
    return new TextDecoder(LABELS[name] ?? name);
  } catch {
    return undefined;
  }
}

/**
 * Maps characters to their single bytes. In sets with more bytes a character only these characters can be
 * written.
 */
function singleBytes(decode: (bytes: Uint8Array) => string): Map<string, number> {
  const bytesOf = new Map<string, number>();
  for (let byte = 0; byte < 256; byte++) {
    const text = decode(Uint8Array.of(byte));
    if ([...text].length === 1 && text !== '\ufffd') bytesOf.set(text, byte);
  }
  return bytesOf;
}

function cantEncode(name: string, text: string): VamosError {
  return new VamosError(
    'BAD_REQUEST',
    `character set ${name} has no '${text.slice(0, 20)}', or it is written through MariaDB only`,
  );
}
