#pragma once

#include <rocksdb/db.h>
#include <rocksdb/statistics.h>
#include <rocksdb/utilities/transaction_db.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "cache/cache.hpp"
#include "store/files/disk.hpp"
#include "store/transactions/compactor.hpp"
#include "store/transactions/messages.hpp"
#include "store/transactions/options.hpp"
#include "store/transactions/types.hpp"

namespace vamos::store {

constexpr uint32_t formatVersion = 1;

// What a failure of RocksDB means to callers.
Outcome failureOf(const rocksdb::Status& status, const std::string& path);
// RocksDB's way to the files that the options name.
std::shared_ptr<rocksdb::FileSystem> fileSystemOf(const StoreOptions& options);

// The opened RocksDB of a root.
class Database {
 public:
  // Throws StoreError: ROOT_IN_USE, UNKNOWN_FORMAT, CORRUPTION, DISK_FULL, STORAGE_FAILED.
  explicit Database(const StoreOptions& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Below the transactions: RocksDB's own locks are off, so a batch written here is as good as a
  // transaction's.
  rocksdb::DB& base() const { return *base_; }
  // Also of what a transaction's locks take in memory.
  uint64_t maxTransactionBytes() const { return maxTransactionBytes_; }
  rocksdb::Transaction* begin() const;

  // Nothing: no rows are cached.
  cache::Cache* cache() const { return cache_.get(); }
  // Where rows are cached, each write holds this: the number of a commit is known only if no other write is
  // made meanwhile.
  std::unique_lock<std::mutex> lockWrites() const {
    return cache_ ? std::unique_lock(writeMutex_) : std::unique_lock<std::mutex>();
  }

  // All that is written to the opened root comes by here.
  rocksdb::Status write(rocksdb::WriteBatch& records) const;
  // Hands the log to the system, or to the disk.
  rocksdb::Status flush(bool isSynced) const;
  // Looks at the status of a write that was not made here (a transaction's), and passes it on.
  rocksdb::Status watch(rocksdb::Status status) const;
  // Remembers on the disk, too, up to where the log was synced (SyncedFile), in case that the power goes.
  void syncEnds() const;
  // The log could not be written, or a sync failed. What was written last is in the memtable for all to see,
  // while which part of it is on the disk is not known: nothing is to be read or written until the root is
  // opened again.
  bool hasFailed() const { return hasFailed_.load(std::memory_order_acquire); }
  // Why.
  Outcome fatal() const;
  // Called once, from any thread, when hasFailed() has become true, or now if it has. Nothing: no more calls,
  // and none is under way any more when it returns.
  void onFatal(std::function<void()> call);
  // Transactions that were prepared before the database was opened. The caller owns them from now on.
  std::vector<rocksdb::Transaction*> prepared() const;
  // What earlier runs left to remove: pending and removed blobs, dropped spaces, numbers of old commits.
  // keptBlobs: pending ones that a prepared transaction adopted. Throws StoreError.
  void cleanUp(const std::unordered_set<uint64_t>& keptBlobs);
  rocksdb::Status removeKeys(const KeyRange& range);
  // The value of a LAST_COMMIT record that is written now.
  std::string commitRecord(const CommitMark& mark) const;
  // Removes all data of a space that nobody reads any more, and the record that says so.
  rocksdb::Status removeSpace(uint32_t space);
  // Removes a blob's chunks (older snapshots still see them) and its record of this kind.
  rocksdb::Status removeBlob(uint64_t blob, RecordKind kind);
  uint64_t ticker(rocksdb::Tickers ticker) const { return statistics_->getTickerCount(ticker); }
  // Counts rows that reads took from the entries of a secondary index alone. From any thread.
  void addRowsFromIndex(uint64_t rows) const { rowsFromIndex_.fetch_add(rows, std::memory_order_relaxed); }
  uint64_t rowsFromIndex() const { return rowsFromIndex_.load(std::memory_order_relaxed); }
  // Tombstones that a scan stepped over, and rows that it read, in a range of one space. From any thread.
  void addTombstones(uint64_t count, uint64_t rows, const KeyRange& range) const;
  uint64_t tombstonesRead() const { return tombstonesRead_.load(std::memory_order_relaxed); }
  uint64_t rangesCompacted() const { return compactor_ ? compactor_->doneCount() : 0; }
  const std::string& path() const { return path_; }
  // The failure as callers see it.
  Outcome failure(const rocksdb::Status& status) const;
  // The same as a StoreError.
  [[noreturn]] void refuseFor(const rocksdb::Status& status) const;

 private:
  void checkLogs();
  void openReadOnly(const StoreOptions& options);
  void checkFormat();
  rocksdb::Status syncFolderAbove() const;
  rocksdb::Status writeLocked(rocksdb::WriteBatch& records) const;
  void lose(const rocksdb::Status& status) const;
  void forgetOldCommits(uint64_t keptCount);
  static rocksdb::Status removal(const KeyRange& range, std::string_view record, rocksdb::WriteBatch& batch);

  std::string path_;
  uint64_t maxTransactionBytes_;
  uint64_t maxCommitNumbers_;
  const std::unique_ptr<cache::Cache> cache_;  // nothing: rows are not cached
  std::shared_ptr<Messages> messages_;
  mutable std::mutex writeMutex_;
  mutable std::mutex fatalMutex_;
  mutable std::mutex onFatalMutex_;
  std::function<void()> onFatal_;
  mutable Outcome fatal_;
  mutable std::atomic<bool> hasFailed_ = false;
  // RocksDB's, which ends before it.
  std::shared_ptr<Disk> disk_;
  std::unique_ptr<rocksdb::Env> env_;
  std::shared_ptr<rocksdb::Statistics> statistics_;
  mutable std::atomic<uint64_t> rowsFromIndex_ = 0;
  mutable std::atomic<uint64_t> tombstonesRead_ = 0;
  std::unique_ptr<rocksdb::TransactionDB> transactions_;
  std::unique_ptr<rocksdb::DB> readOnly_;
  rocksdb::DB* base_ = nullptr;
  std::unique_ptr<Compactor> compactor_;  // nothing: read-only
};

inline rocksdb::Slice toSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view toView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

}  // namespace vamos::store
