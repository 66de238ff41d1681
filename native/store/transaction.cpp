#include "store/transaction.hpp"

#include <rocksdb/snapshot.h>
#include <rocksdb/utilities/write_batch_with_index.h>

namespace vamos::store {

Transaction::Transaction(const Database& database, LockTable& locks, uint64_t number, Isolation isolation,
                         bool readOnly)
    : database_(database), locks_(locks), isolation_(isolation), readOnly_(readOnly), owner_(number) {}

Lock Transaction::readLock(Lock asked) const {
  return asked == Lock::NONE && isolation_ == Isolation::SERIALIZABLE ? Lock::SHARED : asked;
}

View Transaction::statementView() {
  View view = latestView();
  if (isolation_ == Isolation::READ_COMMITTED) {
    tookSnapshot_ = true;
    view.snapshot = std::make_shared<rocksdb::ManagedSnapshot>(view.base);
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

rocksdb::Transaction& Transaction::writes() {
  if (!writes_) writes_.reset(database_.begin());
  return *writes_;
}

bool Transaction::hasWrites() const {
  return writes_ && writes_->GetWriteBatch()->GetWriteBatch()->Count() > 0;
}

void Transaction::setSavepoint() {
  writes().SetSavePoint();
  savepoints_.push_back({locks_.save(owner_), adoptedBlobs.size(), removedBlobs.size()});
}

bool Transaction::rollbackToSavepoint() {
  if (savepoints_.empty()) return false;
  const Savepoint savepoint = savepoints_.back();
  writes_->RollbackToSavePoint();
  writes_->SetSavePoint();
  adoptedBlobs.resize(savepoint.adoptedBlobs);
  removedBlobs.resize(savepoint.removedBlobs);
  locks_.release(owner_, savepoint.locks);
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
  locks_.release(owner_);
}

}  // namespace vamos::store
