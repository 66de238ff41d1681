#include "mariadb/pushdown/program/code.hpp"

#include <cstring>

namespace vamos::mariadb::program {

namespace {

template <typename Number>
void putNumber(std::string& code, Number value) {
  code.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

unsigned bitWidth(Integer value) {
  UnsignedInteger magnitude =
      value < 0 ? -static_cast<UnsignedInteger>(value) : static_cast<UnsignedInteger>(value);
  unsigned bits = 0;
  for (; magnitude != 0; magnitude >>= 1) bits++;
  return bits;
}

Integer powerOfTen(unsigned exponent) {
  Integer power = 1;
  while (exponent-- > 0) power *= 10;
  return power;
}

unsigned decimalBits(unsigned digits) { return bitWidth(powerOfTen(digits) - 1); }

void put(std::string& code, Instruction instruction) { code.push_back(static_cast<char>(instruction)); }

void putColumn(std::string& code, Instruction instruction, uint32_t column) {
  put(code, instruction);
  putNumber(code, static_cast<uint16_t>(column));
}

void putDecimal(std::string& code, uint32_t column, unsigned digits, unsigned scale) {
  putColumn(code, Instruction::DECIMAL, column);
  putNumber(code, static_cast<uint8_t>(digits));
  putNumber(code, static_cast<uint8_t>(scale));
}

void putInteger(std::string& code, Integer value) {
  put(code, Instruction::CONSTANT_INTEGER);
  putNumber(code, value);
}

void putDouble(std::string& code, double value) {
  put(code, Instruction::CONSTANT_DOUBLE);
  putNumber(code, value);
}

void putBytes(std::string& code, std::string_view bytes) {
  put(code, Instruction::CONSTANT_BYTES);
  putNumber(code, static_cast<uint32_t>(bytes.size()));
  code.append(bytes);
}

void putNull(std::string& code, ValueType type) {
  put(code, Instruction::CONSTANT_NULL);
  putNumber(code, type);
}

void putComparison(std::string& code, Instruction instruction, bool isPadded) {
  put(code, instruction);
  putNumber(code, static_cast<uint8_t>(isPadded ? 1 : 0));
}

void putIn(std::string& code, bool isPadded, uint32_t count) {
  putComparison(code, Instruction::IN, isPadded);
  putNumber(code, count);
}

void putTruth(std::string& code, bool truth) {
  putInteger(code, truth ? 1 : 0);
  putInteger(code, 1);
  putComparison(code, Instruction::EQUAL, false);
}

Instruction mirrored(Instruction comparison) {
  switch (comparison) {
    case Instruction::LESS:
      return Instruction::GREATER;
    case Instruction::LESS_OR_EQUAL:
      return Instruction::GREATER_OR_EQUAL;
    case Instruction::GREATER:
      return Instruction::LESS;
    case Instruction::GREATER_OR_EQUAL:
      return Instruction::LESS_OR_EQUAL;
    default:
      return comparison;
  }
}

}  // namespace vamos::mariadb::program
