#pragma once

#include <array>
#include <cstdint>

#include "engine/program/program.hpp"

// MariaDB's binary DECIMAL: nine digits in four bytes, fewer in as many as they need; big-endian, negative
// ones complemented, the first bit turned over (strings/decimal.c, decimal2bin).
namespace vamos::engine {

inline constexpr std::array<uint32_t, 10> powersOfTen{
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};
inline constexpr unsigned groupDigits = 9;
inline constexpr std::array<uint8_t, 10> groupBytes{0, 1, 1, 2, 2, 3, 3, 4, 4, 4};

inline unsigned decimalBytes(unsigned digits) {
  return digits / groupDigits * groupBytes[groupDigits] + groupBytes[digits % groupDigits];
}

// Reads an integer of 8 bytes at most, each of which is taken under the mask (exclusive or).
inline UnsignedInteger loadBigEndian(const char* bytes, size_t sizeBytes, uint8_t mask = 0) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeBytes; i++) value = value << 8 | (static_cast<uint8_t>(bytes[i]) ^ mask);
  return value;
}

// Unsigned inside: bytes that are no DECIMAL give some number.
inline Integer loadDecimal(const char* bytes, unsigned digits, unsigned scale) {
  const bool isNegative = (static_cast<uint8_t>(bytes[0]) & 0x80) == 0;
  const uint8_t mask = isNegative ? 0xFF : 0;
  const char* at = bytes;
  UnsignedInteger value = 0;
  const auto take = [&](unsigned count) {
    UnsignedInteger group = loadBigEndian(at, groupBytes[count], mask);
    if (at == bytes) group ^= UnsignedInteger{0x80} << (8 * (groupBytes[count] - 1));
    value = value * powersOfTen[count] + group;
    at += groupBytes[count];
  };
  const unsigned whole = digits - scale;
  if (whole % groupDigits != 0) take(whole % groupDigits);
  for (unsigned i = 0; i < whole / groupDigits; i++) take(groupDigits);
  for (unsigned i = 0; i < scale / groupDigits; i++) take(groupDigits);
  if (scale % groupDigits != 0) take(scale % groupDigits);
  return static_cast<Integer>(isNegative ? -value : value);
}

}  // namespace vamos::engine
