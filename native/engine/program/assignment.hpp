#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/program/program.hpp"

namespace vamos::engine {

// A value for a column of a row, made from the row as it was.
struct Assignment {
  uint32_t column;
  Program value;

  // Nothing, if the code is no program over such rows or its type none that the column takes: the refusal
  // says why.
  static std::optional<Assignment> make(const RowLayout& row, uint32_t column, std::string_view code,
                                        std::string& refusal);
};

// The row with the values of all assignments.
class AssignedRow {
 public:
  AssignedRow(const RowLayout& layout, const std::vector<Assignment>& assignments);

  // Makes the changed row of a valid one. Nothing, if a value doesn't fit its column, which misfit() names
  // then. The bytes stand until the next call.
  const std::string* make(std::string_view row);
  uint32_t misfit() const { return misfit_; }

 private:
  bool convert(const Assignment& assignment, std::string_view row, size_t number);

  const RowLayout& layout_;
  const std::vector<Assignment>& assignments_;
  std::vector<std::string> bytes_;  // values that stand neither in the row nor in a program
  std::vector<ColumnValue> values_;
  std::string changed_;
  uint32_t misfit_ = 0;
};

}  // namespace vamos::engine
