#include "store/transactions/transaction.hpp"

#include <rocksdb/snapshot.h>
#include <rocksdb/utilities/write_batch_with_index.h>

#include "store/transactions/write_order.hpp"

namespace vamos::store {

Transaction::Transaction(const Database& database, LockTable& locks, uint64_t number, Isolation isolation,
                         bool readOnly, Kind kind)
    : database_(database),
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
  return !snapshot || const_cast<rocksdb::ManagedSnapshot&>(*snapshot).snapshot()->GetSequenceNumber() >=
                          table.firstSequence;
}

View Transaction::statementView() {
  View view = latestView();
  if (isolation_ == Isolation::READ_COMMITTED) {
    tookSnapshot_ = true;
    if (!statementSnapshot_) statementSnapshot_ = std::make_shared<rocksdb::ManagedSnapshot>(view.base);
    view.snapshot = statementSnapshot_;
  } else {
    if (!snapshot_) takeSnapshot();
    view.snapshot = snapshot_;
  }
  return view;
}

View Transaction::latestView() const { return {&database_.base(), writes_.get(), nullptr}; }

void Transaction::takeSnapshot() {
  snapshot_ = std::make_shared<rocksdb::ManagedSnapshot>(&database_.base());
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

bool Transaction::hasWritten(std::string_view key) const {
  if (!hasWrites()) return false;
  const std::unique_ptr<rocksdb::WBWIIterator> own(writes_->GetWriteBatch()->NewIterator());
  own->Seek(toSlice(key));
  return own->Valid() && toView(own->Entry().key) == key;
}

void Transaction::unlockRow(std::string_view key, uint64_t since) {
  if (!hasWritten(key)) locks_.unlockRow(owner_, key, since);
}

void Transaction::shareRow(std::string_view key, uint64_t since) {
  if (!hasWritten(key)) locks_.shareRow(owner_, key, since);
}

rocksdb::Transaction& Transaction::writes() {
  if (!writes_) writes_.reset(database_.begin());
  return *writes_;
}

bool Transaction::hasWrites() const {
  return writes_ && writes_->GetWriteBatch()->GetWriteBatch()->Count() > 0;
}

rocksdb::Status Transaction::commitWrites() {
  rocksdb::WriteBatchWithIndex& batch = *writes_->GetWriteBatch();
  const rocksdb::WriteBatch& unsorted = *batch.GetWriteBatch();
  if (isPrepared_ || unsorted.Count() < minSortedWrites) return writes_->Commit();
  rocksdb::WriteBatch sorted(unsorted.GetDataSize());
  return sortWrites(batch, sorted) ? database_.base().Write({}, &sorted) : writes_->Commit();
}

rocksdb::Status Transaction::prepareWrites() {
  snapshot_.reset();
  statementSnapshot_.reset();
  while (releaseSavepoint()) {
  }
  rocksdb::Status status = writes().SetName(xid);
  if (status.ok()) status = writes_->Prepare();
  isPrepared_ = status.ok();
  return status;
}

rocksdb::Status Transaction::rollbackPreparedWrites() { return writes_->Rollback(); }

void Transaction::adopt(rocksdb::Transaction* prepared) {
  writes_.reset(prepared);
  xid = prepared->GetName();
  isPrepared_ = true;
  const std::unique_ptr<rocksdb::WBWIIterator> own(prepared->GetWriteBatch()->NewIterator());
  for (own->SeekToFirst(); own->Valid(); own->Next()) {
    const rocksdb::WriteEntry entry = own->Entry();
    const std::string_view key = toView(entry.key);
    const uint32_t space = bigEndian32(key);
    if (space >= firstTableSpace && space <= lastTableSpace) {
      locks_.lockRow(owner_, key, LockMode::EXCLUSIVE, IfLocked::REFUSE);
    } else if (key.starts_with(recordKey(RecordKind::PENDING_BLOB))) {
      adoptedBlobs.push_back(bigEndian64(key.substr(key.size() - sizeof(uint64_t))));
    } else if (key.starts_with(recordKey(RecordKind::REMOVED_BLOB))) {
      removedBlobs.push_back(bigEndian64(key.substr(key.size() - sizeof(uint64_t))));
    }
  }
}

rocksdb::Status Transaction::addedKeys(std::map<uint32_t, int64_t>& bySpace) const {
  if (!writes_) return {};
  const View committed{&database_.base(), nullptr, nullptr};
  const std::unique_ptr<rocksdb::WBWIIterator> own(writes_->GetWriteBatch()->NewIterator());
  rocksdb::PinnableSlice value;
  for (own->SeekToFirst(); own->Valid(); own->Next()) {
    const rocksdb::WriteEntry entry = own->Entry();
    const uint32_t space = bigEndian32(toView(entry.key));
    if (space < firstTableSpace || space > lastTableSpace) continue;
    rocksdb::Status status = committed.get(toView(entry.key), false, value);
    if (!status.ok() && !status.IsNotFound()) return status;
    const bool isPut = entry.type == rocksdb::kPutRecord;
    bySpace[space] += (isPut ? 1 : 0) - (status.ok() ? 1 : 0);
  }
  return own->status();
}

void Transaction::setSavepoint() {
  writes().SetSavePoint();
  savepoints_.push_back({lockMark(), writtenBytes(), adoptedBlobs.size(), removedBlobs.size()});
}

size_t Transaction::writtenBytes() const {
  return hasWrites() ? writes_->GetWriteBatch()->GetWriteBatch()->GetDataSize() : 0;
}

void Transaction::undoWrites() {
  writes_->RollbackToSavePoint();
  hasUndone_ = true;
}

bool Transaction::rollbackToSavepoint() {
  if (savepoints_.empty()) return false;
  const Savepoint savepoint = savepoints_.back();
  // Going back costs time in proportion to the whole transaction: only where there is something to undo.
  if (writtenBytes() != savepoint.writtenBytes) {
    undoWrites();
    writes_->SetSavePoint();
  }
  adoptedBlobs.resize(savepoint.adoptedBlobs);
  removedBlobs.resize(savepoint.removedBlobs);
  releaseInserts(savepoint.locks);
  return true;
}

bool Transaction::releaseSavepoint() {
  if (savepoints_.empty()) return false;
  writes_->PopSavePoint();
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

}  // namespace vamos::store
