#pragma once

#include <cstddef>
#include <cstdint>

namespace vamos {

// The instructions of programs. src/protocol/FORMATS.md says what each takes and gives.
enum class Instruction : uint8_t {
  COLUMN = 0x01,
  DECIMAL = 0x02,
  LENGTH = 0x03,
  BIG_ENDIAN_INTEGER = 0x04,
  CONSTANT_INTEGER = 0x10,
  CONSTANT_DOUBLE = 0x11,
  CONSTANT_BYTES = 0x12,
  CONSTANT_NULL = 0x13,
  ADD = 0x20,
  SUBTRACT = 0x21,
  MULTIPLY = 0x22,
  NEGATE = 0x23,
  TO_DOUBLE = 0x24,
  EQUAL = 0x30,
  NOT_EQUAL = 0x31,
  LESS = 0x32,
  LESS_OR_EQUAL = 0x33,
  GREATER = 0x34,
  GREATER_OR_EQUAL = 0x35,
  SAME = 0x36,
  STARTS_WITH = 0x37,
  IN = 0x38,
  AND = 0x40,
  OR = 0x41,
  NOT = 0x42,
  IS_NULL = 0x43,
  IS_TRUE = 0x44,
};

enum class ValueType : uint8_t { INTEGER = 0, DOUBLE = 1, BYTES = 2, BOOLEAN = 3 };

constexpr size_t maxProgramBytes = 64 << 10;
constexpr size_t maxProgramDepth = 256;
constexpr unsigned maxIntegerBits = 126;
constexpr size_t maxAggregates = 256;
constexpr size_t maxAggregateProgramBytes = 256 << 10;  // all programs of a request's aggregates

}  // namespace vamos
