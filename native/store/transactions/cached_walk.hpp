#pragma once

#include <rocksdb/iterator.h>

#include <memory>
#include <string>

#include "cache/cache.hpp"
#include "store/transactions/rocks_source.hpp"

namespace vamos::store {

// The committed entries of a range: from the cache, and where that knows none from RocksDB, some at a time,
// which are filled in.
class CommittedEntries {
 public:
  CommittedEntries(const Database& database, const View& view, const KeyRange& range,
                   const WalkOptions& options);

  // Forwards, onto the first entry at the key or behind it; backwards, onto the last one before it.
  Found seek(std::string_view key);
  Found seekBefore(std::string_view key);
  // Onto the next entry in the direction of the last seek.
  Found advance();

  std::string_view key() const { return entries_[index_].key; }
  std::string_view value() const { return entries_[index_].value; }

 private:
  Found start(bool isReverse, std::string_view position);
  Found load();
  Found read();
  void seekIterator();
  // From where the loaded entries begin.
  void fill(bool isEnd);
  void pass();

  const Database& database_;
  cache::Cache& cache_;
  const std::shared_ptr<const Snapshot> snapshot_;
  const KeyRange& range_;
  const WalkOptions options_;
  const uint64_t moment_;

  bool isReverse_ = false;
  // Where the entries that are not loaded begin: at this key, or backwards before it.
  std::string position_;
  Found behind_ = Found::ROW;  // what comes there
  cache::Entries entries_;
  cache::Entries ascending_;
  size_t index_ = 0;

  uint64_t asOf_ = 0;
  rocksdb::Slice low_;
  rocksdb::Slice high_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  std::string iteratorPosition_;  // the position at which it stands; empty: none
  size_t readTogether_;
  uint64_t readCount_ = 0;
};

// Committed entries with a transaction's own writes over them.
class CachedWalk : public Walk {
 public:
  CachedWalk(const Database& database, const View& view, KeyRange range, const WalkOptions& options);

  Found seek(std::string_view key) override;
  Found seekBefore(std::string_view key) override;
  Found next() override;
  Found previous() override;

 private:
  Found settle();
  bool hasOwn() const;
  // Copies the own write where the iterator stands, and goes behind all that the transaction wrote there.
  // Whether it put a value.
  bool takeOwn();

  const KeyRange range_;
  CommittedEntries committed_;
  std::unique_ptr<rocksdb::WBWIIterator> own_;  // nothing: the transaction has written nothing
  std::string ownKey_;
  std::string ownValue_;
  bool isReverse_ = false;
  Found committedFound_ = Found::ABSENT;
  bool isAtCommitted_ = false;  // the walk stands where committed_ stands
};

}  // namespace vamos::store
