#pragma once

#include <memory>

#include "store/transactions/database.hpp"
#include "store/transactions/types.hpp"
#include "store/upkeep/index_sample.hpp"

namespace vamos::store {

// Takes a sample of the entries of each index of a table, as committed. The outcome's result is a TableSample
// (tables.proto) without number, changes and times. It reads a few thousand entries of each index, and of one
// that is mostly in memory all, which memtables bound; from a slow disk for about a second.
class SampleOperation : public Operation {
 public:
  // rows: how many the table has.
  SampleOperation(uint64_t number, const Database& database, std::shared_ptr<const Table> table,
                  uint64_t rows)
      : Operation(number, nullptr), database_(database), table_(std::move(table)), rows_(rows) {
    sample_.rows = rows;
  }

 protected:
  Progress run(const Budget& budget) override;

 private:
  void beginIndex();
  void takeIndex();

  const Database& database_;
  const std::shared_ptr<const Table> table_;
  const uint64_t rows_;
  Clock::time_point end_ = {};
  std::unique_ptr<IndexSample> index_;
  wire::TableSample sample_;
};

}  // namespace vamos::store
