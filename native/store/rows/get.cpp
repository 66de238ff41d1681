#include "store/rows/get.hpp"

#include <array>
#include <utility>

namespace vamos::store {
namespace {

constexpr size_t keysAtOnce = 32;

rocksdb::Status unfitRow() { return rocksdb::Status::Corruption("a row doesn't fit its table's columns"); }

}  // namespace

GetOperation::GetOperation(uint64_t number, std::shared_ptr<Transaction> transaction,
                           const Database& database, std::shared_ptr<const Table> table, Request request)
    : Operation(number, std::move(transaction)),
      database_(database),
      table_(std::move(table)),
      request_(std::move(request)),
      keys_(request_.keys) {
  if (request_.index == 0 || request_.lock != Lock::NONE) return;
  std::vector<bool> needed = request_.projection.marks(*table_);
  if (request_.filter) request_.filter->markColumns(needed);
  indexRows_ = IndexRows::make(*table_, request_.index, std::move(needed));
}

Progress GetOperation::run(const Budget& budget) {
  return request_.lock == Lock::NONE ? runPlain(budget) : runLocking(budget);
}

Outcome GetOperation::badKeys() const {
  return Outcome::failure(ErrorCode::BAD_REQUEST, "the key batch breaks its format or a limit");
}

GetOperation::Step GetOperation::filter(std::string_view row) {
  if (!request_.filter) return Step::FOUND;
  if (!table_->row.isValid(row)) return fail(database_.failure(unfitRow()));
  return request_.filter->isTrue(row) ? Step::FOUND : Step::MISSING;
}

bool GetOperation::append(std::string_view primaryKey, std::string_view row) {
  if (!request_.projection.append(*table_, primaryKey, row, outcome.result)) {
    outcome = database_.failure(unfitRow());
    return false;
  }
  outcome.count++;
  if (outcome.result.size() <= maxWindowBytes) return true;
  outcome = Outcome::failure(ErrorCode::BAD_REQUEST, "the rows are over " + std::to_string(maxWindowBytes) +
                                                         " bytes together; ask for fewer keys at once");
  return false;
}

Progress GetOperation::runPlain(const Budget& budget) {
  if (!view_) {
    view_ = transaction ? transaction->statementView() : View{&database_.base(), nullptr, nullptr};
    // A single read needs no snapshot to agree with itself.
    const bool isOneRead = request_.index == 0 && keys_.bytes().size() <= 4 + maxKeyBytes;
    if (!view_->snapshot && !isOneRead)
      view_->snapshot = std::make_shared<rocksdb::ManagedSnapshot>(view_->base);
  }
  if (request_.index == 0 && offset_ == 0) {
    Reader reader(keys_.bytes());
    std::string_view key;
    if (readKey(reader, key) && reader.atEnd()) return runPlainOne(key, budget);
  }
  const uint32_t space = table_->indexes[request_.index].space;
  std::array<std::string, keysAtOnce> keys;
  std::array<rocksdb::Slice, keysAtOnce> slices;
  std::array<rocksdb::PinnableSlice, keysAtOnce> values;
  std::array<rocksdb::Status, keysAtOnce> statuses;
  while (offset_ < keys_.bytes().size()) {
    Reader reader(keys_.bytes(), offset_);
    size_t count = 0;
    while (count < keysAtOnce && !reader.atEnd()) {
      std::string_view key;
      if (!readKey(reader, key)) return done(badKeys());
      keys[count] = spaceKey(space, key);
      slices[count] = keys[count];
      values[count].Reset();
      count++;
    }
    if (count == 1) {
      statuses[0] = view_->get(keys[0], budget.cachedOnly, values[0]);
    } else {
      view_->multiGet(count, slices.data(), budget.cachedOnly, values.data(), statuses.data());
    }
    const size_t resultBytes = outcome.result.size();
    const uint64_t resultCount = outcome.count;
    const uint64_t rowsFromIndex = rowsFromIndex_;
    for (size_t i = 0; i < count; i++) {
      std::string_view primaryKey = std::string_view(keys[i]).substr(4);
      std::string_view row = toView(values[i]);
      if (request_.index != 0 && statuses[i].ok()) {
        statuses[i] = rowOfEntry(keys[i], budget.cachedOnly, values[i], row);
        primaryKey = primaryKey_;
      }
      if (statuses[i].ok()) {
        const Step step = filter(row);
        if (step == Step::FAILED) return Progress::DONE;
        if (step == Step::MISSING) statuses[i] = rocksdb::Status::NotFound();
      }
      if (statuses[i].ok()) {
        if (!append(primaryKey, row)) return Progress::DONE;
      } else if (statuses[i].IsNotFound()) {
        appendU32(outcome.result, missingRow);
      } else if (statuses[i].IsIncomplete()) {
        outcome.result.resize(resultBytes);
        outcome.count = resultCount;
        rowsFromIndex_ = rowsFromIndex;
        return Progress::AGAIN;
      } else {
        return done(database_.failure(statuses[i]));
      }
    }
    offset_ = reader.offset();
    if (budget.isSpent() && offset_ < keys_.bytes().size()) return Progress::AGAIN;
  }
  database_.addRowsFromIndex(rowsFromIndex_);
  return Progress::DONE;
}

rocksdb::Status GetOperation::rowOfEntry(std::string_view entry, bool cachedOnly,
                                         rocksdb::PinnableSlice& value, std::string_view& row) {
  std::string_view found;
  if (!entryPrimaryKey(entry, toView(value), found)) {
    return rocksdb::Status::Corruption("an index entry without its primary key");
  }
  primaryKey_.assign(found);
  const std::string rowKey = spaceKey(table_->indexes[0].space, primaryKey_);
  bool owns = true;
  rocksdb::Status status = view_->ownsEntry(entry, rowKey, cachedOnly, owns);
  if (!status.ok()) return status;
  if (!owns) return rocksdb::Status::NotFound();
  const std::optional<std::string_view> made =
      indexRows_ ? indexRows_->row(entry, primaryKey_) : std::nullopt;
  if (made) {
    rowsFromIndex_++;
    row = *made;
    return status;
  }
  status = view_->get(rowKey, cachedOnly, value);
  row = toView(value);
  return status;
}

Progress GetOperation::runPlainOne(std::string_view key, const Budget& budget) {
  Step step = read(*view_, spaceKey(table_->indexes[0].space, key), budget);
  if (step == Step::FOUND) step = filter(toView(value_));
  switch (step) {
    case Step::FOUND:
      append(key, toView(value_));
      return Progress::DONE;
    case Step::MISSING:
      appendU32(outcome.result, missingRow);
      return Progress::DONE;
    case Step::AGAIN:
      return Progress::AGAIN;
    default:
      return Progress::DONE;
  }
}

Progress GetOperation::runLocking(const Budget& budget) {
  while (offset_ < keys_.bytes().size()) {
    Reader reader(keys_.bytes(), offset_);
    std::string_view key;
    if (!readKey(reader, key)) return done(badKeys());
    if (transaction->lockBytes() > database_.maxTransactionBytes()) {
      return done(Outcome::failure(ErrorCode::TRANSACTION_TOO_LARGE,
                                   "the transaction holds too many locks; lock less, or commit in between"));
    }
    Step step = lockedRow(key, budget);
    if (step == Step::FOUND) {
      step = filter(toView(value_));
      if (step == Step::MISSING && !transaction->locksGaps()) {
        transaction->unlockRow(spaceKey(table_->indexes[0].space, primaryKey_), lockMark_);
      }
    }
    switch (step) {
      case Step::FOUND:
        if (!append(primaryKey_, toView(value_))) return Progress::DONE;
        break;
      case Step::MISSING:
        appendU32(outcome.result, missingRow);
        break;
      case Step::PARKED:
        return Progress::PARKED;
      case Step::AGAIN:
        return Progress::AGAIN;
      case Step::FAILED:
        return Progress::DONE;
    }
    offset_ = reader.offset();
    hasBegunKey_ = false;
    if (budget.isSpent() && offset_ < keys_.bytes().size()) return Progress::AGAIN;
  }
  return Progress::DONE;
}

GetOperation::Step GetOperation::fail(Outcome failure) {
  outcome = std::move(failure);
  return Step::FAILED;
}

GetOperation::Step GetOperation::lockKey(std::string_view key, LockMode mode) {
  switch (transaction->lockRow(key, mode, ifLocked(request_.wait))) {
    case LockAnswer::GRANTED:
      return Step::FOUND;
    case LockAnswer::QUEUED:
      return Step::PARKED;
    case LockAnswer::REFUSED:
      return request_.wait == Wait::SKIP_LOCKED ? Step::MISSING : fail(lockedOutcome());
    case LockAnswer::DEADLOCK:
      break;
  }
  return fail(deadlockOutcome());
}

GetOperation::Step GetOperation::read(const View& view, std::string_view key, const Budget& budget) {
  const rocksdb::Status status = view.get(key, budget.cachedOnly, value_);
  if (status.ok()) return Step::FOUND;
  if (status.IsNotFound()) return Step::MISSING;
  return status.IsIncomplete() ? Step::AGAIN : fail(database_.failure(status));
}

// A row's lock is enough where the key is there: who removes the key from an index locks the row first. It is
// read before it is locked, and again if anything was committed meanwhile.
GetOperation::Step GetOperation::lockedRow(std::string_view key, const Budget& budget) {
  if (!std::exchange(hasBegunKey_, true)) lockMark_ = transaction->lockMark();
  const View view = transaction->latestView();
  const std::string entry = spaceKey(table_->indexes[request_.index].space, key);
  std::string rowKey = entry;
  primaryKey_.assign(key);
  while (true) {
    const uint64_t sequence = database_.base().GetLatestSequenceNumber();
    Step step = read(view, entry, budget);
    if (step == Step::MISSING) {
      // What it was waited for leads to that row no more.
      if (!awaitedRow_.empty()) transaction->unlockRow(std::exchange(awaitedRow_, {}), lockMark_);
      step = lockMissing(view, entry, budget);
    }
    if (step != Step::FOUND) return step;
    if (request_.index != 0) {
      std::string_view found;
      if (!entryPrimaryKey(entry, toView(value_), found)) {
        return fail(database_.failure(rocksdb::Status::Corruption("an index entry without its primary key")));
      }
      primaryKey_.assign(found);
      rowKey = spaceKey(table_->indexes[0].space, primaryKey_);
    }
    if (const std::string awaited = std::exchange(awaitedRow_, {}); !awaited.empty() && awaited != rowKey) {
      transaction->unlockRow(awaited, lockMark_);
    }
    step = lockKey(rowKey, lockMode(request_.lock));
    if (step == Step::PARKED) awaitedRow_ = rowKey;
    if (step != Step::FOUND) return step;
    if (database_.base().GetLatestSequenceNumber() != sequence) {
      step = read(view, entry, budget);
      std::string_view found = primaryKey_;
      if (step == Step::FOUND && request_.index != 0) entryPrimaryKey(entry, toView(value_), found);
      if (step == Step::MISSING || found != primaryKey_) {
        transaction->unlockRow(rowKey, lockMark_);
        continue;
      }
      if (step != Step::FOUND) return step;
    }
    return request_.index == 0 ? Step::FOUND : read(view, rowKey, budget);
  }
}

// Another may be about to add the key: its lock is waited for.
GetOperation::Step GetOperation::lockMissing(const View& view, const std::string& key, const Budget& budget) {
  Step step = lockKey(key, LockMode::SHARED);
  if (step != Step::FOUND) return step;
  step = read(view, key, budget);
  if (step == Step::MISSING && transaction->locksGaps()) {
    // As every scan: an iterator over the block cache alone may end too early.
    if (budget.cachedOnly) return Step::AGAIN;
    transaction->lockGapAround(key, gapOf(view, key));
  }
  if (step == Step::MISSING || step == Step::FOUND) transaction->unlockRow(key, lockMark_);
  return step;
}

// Between the nearest keys of the index on both sides.
KeyRange GetOperation::gapOf(const View& view, const std::string& key) const {
  KeyRange gap = prefixRange(key.substr(0, sizeof(uint32_t)));
  const KeyRange bounds = gap;
  const rocksdb::Slice low(bounds.low);
  const rocksdb::Slice high(bounds.high);
  rocksdb::ReadOptions options = view.options(false);
  options.iterate_lower_bound = &low;
  options.iterate_upper_bound = &high;
  const std::unique_ptr<rocksdb::Iterator> iterator = view.iterate(options);
  iterator->Seek(key);
  // The transaction's own writes don't know of the bounds.
  if (iterator->Valid() && bounds.contains(toView(iterator->key()))) gap.high = iterator->key().ToString();
  iterator->SeekForPrev(key);
  if (iterator->Valid() && bounds.contains(toView(iterator->key()))) {
    gap.low = iterator->key().ToString() + '\0';
  }
  return gap;
}

}  // namespace vamos::store
