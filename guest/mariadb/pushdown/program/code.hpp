#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/program.hpp"

// Appends instructions to a program, as the bytes that FORMATS.md, "Programs", describes.
namespace vamos::mariadb::program {

using Integer = __int128;
using UnsignedInteger = unsigned __int128;

// Returns the smallest number of bits with |value| < 2^bits.
unsigned bitWidth(Integer value);
// Returns 10^exponent. The exponent is 38 at most.
Integer powerOfTen(unsigned exponent);
// Returns how many bits any number with so many decimal digits fits into.
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
// Appends a condition that is true, or false, for every row.
void putTruth(std::string& code, bool truth);

// Returns the comparison that has the same result when its sides change places.
Instruction mirrored(Instruction comparison);

}  // namespace vamos::mariadb::program
