#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/lock_table.hpp"
#include "engine/source.hpp"

namespace vamos::engine {

// Writes, snapshot and locks of one transaction. It belongs to the owner thread of the store while `isBusy`
// is false, else to whoever runs its operation.
class Transaction {
 public:
  enum class Kind {
    OWN,     // the transaction of one stream, or of one request
    SHARED,  // the writes of several streams: each runs immediately and as a whole, or not at all
  };
  Transaction(Source& source, LockTable& locks, uint64_t number, Isolation isolation, bool readOnly,
              Kind kind = Kind::OWN);
  ~Transaction() { end(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  uint64_t number() const { return owner_.number(); }
  bool isReadOnly() const { return readOnly_; }
  bool isShared() const { return kind_ == Kind::SHARED; }
  // How many commits it counts as: in a shared transaction each write is a commit of its own connector.
  uint64_t commitCount = 1;
  // Whether it ever took a snapshot: that may be older than the rows which the transaction goes on to change.
  bool tookSnapshot() const { return tookSnapshot_; }
  bool locksGaps() const { return isolation_ != Isolation::READ_COMMITTED; }
  // SERIALIZABLE: plain reads lock too.
  Lock readLock(Lock asked) const;

  // READ COMMITTED: plain reads get a new snapshot, and only locks taken from now on can be given back.
  void beginStatement();
  // Whether the rows that plain reads find are the table's: not where their snapshot is older than its
  // contents.
  bool canRead(const Table& table) const;
  // For plain reads.
  View statementView();
  // For locking reads and writes: the latest committed rows.
  View latestView() const;
  void takeSnapshot();

  LockAnswer lockRow(std::string_view key, LockMode mode, IfLocked ifLocked);
  LockAnswer lockInsert(std::string_view key, IfLocked ifLocked);
  LockAnswer lockGap(const KeyRange& range, IfLocked ifLocked);
  LockAnswer awaitInserts(const KeyRange& range, IfLocked ifLocked);
  void lockGapAround(std::string_view key, KeyRange range) {
    locks_.lockGapAround(owner_, key, std::move(range));
  }
  // Gives back the lock of a row, or makes it a shared one, if it was first taken since and the transaction
  // has not changed the row.
  void unlockRow(std::string_view key, uint64_t since);
  void shareRow(std::string_view key, uint64_t since);
  void releaseInserts(uint64_t since) { locks_.releaseSince(owner_, since, true); }
  void releaseLocks(uint64_t since) { locks_.releaseSince(owner_, since, false); }
  uint64_t lockMark() const { return locks_.mark(owner_); }
  uint64_t statementLockMark() const { return statementLocks_; }
  void stopWaiting() { locks_.stopWaiting(owner_); }
  void setStopSign(const std::atomic<uint32_t>* sign) { owner_.setStopSign(sign); }
  size_t lockBytes() const { return owner_.heldBytes(); }

  // Begun at the first use. Nothing in it: nothing to commit.
  Writes& writes();
  bool hasWrites() const { return writes_ && !writes_->isEmpty(); }
  size_t writtenBytes() const { return writes_ ? writes_->bytes() : 0; }
  // To the last mark of `writes`, which goes. Takes time in proportion to the whole transaction.
  void undoWrites();
  bool hasUndone() const { return hasUndone_; }
  void commitWrites() { writes_->commit(); }

  // Two-phase commit. Prepared, it outlives the process: `end` lets go of it here, the log keeps it.
  std::string xid;
  void prepareWrites();
  void rollbackPreparedWrites() { writes_->rollbackPrepared(); }
  bool isPrepared() const { return isPrepared_; }
  // One that the log kept, of an earlier process: locks what it changed.
  void adopt(std::unique_ptr<Writes> prepared, std::string itsXid);
  // By space: keys that its commit adds, less those that it removes.
  std::map<uint32_t, int64_t> addedKeys() const;

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
    uint64_t locks;
    size_t writtenBytes;
    size_t adoptedBlobs;
    size_t removedBlobs;
  };

  bool hasWritten(std::string_view key) const;

  Source& source_;
  LockTable& locks_;
  const Isolation isolation_;
  const bool readOnly_;
  const Kind kind_;
  LockOwner owner_;
  std::unique_ptr<Writes> writes_;
  bool hasUndone_ = false;
  std::shared_ptr<const Snapshot> snapshot_;
  bool tookSnapshot_ = false;
  std::shared_ptr<const Snapshot> statementSnapshot_;  // READ COMMITTED
  uint64_t statementLocks_ = 0;
  std::vector<Savepoint> savepoints_;
  std::atomic<bool> isPrepared_{false};
  std::atomic<bool> ended_{false};
};

}  // namespace vamos::engine
