#include "store/write.hpp"

#include "wire/crc32c.hpp"

namespace vamos::store {

WriteOperation::WriteOperation(uint64_t number, std::shared_ptr<Transaction> transaction,
                               const Database& database, uint64_t maxTransactionBytes,
                               std::shared_ptr<const Table> table, WriteKind kind, std::string_view batch,
                               Wait wait, LockMode duplicateLock)
    : Operation(number, std::move(transaction)),
      database_(database),
      maxTransactionBytes_(maxTransactionBytes),
      table_(std::move(table)),
      kind_(kind),
      batch_(batch),
      wait_(wait),
      duplicateLock_(duplicateLock) {}

Progress WriteOperation::run(const Budget& budget) {
  if (!hasBegun_) {
    transaction->writes().SetSavePoint();
    lockMark_ = transaction->lockMark();
    hasBegun_ = true;
  }
  while (offset_ < batch_.bytes().size()) {
    switch (row(budget)) {
      case Step::OK:
        break;
      case Step::PARKED:
        return Progress::PARKED;
      case Step::AGAIN:
        return Progress::AGAIN;
      case Step::FAILED:
        undo();
        return Progress::DONE;
    }
    offset_ = next_;
    rows_++;
    if (budget.isSpent() && offset_ < batch_.bytes().size()) return Progress::AGAIN;
  }
  transaction->writes().PopSavePoint();
  outcome.count = rows_;
  return Progress::DONE;
}

void WriteOperation::undo() {
  if (!hasBegun_) return;
  // Going back costs time in proportion to the whole transaction: only where there is something to undo.
  if (hasWritten_) {
    transaction->writes().RollbackToSavePoint();
    transaction->releaseInserts(lockMark_);
  } else {
    transaction->writes().PopSavePoint();
  }
}

// Locks and checks come first and can be done over; the writes come last.
WriteOperation::Step WriteOperation::row(const Budget& budget) {
  if (!parse()) {
    return fail(ErrorCode::BAD_REQUEST,
                "row " + std::to_string(rows_) + " of the batch breaks its format or a limit");
  }
  if (transaction->lockBytes() > maxTransactionBytes_) {
    return fail(ErrorCode::TRANSACTION_TOO_LARGE, "the transaction holds too many locks for its limit of " +
                                                      std::to_string(maxTransactionBytes_) +
                                                      " bytes; commit in smaller pieces");
  }
  if (kind_ != WriteKind::INSERT) {
    if (const Step step = lockAndCheckOld(budget); step != Step::OK) return step;
  }
  if (kind_ != WriteKind::DELETE) {
    if (const Step step = lockAndCheckNew(budget); step != Step::OK) return step;
  }
  return writeEntries();
}

bool WriteOperation::parse() {
  Reader reader(batch_.bytes(), offset_);
  const size_t indexCount = table_->indexes.size();
  if (kind_ != WriteKind::INSERT && !readOldRow(reader, indexCount, old_)) return false;
  if (kind_ != WriteKind::DELETE) {
    if (!readNewRow(reader, indexCount, new_) || !table_->row.isValid(new_.row)) return false;
  }
  next_ = reader.offset();
  return true;
}

WriteOperation::Step WriteOperation::fail(ErrorCode code, std::string message, std::string detail) {
  outcome = Outcome::failure(code, std::move(message), std::move(detail));
  return Step::FAILED;
}

WriteOperation::Step WriteOperation::failStatus(const rocksdb::Status& status) {
  outcome = database_.failure(status);
  return Step::FAILED;
}

WriteOperation::Step WriteOperation::lock(LockAnswer answer) {
  switch (answer) {
    case LockAnswer::GRANTED:
      return Step::OK;
    case LockAnswer::QUEUED:
      return Step::PARKED;
    case LockAnswer::REFUSED:
      outcome = lockedOutcome();
      return Step::FAILED;
    case LockAnswer::DEADLOCK:
      outcome = deadlockOutcome();
      return Step::FAILED;
  }
  return Step::FAILED;
}

WriteOperation::Step WriteOperation::lockAndCheckOld(const Budget& budget) {
  const std::string key = spaceKey(table_->indexes[0].space, old_.entries[0].key);
  Step step = lock(transaction->lockRow(key, LockMode::EXCLUSIVE, ifLocked(wait_)));
  if (step != Step::OK) return step;
  const rocksdb::Status status = transaction->latestView().get(key, budget.cachedOnly, value_);
  if (status.IsIncomplete()) return Step::AGAIN;
  const std::string where = "row " + std::to_string(rows_) + " of the request";
  if (status.IsNotFound()) return fail(ErrorCode::NOT_FOUND, where + " is not there any more");
  if (!status.ok()) return failStatus(status);
  if (crc32c(value_.data(), value_.size()) != old_.fingerprint) {
    return fail(ErrorCode::ROW_CHANGED, where + " was changed since it was read; read it with a lock");
  }
  // Who inserts one of these keys must wait until it is known whether they are free.
  for (size_t i = 1; i < table_->indexes.size(); i++) {
    const IndexLayout& index = table_->indexes[i];
    if (!isUniqueEntry(index, old_.entries[i]) || (kind_ == WriteKind::UPDATE && !isNewEntry(i))) continue;
    step = lock(transaction->lockRow(spaceKey(index.space, old_.entries[i].key), LockMode::EXCLUSIVE,
                                     ifLocked(wait_)));
    if (step != Step::OK) return step;
  }
  return Step::OK;
}

WriteOperation::Step WriteOperation::lockAndCheckNew(const Budget& budget) {
  const std::string_view primaryKey = new_.entries[0].key;
  for (size_t i = 0; i < table_->indexes.size(); i++) {
    if (kind_ == WriteKind::UPDATE && !isNewEntry(i)) continue;
    const IndexLayout& index = table_->indexes[i];
    const Entry& entry = new_.entries[i];
    const std::string key = entryKey(index, entry, primaryKey);
    // An update whose primary key changes keeps its other unique keys: they are its own.
    const bool isOwn = kind_ == WriteKind::UPDATE && i > 0 && isUniqueEntry(index, old_.entries[i]) &&
                       old_.entries[i].key == entry.key;
    const bool isChecked = (i == 0 || isUniqueEntry(index, entry)) && !isOwn;
    const Step step =
        isChecked ? lockAndCheckUnique(key, i, budget) : lock(transaction->lockInsert(key, ifLocked(wait_)));
    if (step != Step::OK) return step;
  }
  return Step::OK;
}

// As InnoDB: a key that is there is locked as for reading, so it is waited for whoever may be removing it.
WriteOperation::Step WriteOperation::lockAndCheckUnique(const std::string& key, size_t index,
                                                        const Budget& budget) {
  const rocksdb::DB& base = database_.base();
  bool isThere = false;
  uint64_t sequence = 0;
  do {
    sequence = base.GetLatestSequenceNumber();
    const rocksdb::Status status = transaction->latestView().get(key, budget.cachedOnly, value_);
    if (status.IsIncomplete()) return Step::AGAIN;
    if (!status.ok() && !status.IsNotFound()) return failStatus(status);
    isThere = status.ok();
    const Step step = lock(isThere ? transaction->lockRow(key, duplicateLock_, ifLocked(wait_))
                                   : transaction->lockInsert(key, ifLocked(wait_)));
    if (step != Step::OK) return step;
    // After a commit meanwhile it may be otherwise: look again.
  } while (base.GetLatestSequenceNumber() != sequence);
  if (!isThere) return Step::OK;
  if (duplicateLock_ == LockMode::SHARED) transaction->shareRow(key, lockMark_);
  std::string detail;
  appendU32(detail, static_cast<uint32_t>(index));
  appendU32(detail, rows_);
  return fail(ErrorCode::DUPLICATE_KEY,
              "row " + std::to_string(rows_) + " of the request has a key that index " +
                  std::to_string(index) + " already has",
              std::move(detail));
}

bool WriteOperation::isNewEntry(size_t index) const {
  const Entry& before = old_.entries[index];
  const Entry& after = new_.entries[index];
  return before.key != after.key || before.hasNull != after.hasNull ||
         old_.entries[0].key != new_.entries[0].key;
}

WriteOperation::Step WriteOperation::writeEntries() {
  rocksdb::Transaction& writes = transaction->writes();
  rocksdb::Status status;
  hasWritten_ = true;
  for (size_t i = 0; i < table_->indexes.size() && status.ok(); i++) {
    const IndexLayout& index = table_->indexes[i];
    const bool isSame = kind_ == WriteKind::UPDATE && !isNewEntry(i);
    if (kind_ != WriteKind::INSERT && !isSame) {
      status = writes.Delete(entryKey(index, old_.entries[i], old_.entries[0].key));
    }
    if (kind_ == WriteKind::DELETE || !status.ok()) continue;
    const Entry& entry = new_.entries[i];
    const std::string_view primaryKey = new_.entries[0].key;
    if (i == 0) {
      status = writes.Put(entryKey(index, entry, primaryKey), toSlice(new_.row));
    } else if (!isSame || !entry.covered.empty() || transaction->tookSnapshot()) {
      // Covered bytes may change under a key that stays: 'a' and 'A' can have one sort key. And an entry that
      // another transaction committed after the snapshot must show with the row, which is this one's now.
      status = writes.Put(entryKey(index, entry, primaryKey), entryValue(index, entry, primaryKey));
    }
  }
  return status.ok() ? Step::OK : failStatus(status);
}

}  // namespace vamos::store
