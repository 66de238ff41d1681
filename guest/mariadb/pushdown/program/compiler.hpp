#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>

#include "mariadb/format/codec.hpp"
#include "wire/program.hpp"

namespace vamos::mariadb {

// What a compiled value is to the server.
struct ProgramValue {
  ValueType type = ValueType::INTEGER;
  unsigned bits = 0;      // INTEGER: its magnitude is below 2^bits
  unsigned scale = 0;     // INTEGER: it stands for a decimal, times 10^scale
  bool isPadded = false;  // BYTES: compared with padding
};

// What the server may be spared for rows that the host sorts out.
enum class Spared : uint8_t {
  NOTHING,   // evaluations that may warn, fail or have effects are made for each row that they would meet
  WARNINGS,  // only those that have effects are
};

// Items over one table as programs (FORMATS.md), where the host's answer is exactly the server's: else
// nothing is compiled, and `code` is as it was. Constants are evaluated while compiling.
class ProgramCompiler {
 public:
  ProgramCompiler(TABLE& table, const Codec& codec) : table_(table), codec_(codec) {}

  // The whole condition.
  bool condition(Item* item, std::string& code) const;
  // As many of the parts of an AND as can be compiled; `code` stays empty for none. True: all of it. The
  // server evaluates the others after them, in their order: none behind one that it may not be spared.
  bool conditionInPart(Item* item, Spared spared, std::string& code) const;
  // Whether the server may be spared any part of the condition.
  bool maySpare(Item* item, Spared spared) const;
  // An aggregated or assigned value: a column, or an expression whose result can't overflow.
  bool value(Item* item, std::string& code, ProgramValue& described) const;

 private:
  bool maySparePart(Item* part, Spared spared) const;

  TABLE& table_;
  const Codec& codec_;
};

}  // namespace vamos::mariadb
