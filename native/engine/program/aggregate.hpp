#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/program/program.hpp"
#include "engine/types.hpp"

namespace vamos::engine {

// COUNT, SUM, MIN and MAX over rows that come one after another: FORMATS.md, Programs.
class Aggregates {
 public:
  // Nothing, if a program or what it gives is refused: which aggregate, and why. The layout must outlive it.
  static std::optional<Aggregates> make(const RowLayout& row, std::span<const AggregateOptions> options,
                                        std::string& refusal);

  // All are COUNT of rows: no row need be read.
  bool countsRows() const { return countsRows_; }
  // As Program::markColumns.
  void markColumns(std::vector<bool>& columns) const {
    for (const Aggregate& aggregate : aggregates_) {
      if (aggregate.value) aggregate.value->markColumns(columns);
    }
  }
  // One more row, that the layout finds valid; any bytes, where countsRows(). False: what MIN and MAX keep is
  // over the limit.
  bool add(std::string_view row);
  // As they travel.
  std::string result() const;
  // As before the first row.
  void clear();

 private:
  // In two halves, exact: 2^64 values of 126 bits have room.
  struct Sum {
    UnsignedInteger low = 0;
    Integer high = 0;

    void add(Integer value);
  };
  struct Aggregate {
    AggregateFunction function;
    bool isPadded;
    std::optional<Program> value;  // nothing: counts rows
    uint64_t count = 0;
    Sum sum;
    double realSum = 0;
    Value kept{};           // MIN, MAX
    std::string keptBytes;  // where the kept value's bytes stand
  };

  bool keep(Aggregate& aggregate, const Value& value);

  std::vector<Aggregate> aggregates_;
  bool countsRows_ = true;
  size_t keptBytes_ = 0;
};

}  // namespace vamos::engine
