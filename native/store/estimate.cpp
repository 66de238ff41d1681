#include <rocksdb/table_properties.h>

#include <algorithm>

#include "protocol/tables_messages.hpp"
#include "store/store.hpp"

namespace vamos::store {

using namespace engine;
namespace {

// Entries of a range that are counted, in memory and where files have to be read. For more, RocksDB's guesses
// have to do: of what is in files they are good to a block or two, of what is in memtables they may be off by
// factors.
constexpr uint64_t countedInMemory = 8192;
constexpr uint64_t countedInFiles = 1024;
// The same of a whole table, while the event loop waits.
constexpr uint64_t countedHere = 64;
constexpr uint64_t entriesBetweenChecks = 16;
// Deleted entries that are stepped over between two that are not, at most.
constexpr uint64_t maxSkippedDeletions = 4096;

// Counts the entries of a range from its low end on.
class Counter {
 public:
  Counter(rocksdb::DB& base, KeyRange range, bool mayReadFiles)
      : base_(base), range_(std::move(range)), high_(range_.high), mayReadFiles_(mayReadFiles) {}

  // False: the budget is spent; another call goes on. `most`: entries to count.
  bool count(uint64_t most, const Budget& budget) {
    if (!iterator_) begin(true);
    // What was counted so far is in the cache.
    if (mayReadFiles_ && needsFiles() && !budget.cachedOnly) begin(false);
    if (!isCachedOnly_) most = std::min(most, countedInFiles);
    while (iterator_->Valid() && counted_.rows < most) {
      counted_.rows++;
      counted_.bytes += iterator_->key().size() + iterator_->value().size();
      iterator_->Next();
      if (counted_.rows % entriesBetweenChecks == 0 && budget.isSpent()) return false;
    }
    return !mayReadFiles_ || !needsFiles();
  }

  // What was counted, if that was all; else what RocksDB guesses.
  Estimate result() const {
    if (!iterator_->Valid() && iterator_->status().ok()) return counted_;
    const rocksdb::Range range{rocksdb::Slice(range_.low), high_};
    Estimate result;
    base_.GetApproximateMemTableStats(range, &result.rows, &result.bytes);
    uint64_t fileBytes = 0;
    base_.GetApproximateSizes(&range, 1, &fileBytes, rocksdb::DB::SizeApproximationFlags::INCLUDE_FILES)
        .PermitUncheckedError();
    // The entries counted tell best how long they are; the files tell how well they pack.
    rocksdb::TablePropertiesCollection files;
    base_.GetPropertiesOfTablesInRange(base_.DefaultColumnFamily(), &range, 1, &files).PermitUncheckedError();
    uint64_t rawBytes = 0;
    uint64_t packedBytes = 0;
    uint64_t entries = 0;
    for (const auto& [name, properties] : files) {
      rawBytes += properties->raw_key_size + properties->raw_value_size;
      packedBytes += properties->data_size;
      entries += properties->num_entries;
    }
    if (packedBytes > 0 && entries > 0) {
      const double unpackedBytes =
          static_cast<double>(fileBytes) * static_cast<double>(rawBytes) / static_cast<double>(packedBytes);
      const double entryBytes = counted_.rows > 0
                                    ? static_cast<double>(counted_.bytes) / static_cast<double>(counted_.rows)
                                    : static_cast<double>(rawBytes) / static_cast<double>(entries);
      result.rows += static_cast<uint64_t>(unpackedBytes / std::max(entryBytes, 1.0));
      result.bytes += static_cast<uint64_t>(unpackedBytes);
    }
    result.rows = std::max(result.rows, counted_.rows);
    result.bytes = std::max(result.bytes, counted_.bytes);
    return result;
  }

 private:
  void begin(bool isCachedOnly) {
    rocksdb::ReadOptions options;
    if (isCachedOnly) options.read_tier = rocksdb::kBlockCacheTier;
    options.max_skippable_internal_keys = maxSkippedDeletions;
    options.iterate_upper_bound = &high_;
    iterator_.reset(base_.NewIterator(options));
    iterator_->Seek(range_.low);
    isCachedOnly_ = isCachedOnly;
    counted_ = {};
  }

  // The cache has not all of the range. (Too many deleted entries look the same, once.)
  bool needsFiles() const {
    return isCachedOnly_ && !iterator_->Valid() && iterator_->status().IsIncomplete();
  }

  rocksdb::DB& base_;
  const KeyRange range_;
  const rocksdb::Slice high_;
  const bool mayReadFiles_;
  bool isCachedOnly_ = true;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  Estimate counted_;
};

class EstimateOperation : public Operation {
 public:
  EstimateOperation(uint64_t number, rocksdb::DB& base, KeyRange range)
      : Operation(number, nullptr), counter_(base, std::move(range), true) {}

 protected:
  Progress run(const Budget& budget) override {
    if (!counter_.count(countedInMemory, budget)) return Progress::AGAIN;
    const Estimate estimate = counter_.result();
    Outcome outcome;
    outcome.result = wire::Estimated{estimate.rows, estimate.bytes}.encode();
    return done(std::move(outcome));
  }

 private:
  Counter counter_;
};

}  // namespace

Estimate Store::estimate(uint32_t tableNumber) {
  const TablePointer table = findTable(tableNumber);
  if (!table) refuse(ErrorCode::TABLE_MISSING, "table " + std::to_string(tableNumber) + " is not defined");
  Counter counter(database_.base(), prefixRange(spaceKey(table->indexes[0].space)), false);
  counter.count(countedHere, {true, Clock::time_point::max()});
  return counter.result();
}

Answer Store::estimateRange(uint32_t tableNumber, uint32_t index, const CursorOptions& bounds) {
  const TablePointer table = findTable(tableNumber);
  if (!table) refuse(ErrorCode::TABLE_MISSING, "table " + std::to_string(tableNumber) + " is not defined");
  if (index >= table->indexes.size()) {
    refuse(ErrorCode::INDEX_MISSING, "the table has no index " + std::to_string(index));
  }
  KeyRange range = boundsRange(table->indexes[index].space, bounds);
  if (range.isEmpty()) return {};
  return run(std::make_shared<EstimateOperation>(++lastNumber_, database_.base(), std::move(range)), true);
}

}  // namespace vamos::store
