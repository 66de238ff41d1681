import { vamos } from './generated/messages.js';
import { VamosError } from './errors.js';
import { MAX_INTEGER_BITS, MAX_PROGRAM_BYTES } from './generated/limits.js';

/** What a host can do for a row (FORMATS.md, "Programs"). */
export const { Instruction, ValueType } = vamos.tables.Program;
export type ValueType = vamos.tables.Program.ValueType;

export type Comparison =
  'EQUAL' | 'NOT_EQUAL' | 'LESS' | 'LESS_OR_EQUAL' | 'GREATER' | 'GREATER_OR_EQUAL' | 'SAME';
type Operation =
  | 'ADD'
  | 'SUBTRACT'
  | 'MULTIPLY'
  | 'NEGATE'
  | 'TO_DOUBLE'
  | 'STARTS_WITH'
  | 'AND'
  | 'OR'
  | 'NOT'
  | 'IS_NULL'
  | 'IS_TRUE';

const INTEGER_LIMIT = 1n << BigInt(MAX_INTEGER_BITS);

/** Writes a program, one instruction after another: values first, then what is done with them. */
export class ProgramWriter {
  readonly #parts: Buffer[] = [];

  column(number: number): this {
    return this.#add(Instruction.COLUMN, uint16(number));
  }

  /** A FIXED column in MariaDB's binary DECIMAL, times 10^scale. */
  decimal(number: number, digits: number, scale: number): this {
    return this.#add(Instruction.DECIMAL, uint16(number), Buffer.of(digits, scale));
  }

  /** Bytes of a BYTES or BLOB column's value. */
  length(number: number): this {
    return this.#add(Instruction.LENGTH, uint16(number));
  }

  /** A FIXED column of at most 8 bytes, as an unsigned integer. */
  bigEndian(number: number): this {
    return this.#add(Instruction.BIG_ENDIAN_INTEGER, uint16(number));
  }

  /** @throws VamosError BAD_REQUEST: more than 126 bits */
  integer(value: bigint): this {
    if (value >= INTEGER_LIMIT || value <= -INTEGER_LIMIT) {
      throw new VamosError('BAD_REQUEST', `${value} has more than ${MAX_INTEGER_BITS} bits`);
    }
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value), 0);
    bytes.writeBigInt64LE(value >> 64n, 8);
    return this.#add(Instruction.CONSTANT_INTEGER, bytes);
  }

  /** @throws VamosError BAD_REQUEST: not finite */
  double(value: number): this {
    if (!Number.isFinite(value)) throw new VamosError('BAD_REQUEST', `${value} can't be compared with`);
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return this.#add(Instruction.CONSTANT_DOUBLE, bytes);
  }

  bytes(value: Uint8Array): this {
    return this.#add(Instruction.CONSTANT_BYTES, uint32(value.length), Buffer.from(value));
  }

  null(type: ValueType): this {
    return this.#add(Instruction.CONSTANT_NULL, Buffer.of(type));
  }

  /** @param isPadded BYTES: the shorter one counts as filled up with spaces */
  compare(how: Comparison, isPadded = false): this {
    return this.#add(Instruction[how], Buffer.of(isPadded ? 1 : 0));
  }

  /** Whether a value is one of so many constants that follow it. */
  in(count: number, isPadded = false): this {
    return this.#add(Instruction.IN, Buffer.of(isPadded ? 1 : 0), uint32(count));
  }

  operation(operation: Operation): this {
    return this.#add(Instruction[operation]);
  }

  /** @throws VamosError BAD_REQUEST: longer than a host takes */
  finish(): Buffer {
    const code = Buffer.concat(this.#parts);
    if (code.length > MAX_PROGRAM_BYTES) {
      throw new VamosError(
        'BAD_REQUEST',
        `a filter of ${code.length} bytes: ${MAX_PROGRAM_BYTES} bytes are the most`,
      );
    }
    return code;
  }

  #add(instruction: number, ...operands: Buffer[]): this {
    this.#parts.push(Buffer.of(instruction), ...operands);
    return this;
  }
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
