#include "store/sample.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "store/store.hpp"

namespace vamos::store {

using namespace engine;
namespace {

constexpr auto longestSample = std::chrono::milliseconds(1000);

uint32_t hundredthsPerKey(double rows, double distinct) {
  if (distinct <= 0) return 0;
  const double hundredths = std::round(100 * std::max(rows / distinct, 1.0));
  return static_cast<uint32_t>(std::min<double>(hundredths, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

Progress SampleOperation::run(const Budget& budget) {
  if (end_ == Clock::time_point{}) end_ = Clock::now() + longestSample;
  while (sample_.indexes.size() < table_->indexes.size()) {
    if (!index_) beginIndex();
    const rocksdb::Status status = index_->read(budget);
    if (status.IsIncomplete()) return Progress::AGAIN;
    if (!status.ok()) return done(database_.failure(status));
    takeIndex();
  }
  Outcome outcome;
  outcome.result = sample_.encode();
  return done(std::move(outcome));
}

// Each index has its share of the time that is left.
void SampleOperation::beginIndex() {
  const size_t index = sample_.indexes.size();
  const auto left = std::max(end_ - Clock::now(), Clock::duration::zero());
  const auto share = left / (table_->indexes.size() - index);
  index_ = std::make_unique<IndexSample>(database_, *table_, static_cast<uint32_t>(index), rows_,
                                         Clock::now() + share);
}

void SampleOperation::takeIndex() {
  const bool isPrimary = sample_.indexes.empty();
  wire::IndexStatistics& taken = sample_.indexes.emplace_back();
  for (const double distinct : index_->distinct()) {
    taken.hundredthsPerKey.push_back(hundredthsPerKey(index_->entries(), distinct));
  }
  if (isPrimary) {
    sample_.rows = static_cast<uint64_t>(index_->entries());
    sample_.rowBytes = index_->bytesPerEntry();
    sample_.blobBytes = index_->blobBytesPerEntry();
  } else {
    sample_.entryBytes += index_->bytesPerEntry();
  }
  index_.reset();
}

Answer Store::sample(uint32_t tableNumber, uint64_t rows) {
  checkUsable();
  TablePointer table = findTable(tableNumber);
  if (!table) {
    return Answer::failure(ErrorCode::TABLE_MISSING,
                           "table " + std::to_string(tableNumber) + " is not defined");
  }
  return run(std::make_shared<SampleOperation>(++lastNumber_, database_, std::move(table), rows), false);
}

}  // namespace vamos::store
