#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>

#include "mariadb/format/codec.hpp"
#include "wire/program.hpp"

namespace vamos::mariadb {

// What the server would know of a compiled value.
struct ProgramValue {
  ValueType type = ValueType::INTEGER;
  unsigned bits = 0;      // INTEGER: its magnitude is below 2^bits
  unsigned scale = 0;     // INTEGER: it is a decimal that was multiplied by 10^scale
  bool isPadded = false;  // BYTES: comparisons ignore spaces at the end
};

// What the server may skip for rows that the host filters out.
enum class Spared : uint8_t {
  NOTHING,   // It may skip no evaluation that may warn, fail or have effects.
  WARNINGS,  // It may skip those that may warn or fail, but none that has effects.
};

// Compiles Items over one table to programs (FORMATS.md), if the host's answer is exactly the server's.
// Otherwise functions return false and leave `code` as it was. Constants are evaluated while compiling.
class ProgramCompiler {
 public:
  ProgramCompiler(TABLE& table, const Codec& codec) : table_(table), codec_(codec) {}

  // Compiles the whole condition.
  bool condition(Item* item, std::string& code) const;
  // Compiles as many parts of an AND as it can; if there are none, `code` stays empty. Returns whether these
  // are all parts. The server evaluates the others later, so no part is compiled that stands behind one which
  // the server may not skip.
  bool conditionInPart(Item* item, Spared spared, std::string& code) const;
  // The server may skip every part of the condition.
  bool maySpare(Item* item, Spared spared) const;
  // Compiles a value that is aggregated or assigned: a column, or an expression whose result can't overflow.
  bool value(Item* item, std::string& code, ProgramValue& described) const;

 private:
  bool maySparePart(Item* part, Spared spared) const;

  TABLE& table_;
  const Codec& codec_;
};

}  // namespace vamos::mariadb
