/** uint64 fields of messages at their full width: the generated code reads them as numbers, which are exact up to 2^53. */
import protobuf from 'protobufjs/minimal.js';

const WIRE_TYPE_VARINT = 0;

/**
 * A field of a message that was decoded.
 * @param value as the generated code read it
 * @param body the message, which has the exact value
 * @param field its number
 */
export function uint64(value: number, body: Uint8Array, field: number): bigint {
  return Number.isSafeInteger(value) ? BigInt(value) : exactly(body, field);
}

function exactly(body: Uint8Array, field: number): bigint {
  const reader = protobuf.Reader.create(body);
  let exact = 0n;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const start = reader.pos;
    reader.skipType(tag & 7);
    if (tag === ((field << 3) | WIRE_TYPE_VARINT)) exact = varint(body.subarray(start, reader.pos));
  }
  return exact;
}

/** Seven bits a byte, the lowest first. https://protobuf.dev/programming-guides/encoding/#varints */
function varint(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes.toReversed()) value = (value << 7n) | BigInt(byte & 0x7f);
  return BigInt.asUintN(64, value);
}

/** A value for a field, 0 to 2^64 - 1: the generated code takes it in halves, too. */
export function uint64Field(value: bigint): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  const halves = { low: Number(value & 0xffff_ffffn), high: Number(value >> 32n) };
  return halves as unknown as number;
}
