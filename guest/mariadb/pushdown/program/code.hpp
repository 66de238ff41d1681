#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/program.hpp"

// Instructions as bytes of FORMATS.md, "Programs".
namespace vamos::mariadb::program {

using Integer = __int128;
using UnsignedInteger = unsigned __int128;

// Bits of the magnitude: it is below 2^bits.
unsigned bitWidth(Integer value);
// 10^exponent; exponent at most 38.
Integer powerOfTen(unsigned exponent);
// Bits of any number with so many decimal digits.
unsigned decimalBits(unsigned digits);

void put(std::string& code, Instruction instruction);
void putColumn(std::string& code, Instruction instruction, uint32_t column);
void putDecimal(std::string& code, uint32_t column, unsigned digits, unsigned scale);
void putInteger(std::string& code, Integer value);
void putDouble(std::string& code, double value);
void putBytes(std::string& code, std::string_view bytes);
void putNull(std::string& code, ValueType type);
void putComparison(std::string& code, Instruction instruction, bool isPadded);
void putIn(std::string& code, bool isPadded, uint32_t count);
// The program is true, false or (NULL) unknown for every row.
void putTruth(std::string& code, bool truth);

// Of a comparison whose sides change places.
Instruction mirrored(Instruction comparison);

}  // namespace vamos::mariadb::program
