#pragma once

#include <memory>

#include "cache/cache.hpp"
#include "store/transactions/rocks_source.hpp"

namespace vamos::store {

// The rows of a Database that has a cache: what that does not know is read in RocksDB and filled in.
class CachedSource : public Source {
 public:
  explicit CachedSource(RocksSource& rocks, const Database& database)
      : rocks_(rocks), database_(database), cache_(*database.cache()) {}

  std::shared_ptr<const Snapshot> snapshot() override { return rocks_.snapshot(); }
  std::unique_ptr<Writes> begin() override { return rocks_.begin(); }
  Found get(const View& view, std::string_view key, bool cachedOnly, StoredValue& value) override;
  void multiGet(const View& view, std::span<const std::string> keys, bool cachedOnly,
                StoredValues& values) override;
  std::unique_ptr<Walk> walk(const View& view, const KeyRange& range, const WalkOptions& options) override;
  // In the cache alone: then RocksDB's iterators are not asked.
  bool canWalkCached() const override { return true; }
  uint64_t changes(uint32_t space) const override { return rocks_.changes(space); }
  uint64_t maxTransactionBytes() const override { return rocks_.maxTransactionBytes(); }
  const KeyMaker& keyMaker() const override { return rocks_.keyMaker(); }
  Outcome corruption(std::string_view what) const override { return rocks_.corruption(what); }
  void addRowsFromIndex(uint64_t rows) override { rocks_.addRowsFromIndex(rows); }
  uint64_t steppedOver() const override { return rocks_.steppedOver(); }
  void scanned(const KeyRange& range, uint64_t rows, uint64_t steppedOver) override {
    rocks_.scanned(range, rows, steppedOver);
  }

 private:
  RocksSource& rocks_;
  const Database& database_;
  cache::Cache& cache_;
};

}  // namespace vamos::store
