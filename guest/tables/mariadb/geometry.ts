import { VamosError } from '../../../src/protocol/errors.js';
import { asBuffer } from '../../../src/protocol/rows.js';

/** A point, a line (points), a polygon (lines), or several of one kind, nested as mysql2 gives them. */
export type Geometry = { x: number; y: number } | Geometry[] | null;

const MAX_DEPTH = 32;

/** Reads well-known binary behind four bytes of spatial reference (OGC 06-103r4, section 8). */
export function geometryOf(raw: Uint8Array): Geometry {
  if (raw.length === 0) return null;
  const reader = { bytes: asBuffer(raw), offset: 4 };
  try {
    return readGeometry(reader, 0);
  } catch (cause) {
    throw new VamosError('CORRUPTION', 'a geometry column holds no geometry', { cause });
  }
}

interface Reader {
  bytes: Buffer;
  offset: number;
}

function readGeometry(reader: Reader, depth: number): Geometry {
  if (depth > MAX_DEPTH) throw new RangeError('nested too deeply');
  const isLittle = reader.bytes.readUInt8(reader.offset++) === 1;
  const count = (): number => {
    reader.offset += 4;
    return isLittle
      ? reader.bytes.readUInt32LE(reader.offset - 4)
      : reader.bytes.readUInt32BE(reader.offset - 4);
  };
  const coordinate = (): number => {
    reader.offset += 8;
    return isLittle
      ? reader.bytes.readDoubleLE(reader.offset - 8)
      : reader.bytes.readDoubleBE(reader.offset - 8);
  };
  const list = (item: () => Geometry): Geometry[] => {
    const items: Geometry[] = [];
    for (let left = count(); left > 0; left--) items.push(item());
    return items;
  };
  const point = (): Geometry => ({ x: coordinate(), y: coordinate() });
  const line = (): Geometry => list(point);
  switch (count()) {
    case 1:
      return point();
    case 2:
      return line();
    case 3:
      return list(line);
    case 4:
    case 5:
    case 6:
    case 7:
      return list(() => readGeometry(reader, depth + 1));
    default:
      throw new RangeError('an unknown kind of geometry');
  }
}
