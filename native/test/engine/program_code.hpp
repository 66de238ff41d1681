#pragma once

#include <bit>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/bytes.hpp"
#include "wire/program.hpp"

// Programs and rows, written down: src/protocol/FORMATS.md.
namespace vamos::test {

using namespace std::string_literals;

struct Code {
  std::string bytes;

  Code operator+(const Code& next) const { return {bytes + next.bytes}; }
  operator std::string_view() const { return bytes; }
  operator std::string() const { return bytes; }
};

inline Code op(Instruction instruction, std::initializer_list<uint8_t> operands = {}) {
  Code code{std::string(1, static_cast<char>(instruction))};
  code.bytes.append(operands.begin(), operands.end());
  return code;
}
inline Code column(uint8_t number) { return op(Instruction::COLUMN, {number, 0}); }
inline Code decimal(uint8_t number, uint8_t digits, uint8_t scale) {
  return op(Instruction::DECIMAL, {number, 0, digits, scale});
}
inline Code length(uint8_t number) { return op(Instruction::LENGTH, {number, 0}); }
inline Code bigEndian(uint8_t number) { return op(Instruction::BIG_ENDIAN_INTEGER, {number, 0}); }
inline Code integer(__int128 value) {
  Code code = op(Instruction::CONSTANT_INTEGER);
  appendU64(code.bytes, static_cast<uint64_t>(value));
  appendU64(code.bytes, static_cast<uint64_t>(value >> 64));
  return code;
}
inline Code real(double value) {
  Code code = op(Instruction::CONSTANT_DOUBLE);
  appendU64(code.bytes, std::bit_cast<uint64_t>(value));
  return code;
}
inline Code text(std::string_view value) {
  Code code = op(Instruction::CONSTANT_BYTES);
  appendLengthPrefixed(code.bytes, value);
  return code;
}
inline Code null(ValueType type) { return op(Instruction::CONSTANT_NULL, {static_cast<uint8_t>(type)}); }
inline Code compare(Instruction instruction, bool isPadded = false) {
  return op(instruction, {static_cast<uint8_t>(isPadded)});
}
inline Code in(uint32_t count, bool isPadded = false) {
  Code code = op(Instruction::IN, {static_cast<uint8_t>(isPadded)});
  appendU32(code.bytes, count);
  return code;
}

// The bytes of a fixed column.
template <typename Number>
std::string fixed(Number value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

struct Cell {
  std::optional<std::string> bytes;
  uint32_t widthBytes = 0;  // 0: variable
};

inline std::string rowOf(const std::vector<Cell>& cells) {
  std::string row((cells.size() + 7) / 8, '\0');
  for (size_t i = 0; i < cells.size(); i++) {
    if (!cells[i].bytes) row[i / 8] = static_cast<char>(row[i / 8] | (1 << (i % 8)));
  }
  std::string ends;
  std::string data;
  for (const Cell& cell : cells) {
    if (cell.widthBytes != 0) {
      row += cell.bytes.value_or(std::string(cell.widthBytes, '\0'));
      continue;
    }
    data += cell.bytes.value_or("");
    appendU32(ends, static_cast<uint32_t>(data.size()));
  }
  return row + ends + data;
}

}  // namespace vamos::test
