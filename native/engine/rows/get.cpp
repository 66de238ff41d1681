#include "engine/rows/get.hpp"

#include <array>
#include <utility>

namespace vamos::engine {
namespace {

constexpr const char* unfitRow = "a row doesn't fit its table's columns";
constexpr const char* unfitEntry = "an index entry without its primary key";

}  // namespace

GetOperation::GetOperation(uint64_t number, std::shared_ptr<Transaction> transaction, Source& source,
                           std::shared_ptr<const Table> table, Request request)
    : Operation(number, std::move(transaction)),
      source_(source),
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
  if (!table_->row.isValid(row)) return fail(source_.corruption(unfitRow));
  return request_.filter->isTrue(row) ? Step::FOUND : Step::MISSING;
}

bool GetOperation::append(std::string_view primaryKey, std::string_view row) {
  if (!request_.projection.append(*table_, primaryKey, row, outcome.result)) {
    outcome = source_.corruption(unfitRow);
    return false;
  }
  outcome.count++;
  if (outcome.result.size() <= maxWindowBytes) return true;
  outcome =
      Outcome::failure(ErrorCode::BAD_REQUEST, "the rows are over " + std::to_string(maxWindowBytes) +
                                                   " bytes together; ask for fewer keys in one request");
  return false;
}

Progress GetOperation::runPlain(const Budget& budget) {
  if (!view_) {
    view_ = transaction ? transaction->statementView() : View{&source_, nullptr, nullptr};
    // A single read needs no snapshot to agree with itself.
    const bool isOneRead = request_.index == 0 && keys_.bytes().size() <= 4 + maxKeyBytes;
    if (!view_->snapshot && !isOneRead) view_->snapshot = source_.snapshot();
  }
  if (request_.index == 0 && offset_ == 0) {
    Reader reader(keys_.bytes());
    std::string_view key;
    if (readKey(reader, key) && reader.atEnd()) return runPlainOne(key, budget);
  }
  const uint32_t space = table_->indexes[request_.index].space;
  std::array<std::string, StoredValues::maxCount> keys;
  StoredValues values;
  while (offset_ < keys_.bytes().size()) {
    Reader reader(keys_.bytes(), offset_);
    size_t count = 0;
    while (count < keys.size() && !reader.atEnd()) {
      std::string_view key;
      if (!readKey(reader, key)) return done(badKeys());
      keys[count++] = spaceKey(space, key);
    }
    if (count == 1) {
      values.found[0] = view_->get(keys[0], budget.cachedOnly, value_);
      values.bytes[0] = value_.bytes();
    } else {
      view_->multiGet({keys.data(), count}, budget.cachedOnly, values);
    }
    const size_t resultBytes = outcome.result.size();
    const uint64_t resultCount = outcome.count;
    const uint64_t rowsFromIndex = rowsFromIndex_;
    for (size_t i = 0; i < count; i++) {
      std::string_view primaryKey = std::string_view(keys[i]).substr(4);
      std::string_view row = values.bytes[i];
      Step step = stepOf(values.found[i]);
      if (request_.index != 0 && step == Step::FOUND) {
        step = rowOfEntry(keys[i], values.bytes[i], budget.cachedOnly, row);
        primaryKey = primaryKey_;
      }
      if (step == Step::FOUND) step = filter(row);
      switch (step) {
        case Step::FOUND:
          if (!append(primaryKey, row)) return Progress::DONE;
          break;
        case Step::MISSING:
          appendU32(outcome.result, missingRow);
          break;
        case Step::AGAIN:
          outcome.result.resize(resultBytes);
          outcome.count = resultCount;
          rowsFromIndex_ = rowsFromIndex;
          return Progress::AGAIN;
        default:
          return Progress::DONE;
      }
    }
    offset_ = reader.offset();
    if (budget.isSpent() && offset_ < keys_.bytes().size()) return Progress::AGAIN;
  }
  source_.addRowsFromIndex(rowsFromIndex_);
  return Progress::DONE;
}

GetOperation::Step GetOperation::stepOf(Found found) {
  switch (found) {
    case Found::ROW:
      return Step::FOUND;
    case Found::ABSENT:
      return Step::MISSING;
    case Found::UNKNOWN:
      break;
  }
  return Step::AGAIN;
}

GetOperation::Step GetOperation::rowOfEntry(std::string_view entry, std::string_view value, bool cachedOnly,
                                            std::string_view& row) {
  std::string_view found;
  if (!entryPrimaryKey(entry, value, found)) return fail(source_.corruption(unfitEntry));
  primaryKey_.assign(found);
  const std::string rowKey = spaceKey(table_->indexes[0].space, primaryKey_);
  Step step = stepOf(view_->ownsEntry(entry, rowKey, cachedOnly));
  if (step != Step::FOUND) return step;
  const std::optional<std::string_view> made =
      indexRows_ ? indexRows_->row(entry, primaryKey_) : std::nullopt;
  if (made) {
    rowsFromIndex_++;
    row = *made;
    return Step::FOUND;
  }
  step = stepOf(view_->get(rowKey, cachedOnly, value_));
  row = value_.bytes();
  return step;
}

