#pragma once

#include <rocksdb/snapshot.h>
#include <rocksdb/utilities/transaction.h>
#include <rocksdb/utilities/write_batch_with_index.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/source.hpp"
#include "store/transactions/database.hpp"

namespace vamos::store {

using engine::Found;
using engine::KeyMaker;
using engine::LayoutKeyMaker;
using engine::Snapshot;
using engine::Source;
using engine::StoredValue;
using engine::StoredValues;
using engine::View;
using engine::Walk;
using engine::WalkOptions;
using engine::Writes;

class RocksSnapshot : public Snapshot {
 public:
  explicit RocksSnapshot(rocksdb::DB& base) : RocksSnapshot(base, base.GetSnapshot()) {}
  ~RocksSnapshot() override { base_.ReleaseSnapshot(snapshot_); }

  const rocksdb::Snapshot* get() const { return snapshot_; }

 private:
  RocksSnapshot(rocksdb::DB& base, const rocksdb::Snapshot* snapshot)
      : Snapshot(snapshot->GetSequenceNumber()), base_(base), snapshot_(snapshot) {}

  rocksdb::DB& base_;
  const rocksdb::Snapshot* const snapshot_;
};

// In a RocksDB transaction, whose own locks are off.
class RocksWrites : public Writes {
 public:
  RocksWrites(const Database& database, rocksdb::Transaction* transaction)
      : database_(database), transaction_(transaction) {}

  rocksdb::Transaction& transaction() const { return *transaction_; }

  void put(std::string_view key, std::string_view value) override;
  void remove(std::string_view key) override;
  void attach(std::string_view key, std::string_view value) override;
  bool isEmpty() const override;
  size_t bytes() const override;
  bool has(std::string_view key) const override;
  // The same, and what was put; nothing: the key goes. The value stands until the next write.
  bool find(std::string_view key, std::optional<std::string_view>& value) const;
  void forEach(const Visit& visit) const override;
  void mark() override { transaction_->SetSavePoint(); }
  void undo() override;
  void unmark() override { transaction_->PopSavePoint(); }
  void commit() override;
  void prepare(const std::string& xid) override;
  void rollbackPrepared() override;

 private:
  void write();
  void check(const rocksdb::Status& status) const;
  // As check(), for a step that reaches the log.
  void checkEnd(rocksdb::Status status) const;

  const Database& database_;
  const std::unique_ptr<rocksdb::Transaction> transaction_;
  // For `has`. It sees writes that are added later, but not those behind an undo.
  mutable std::unique_ptr<rocksdb::WBWIIterator> own_;
  std::vector<std::pair<std::string, std::string>> attached_;
};

// The rows of a Database.
class RocksSource : public Source {
 public:
  explicit RocksSource(const Database& database) : database_(database), base_(database.base()) {}

  std::shared_ptr<const Snapshot> snapshot() override;
  std::unique_ptr<Writes> begin() override;
  Found get(const View& view, std::string_view key, bool cachedOnly, StoredValue& value) override;
  void multiGet(const View& view, std::span<const std::string> keys, bool cachedOnly,
                StoredValues& values) override;
  std::unique_ptr<Walk> walk(const View& view, const KeyRange& range, const WalkOptions& options) override;
  // From the block cache alone an iterator may end, with a good status, before a file whose index is not
  // cached (seen with RocksDB 7.8.3): rows would be missing.
  bool canWalkCached() const override { return false; }
  uint64_t changes(uint32_t) const override { return base_.GetLatestSequenceNumber(); }
  uint64_t maxTransactionBytes() const override { return database_.maxTransactionBytes(); }
  const KeyMaker& keyMaker() const override { return keyMaker_; }
  Outcome corruption(std::string_view what) const override;
  void addRowsFromIndex(uint64_t rows) override { database_.addRowsFromIndex(rows); }
  uint64_t steppedOver() const override;
  void scanned(const KeyRange& range, uint64_t rows, uint64_t steppedOver) override;

  static constexpr size_t longWalkReadaheadBytes = 256 << 10;

  // How RocksDB is to read what the view sees.
  static rocksdb::ReadOptions readOptions(const View& view, bool cachedOnly);

 private:
  Found found(const rocksdb::Status& status) const;

  const Database& database_;
  rocksdb::DB& base_;
  const LayoutKeyMaker keyMaker_;
};

}  // namespace vamos::store
