#include "engine/transaction.hpp"

namespace vamos::engine {

Transaction::Transaction(Source& source, LockTable& locks, uint64_t number, Isolation isolation,
                         bool readOnly, Kind kind)
    : source_(source),
      locks_(locks),
      isolation_(isolation),
      readOnly_(readOnly),
      kind_(kind),
      owner_(number) {}

Lock Transaction::readLock(Lock asked) const {
  return asked == Lock::NONE && isolation_ == Isolation::SERIALIZABLE ? Lock::SHARED : asked;
}

void Transaction::beginStatement() {
  if (isolation_ != Isolation::READ_COMMITTED) return;
  statementSnapshot_.reset();
  statementLocks_ = locks_.mark(owner_);
}

bool Transaction::canRead(const Table& table) const {
  const auto& snapshot = statementSnapshot_ ? statementSnapshot_ : snapshot_;
  return !snapshot || snapshot->sequence >= table.firstSequence;
}

View Transaction::statementView() {
  View view = latestView();
  if (isolation_ == Isolation::READ_COMMITTED) {
    tookSnapshot_ = true;
    if (!statementSnapshot_) statementSnapshot_ = source_.snapshot();
    view.snapshot = statementSnapshot_;
  } else {
    if (!snapshot_) takeSnapshot();
    view.snapshot = snapshot_;
  }
  return view;
}

View Transaction::latestView() const { return {&source_, writes_.get(), nullptr}; }

void Transaction::takeSnapshot() {
  snapshot_ = source_.snapshot();
  tookSnapshot_ = true;
}

LockAnswer Transaction::lockRow(std::string_view key, LockMode mode, IfLocked ifLocked) {
  return locks_.lockRow(owner_, key, mode, ifLocked);
}

LockAnswer Transaction::lockInsert(std::string_view key, IfLocked ifLocked) {
  return locks_.lockInsert(owner_, key, ifLocked);
}

LockAnswer Transaction::lockGap(const KeyRange& range, IfLocked ifLocked) {
  return locks_.lockGap(owner_, range, ifLocked);
}

LockAnswer Transaction::awaitInserts(const KeyRange& range, IfLocked ifLocked) {
  return locks_.awaitInserts(owner_, range, ifLocked);
}

bool Transaction::hasWritten(std::string_view key) const { return hasWrites() && writes_->has(key); }

void Transaction::unlockRow(std::string_view key, uint64_t since) {
  if (!hasWritten(key)) locks_.unlockRow(owner_, key, since);
}

void Transaction::shareRow(std::string_view key, uint64_t since) {
  if (!hasWritten(key)) locks_.shareRow(owner_, key, since);
}

Writes& Transaction::writes() {
  if (!writes_) writes_ = source_.begin();
  return *writes_;
}

void Transaction::prepareWrites() {
  snapshot_.reset();
  statementSnapshot_.reset();
  while (releaseSavepoint()) {
  }
  writes().prepare(xid);
  isPrepared_ = true;
}

void Transaction::adopt(std::unique_ptr<Writes> prepared, std::string itsXid) {
  writes_ = std::move(prepared);
  xid = std::move(itsXid);
  isPrepared_ = true;
  writes_->forEach([this](std::string_view key, std::optional<std::string_view>) {
    const uint32_t space = bigEndian32(key);
    if (space >= firstTableSpace && space <= lastTableSpace) {
      locks_.lockRow(owner_, key, LockMode::EXCLUSIVE, IfLocked::REFUSE);
    } else if (key.starts_with(recordKey(RecordKind::PENDING_BLOB))) {
      adoptedBlobs.push_back(bigEndian64(key.substr(key.size() - sizeof(uint64_t))));
    } else if (key.starts_with(recordKey(RecordKind::REMOVED_BLOB))) {
      removedBlobs.push_back(bigEndian64(key.substr(key.size() - sizeof(uint64_t))));
    }
  });
}

std::map<uint32_t, int64_t> Transaction::addedKeys() const {
  std::map<uint32_t, int64_t> bySpace;
  if (!writes_) return bySpace;
  const View committed{&source_, nullptr, nullptr};
  StoredValue before;
  writes_->forEach([&](std::string_view key, std::optional<std::string_view> value) {
    const uint32_t space = bigEndian32(key);
    if (space < firstTableSpace || space > lastTableSpace) return;
    const bool wasThere = committed.get(key, false, before) == Found::ROW;
    bySpace[space] += (value ? 1 : 0) - (wasThere ? 1 : 0);
  });
  return bySpace;
}

void Transaction::setSavepoint() {
  writes().mark();
  savepoints_.push_back({lockMark(), writtenBytes(), adoptedBlobs.size(), removedBlobs.size()});
}

void Transaction::undoWrites() {
  writes_->undo();
  hasUndone_ = true;
}

bool Transaction::rollbackToSavepoint() {
  if (savepoints_.empty()) return false;
  const Savepoint savepoint = savepoints_.back();
  // Going back costs time in proportion to the whole transaction: only where there is something to undo.
  if (writtenBytes() != savepoint.writtenBytes) {
    undoWrites();
    writes_->mark();
  }
  adoptedBlobs.resize(savepoint.adoptedBlobs);
  removedBlobs.resize(savepoint.removedBlobs);
  releaseInserts(savepoint.locks);
  return true;
}

bool Transaction::releaseSavepoint() {
  if (savepoints_.empty()) return false;
  writes_->unmark();
  savepoints_.pop_back();
  return true;
}

void Transaction::end() {
  if (ended_.exchange(true)) return;
  writes_.reset();
  snapshot_.reset();
  statementSnapshot_.reset();
  locks_.release(owner_);
}

}  // namespace vamos::engine
