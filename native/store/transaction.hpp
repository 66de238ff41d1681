#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "store/database.hpp"
#include "store/lock_table.hpp"

namespace vamos::store {

// Writes, snapshot and locks of one transaction. It belongs to the owner thread of the store while `isBusy`
// is false, else to whoever runs its operation.
class Transaction {
 public:
  Transaction(const Database& database, LockTable& locks, uint64_t number, Isolation isolation,
              bool readOnly);
  ~Transaction() { end(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  uint64_t number() const { return owner_.number(); }
  bool isReadOnly() const { return readOnly_; }
  // Whether it ever took a snapshot: that may be older than the rows which the transaction goes on to change.
  bool tookSnapshot() const { return tookSnapshot_; }
  bool locksGaps() const { return isolation_ != Isolation::READ_COMMITTED; }
  // SERIALIZABLE: plain reads lock too.
  Lock readLock(Lock asked) const;

  // For plain reads. READ COMMITTED: a snapshot of the caller's statement.
  View statementView();
  // For locking reads and writes: the latest committed rows.
  View latestView() const;
  void takeSnapshot();

  LockAnswer lockRow(std::string_view key, LockMode mode, IfLocked ifLocked);
  LockAnswer lockInsert(std::string_view key, IfLocked ifLocked);
  LockAnswer lockGap(const KeyRange& range, IfLocked ifLocked);
  void unlockSince(size_t count) { locks_.release(owner_, count); }
  size_t lockCount() { return locks_.count(owner_); }
  void stopWaiting() { locks_.stopWaiting(owner_); }
  size_t lockBytes() const { return owner_.heldBytes(); }

  // Begun at the first use. Nothing in it: nothing to commit.
  rocksdb::Transaction& writes();
  bool hasWrites() const;
  rocksdb::Status commitWrites() { return writes_->Commit(); }

  void setSavepoint();
  bool rollbackToSavepoint();  // false: there is none
  bool releaseSavepoint();

  std::vector<uint64_t> adoptedBlobs;
  std::vector<uint64_t> removedBlobs;

  // Forgets the writes and gives back snapshot and locks.
  void end();
  bool hasEnded() const { return ended_; }

  bool isBusy = false;                         // owner thread only: an operation is under way
  std::atomic<bool> rollbackRequested{false};  // as soon as it is no longer busy

 private:
  struct Savepoint {
    size_t locks;
    size_t adoptedBlobs;
    size_t removedBlobs;
  };

  const Database& database_;
  LockTable& locks_;
  const Isolation isolation_;
  const bool readOnly_;
  LockOwner owner_;
  std::unique_ptr<rocksdb::Transaction> writes_;
  std::shared_ptr<const rocksdb::ManagedSnapshot> snapshot_;
  bool tookSnapshot_ = false;
  std::vector<Savepoint> savepoints_;
  std::atomic<bool> ended_{false};
};

}  // namespace vamos::store
