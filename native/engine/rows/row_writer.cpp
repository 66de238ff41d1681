#include "engine/rows/row_writer.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace vamos::engine {

RowWriter::RowWriter(std::shared_ptr<Transaction> transaction, Source& source,
                     std::shared_ptr<const Table> table, WriteKind kind, Wait wait, LockMode duplicateLock)
    : indexes(table->indexes.size()),
      transaction_(std::move(transaction)),
      source_(source),
      table_(std::move(table)),
      kind_(kind),
      wait_(wait),
      duplicateLock_(duplicateLock) {
  std::iota(indexes.begin(), indexes.end(), 0);
}

void RowWriter::begin() {
  if (std::exchange(hasBegun_, true)) return;
  transaction_->writes().mark();
  lockMark_ = transaction_->lockMark();
  removedBlobs_ = transaction_->removedBlobs.size();
}

void RowWriter::undo() {
  if (!hasBegun_) return;
  // Going back costs time in proportion to the whole transaction: only where there is something to undo.
  if (hasWritten_) {
    transaction_->undoWrites();
    transaction_->releaseInserts(lockMark_);
    transaction_->removedBlobs.resize(removedBlobs_);
  } else {
    transaction_->writes().unmark();
    for (const std::string& key : freeKeys_) transaction_->unlockRow(key, lockMark_);
  }
}

RowWriter::Step RowWriter::fail(ErrorCode code, std::string message, std::string detail) {
  outcome = Outcome::failure(code, std::move(message), std::move(detail));
  return Step::FAILED;
}

RowWriter::Step RowWriter::failCorrupted(std::string_view what) {
  outcome = source_.corruption(what);
  return Step::FAILED;
}

RowWriter::Step RowWriter::lock(LockAnswer answer) {
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

RowWriter::Step RowWriter::checkLocks() {
  if (transaction_->lockBytes() <= source_.maxTransactionBytes()) return Step::OK;
  return fail(ErrorCode::TRANSACTION_TOO_LARGE, "the transaction holds too many locks for its limit of " +
                                                    std::to_string(source_.maxTransactionBytes()) +
                                                    " bytes; commit in smaller pieces");
}

RowWriter::Step RowWriter::lockRow(std::string_view rowKey) {
  return lock(transaction_->lockRow(rowKey, LockMode::EXCLUSIVE, ifLocked(wait_)));
}

RowWriter::Step RowWriter::write(uint32_t number, const Budget& budget) {
  if (kind_ != WriteKind::INSERT) {
    if (const Step step = lockKeysBefore(); step != Step::OK) return step;
  }
  if (kind_ != WriteKind::DELETE) {
    if (const Step step = lockAndCheckAfter(number, budget); step != Step::OK) return step;
  }
  writeEntries();
  return Step::OK;
}

// Who inserts one of the keys that go must wait until it is known whether they are free.
RowWriter::Step RowWriter::lockKeysBefore() {
  for (const uint32_t i : indexes) {
    const IndexLayout& index = table_->indexes[i];
    if (i == 0 || !isUniqueEntry(index, before.entries[i])) continue;
    if (kind_ == WriteKind::UPDATE && !isNewEntry(i)) continue;
    const Step step = lockRow(spaceKey(index.space, before.entries[i].key));
    if (step != Step::OK) return step;
  }
  return Step::OK;
}

RowWriter::Step RowWriter::lockAndCheckAfter(uint32_t number, const Budget& budget) {
  const std::string_view primaryKey = after.entries[0].key;
  for (const uint32_t i : indexes) {
    if (kind_ == WriteKind::UPDATE && !isNewEntry(i)) continue;
    const IndexLayout& index = table_->indexes[i];
    const Entry& entry = after.entries[i];
    const std::string key = entryKey(index, entry, primaryKey);
    // An update whose primary key changes keeps its other unique keys: they are its own.
    const bool isOwn = kind_ == WriteKind::UPDATE && i > 0 && isUniqueEntry(index, before.entries[i]) &&
                       before.entries[i].key == entry.key;
    const bool isChecked = (i == 0 || isUniqueEntry(index, entry)) && !isOwn;
    const Step step = isChecked ? lockAndCheckUnique(key, i, number, budget)
                                : lock(transaction_->lockInsert(key, ifLocked(wait_)));
    if (step != Step::OK) return step;
    // A row that starts over has them already.
    if (!hasWritten_ && std::find(freeKeys_.begin(), freeKeys_.end(), key) == freeKeys_.end())
      freeKeys_.push_back(key);
  }
  return Step::OK;
}

// As InnoDB: a key that is there is locked as for reading, so it is waited for whoever may be removing it.
RowWriter::Step RowWriter::lockAndCheckUnique(const std::string& key, size_t index, uint32_t number,
                                              const Budget& budget) {
  const uint32_t space = table_->indexes[index].space;
  bool isThere = false;
  uint64_t changes = 0;
  do {
    changes = source_.changes(space);
    const Found found = transaction_->latestView().get(key, budget.cachedOnly, value_);
    if (found == Found::UNKNOWN) return Step::AGAIN;
    isThere = found == Found::ROW;
    const Step step = lock(isThere ? transaction_->lockRow(key, duplicateLock_, ifLocked(wait_))
                                   : transaction_->lockInsert(key, ifLocked(wait_)));
    if (step != Step::OK) return step;
    // After a commit meanwhile it may be otherwise: look again.
  } while (source_.changes(space) != changes);
  if (!isThere) return Step::OK;
  if (duplicateLock_ == LockMode::SHARED) transaction_->shareRow(key, lockMark_);
  std::string detail;
  appendU32(detail, static_cast<uint32_t>(index));
  appendU32(detail, number);
  return fail(ErrorCode::DUPLICATE_KEY,
              "row " + std::to_string(number) + " of the request has a key that index " +
                  std::to_string(index) + " already has",
              std::move(detail));
}

bool RowWriter::isNewEntry(size_t index) const {
  const Entry& old = before.entries[index];
  const Entry& fresh = after.entries[index];
  return old.key != fresh.key || old.hasNull != fresh.hasNull ||
         before.entries[0].key != after.entries[0].key;
}

void RowWriter::writeEntries() {
  Writes& writes = transaction_->writes();
  hasWritten_ = true;
  for (const uint32_t i : indexes) {
    const IndexLayout& index = table_->indexes[i];
    const bool isSame = kind_ == WriteKind::UPDATE && !isNewEntry(i);
    if (kind_ != WriteKind::INSERT && !isSame) {
      writes.remove(entryKey(index, before.entries[i], before.entries[0].key));
    }
    if (kind_ == WriteKind::DELETE) continue;
    const Entry& entry = after.entries[i];
    const std::string_view primaryKey = after.entries[0].key;
    if (i == 0) {
      writes.put(entryKey(index, entry, primaryKey), after.row);
    } else if (!isSame || !entry.covered.empty() || transaction_->tookSnapshot()) {
      // Covered bytes may change under a key that stays: 'a' and 'A' can have one sort key. And an entry that
      // another transaction committed after the snapshot must show with the row, which is this one's now.
      writes.put(entryKey(index, entry, primaryKey), entryValue(index, entry, primaryKey));
    }
  }
}

void RowWriter::removeBlob(uint64_t blob) {
  transaction_->writes().put(recordKey64(RecordKind::REMOVED_BLOB, blob), "");
  transaction_->removedBlobs.push_back(blob);
}

}  // namespace vamos::engine