Progress GetOperation::runPlainOne(std::string_view key, const Budget& budget) {
  Step step = read(*view_, spaceKey(table_->indexes[0].space, key), budget);
  if (step == Step::FOUND) step = filter(value_.bytes());
  switch (step) {
    case Step::FOUND:
      append(key, value_.bytes());
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
    if (transaction->lockBytes() > source_.maxTransactionBytes()) {
      return done(Outcome::failure(ErrorCode::TRANSACTION_TOO_LARGE,
                                   "the transaction holds too many locks; lock less, or commit in between"));
    }
    Step step = lockedRow(key, budget);
    if (step == Step::FOUND) {
      step = filter(value_.bytes());
      if (step == Step::MISSING && !transaction->locksGaps()) {
        transaction->unlockRow(spaceKey(table_->indexes[0].space, primaryKey_), lockMark_);
      }
    }
    switch (step) {
      case Step::FOUND:
        if (!append(primaryKey_, value_.bytes())) return Progress::DONE;
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
  return stepOf(view.get(key, budget.cachedOnly, value_));
}

// A row's lock is enough where the key is there: who removes the key from an index locks the row first. It is
// read before it is locked, and again if anything was committed meanwhile.
GetOperation::Step GetOperation::lockedRow(std::string_view key, const Budget& budget) {
  if (!std::exchange(hasBegunKey_, true)) lockMark_ = transaction->lockMark();
  const View view = transaction->latestView();
  const uint32_t space = table_->indexes[request_.index].space;
  const std::string entry = spaceKey(space, key);
  std::string rowKey = entry;
  primaryKey_.assign(key);
  while (true) {
    const uint64_t changes = source_.changes(space);
    Step step = read(view, entry, budget);
    if (step == Step::MISSING) {
      // The entry leads no more to the row that was waited for.
      const std::string awaited = std::exchange(awaitedRow_, {});
      if (!awaited.empty() && awaited != entry) transaction->unlockRow(awaited, lockMark_);
      step = lockMissing(view, entry, budget);
    }
    if (step != Step::FOUND) return step;
    if (request_.index != 0) {
      std::string_view found;
      if (!entryPrimaryKey(entry, value_.bytes(), found)) {
        return fail(source_.corruption(unfitEntry));
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
    if (source_.changes(space) != changes) {
      step = read(view, entry, budget);
      std::string_view found = primaryKey_;
      if (step == Step::FOUND && request_.index != 0) entryPrimaryKey(entry, value_.bytes(), found);
      if (step == Step::MISSING || found != primaryKey_) {
        transaction->unlockRow(rowKey, lockMark_);
        continue;
      }
    }
    if (step == Step::FOUND && request_.index != 0) step = read(view, rowKey, budget);
    if (step == Step::AGAIN) awaitedRow_ = rowKey;
    return step;
  }
}

// Another may be about to add the key: its lock is waited for.
GetOperation::Step GetOperation::lockMissing(const View& view, const std::string& key, const Budget& budget) {
  Step step = lockKey(key, LockMode::SHARED);
  if (step != Step::FOUND) return step;
  step = read(view, key, budget);
  if (step == Step::MISSING && transaction->locksGaps()) {
    KeyRange gap;
    step = gapOf(view, key, budget, gap);
    if (step == Step::MISSING) transaction->lockGapAround(key, std::move(gap));
  }
  if (step == Step::AGAIN) awaitedRow_ = key;
  if (step == Step::MISSING || step == Step::FOUND) transaction->unlockRow(key, lockMark_);
  return step;
}

// Between the nearest keys of the index on both sides.
GetOperation::Step GetOperation::gapOf(const View& view, const std::string& key, const Budget& budget,
                                       KeyRange& gap) {
  if (budget.cachedOnly && !source_.canWalkCached()) return Step::AGAIN;
  gap = prefixRange(key.substr(0, sizeof(uint32_t)));
  const std::unique_ptr<Walk> walk = view.walk(gap, {.cachedOnly = budget.cachedOnly});
  Found found = walk->seek(key);
  if (found == Found::UNKNOWN) return Step::AGAIN;
  if (found == Found::ROW) gap.high = walk->key();
  found = walk->seekBefore(key);
  if (found == Found::UNKNOWN) return Step::AGAIN;
  if (found == Found::ROW) {
    gap.low = walk->key();
    gap.low.push_back('\0');
  }
  return Step::MISSING;
}

}  // namespace vamos::engine
