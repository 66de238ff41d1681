#pragma once

#include <string>

#include "mariadb/pushdown/program/values.hpp"

// Compiles comparisons of Items, which compare as the type that the server would choose. Functions return
// false if a comparison can't be compiled, and leave `code` as it was.
namespace vamos::mariadb::program {

// Returns the type as which the server compares the items of the function with each other; nullptr: there is
// none.
const Type_handler* comparedAs(Item_func* function, Item** items, uint count, bool mixedAsDecimal);

class Comparisons {
 public:
  explicit Comparisons(const Values& values) : values_(values) {}

  // `comparison` is one from EQUAL to SAME. `collation` is that of the strings, if they are strings.
  bool compare(Instruction comparison, Item* left, Item* right, const Type_handler& compared,
               CHARSET_INFO* collation, std::string& code) const;
  bool between(Item_func_between* item, std::string& code) const;
  bool in(Item_func_in* item, std::string& code) const;
  bool like(Item_func_like* item, std::string& code) const;

 private:
  bool compareExact(Instruction comparison, Item* left, Item* right, bool mayBeText, std::string& code) const;
  bool compareReal(Instruction comparison, Item* left, Item* right, std::string& code) const;
  bool compareBytes(Instruction comparison, Item* left, Item* right, CHARSET_INFO* collation,
                    std::string& code) const;
  bool compareOrdinal(Instruction comparison, Item* left, Item* right, const Type_handler& compared,
                      std::string& code) const;
  bool inExact(Item_func_in* item, std::string& code) const;
  bool inReal(Item_func_in* item, std::string& code) const;
  bool inBytes(Item_func_in* item, std::string& code) const;
  bool inOrdinal(Item_func_in* item, std::string& code) const;

  const Values& values_;
};

}  // namespace vamos::mariadb::program
