#include "engine/rows/cursor.hpp"

#include <array>
#include <utility>

namespace vamos::engine {
namespace {

// The clock is asked once in so many rows.
constexpr uint64_t rowsBetweenChecks = 16;
// Or in so many bytes of rows: they are read whole, whatever becomes of them.
constexpr size_t bytesBetweenChecks = 256 << 10;
// A scan of so many rows goes on for longer than a walk lives: the next one need not learn that anew.
constexpr uint64_t longScanRows = 1000;

}  // namespace

void Cursor::chooseSource() {
  if (options.index == 0 || lock != Lock::NONE) return;
  std::vector<bool> needed(table->row.columnCount());
  if (aggregates) {
    aggregates->markColumns(needed);
  } else {
    needed = projection.marks(*table);
  }
  if (filter) filter->markColumns(needed);
  indexRows = IndexRows::make(*table, options.index, std::move(needed));
}

FetchOperation::FetchOperation(uint64_t number, std::shared_ptr<Cursor> cursor, Source& source,
                               size_t windowBytes)
    : Operation(number, cursor->transaction),
      cursor(std::move(cursor)),
      source_(source),
      windowBytes_(windowBytes),
      startRest_(this->cursor->rest),
      startRows_(this->cursor->rows) {}

void FetchOperation::undo() {
  walk_.reset();
  cursor->rest = startRest_;
  cursor->rows = startRows_;
  if (cursor->aggregates) cursor->aggregates->clear();
}

Progress FetchOperation::run(const Budget& budget) {
  if (budget.cachedOnly && !source_.canWalkCached()) return Progress::AGAIN;
  cachedOnly_ = budget.cachedOnly;
  const uint64_t before = source_.steppedOver();
  const Progress progress = read(budget);
  steppedOver_ += source_.steppedOver() - before;
  if (progress == Progress::DONE && steppedOver_ > 0) {
    source_.scanned(scannedRange(), cursor->rowsRead, steppedOver_);
  }
  return progress;
}

KeyRange FetchOperation::scannedRange() const {
  const KeyRange& rest = cursor->rest;
  if (outcome.atEnd || !outcome.ok()) return startRest_;
  return cursor->options.reverse ? KeyRange{rest.high, startRest_.high} : KeyRange{startRest_.low, rest.low};
}

Progress FetchOperation::read(const Budget& budget) {
  // A walk lives for one go: between two goes the budget may change, and it would pin what was dropped.
  walk_.reset();
  isPositioned_ = false;
  if (cursor->lock != Lock::NONE) {
    view_ = cursor->transaction->latestView();
  } else {
    if (!cursor->view) {
      cursor->view = transaction ? transaction->statementView() : View{&source_, nullptr, nullptr};
    }
    view_ = *cursor->view;
    if (transaction) view_.writes = transaction->latestView().writes;
  }
  uint64_t nextCheck = cursor->rowsRead + rowsBetweenChecks;
  bytesRead_ = 0;
  while (true) {
    if (isAtLimit()) return finish(true);
    if (isFull()) return finish(false);
    const Step step = cursor->lock == Lock::NONE ? plainStep() : lockingStep();
    switch (step) {
      case Step::OK:
      case Step::LEFT_OUT:
        break;
      case Step::AT_END:
        return finish(true);
      case Step::PARKED:
        walk_.reset();
        return Progress::PARKED;
      case Step::AGAIN:
        walk_.reset();
        return Progress::AGAIN;
      case Step::FAILED:
        undo();
        return Progress::DONE;
    }
    if (cursor->rowsRead < nextCheck && bytesRead_ < bytesBetweenChecks) continue;
    nextCheck = cursor->rowsRead + rowsBetweenChecks;
    bytesRead_ = 0;
    if (budget.isSpent()) {
      walk_.reset();
      return Progress::AGAIN;
    }
  }
}

bool FetchOperation::isFull() const {
  if (outcome.lastUnlocked) return true;
  if (outcome.count == 0 || cursor->aggregates) return false;
  const uint64_t firstRows = cursor->options.firstRows;
  return outcome.result.size() >= windowBytes_ ||
         (firstRows != 0 && startRows_ == 0 && cursor->rows >= firstRows);
}

bool FetchOperation::isAtLimit() const {
  return cursor->options.limitRows != 0 && cursor->rows >= cursor->options.limitRows;
}

Progress FetchOperation::finish(bool atEnd) {
  walk_.reset();
  outcome.atEnd = atEnd;
  source_.addRowsFromIndex(rowsFromIndex_);
  if (cursor->aggregates) {
    outcome.result = cursor->aggregates->result();
    cursor->aggregates->clear();
  }
  return Progress::DONE;
}

FetchOperation::Step FetchOperation::fail(Outcome failure) {
  outcome = std::move(failure);
  return Step::FAILED;
}

FetchOperation::Step FetchOperation::failEntry() {
  return fail(source_.corruption("an index entry without its primary key"));
}

FetchOperation::Step FetchOperation::failRow() {
  return fail(source_.corruption("a row doesn't fit its table's columns"));
}

FetchOperation::Step FetchOperation::stepOf(Found found) {
  switch (found) {
    case Found::ROW:
      return Step::OK;
    case Found::ABSENT:
      return Step::AT_END;
    case Found::UNKNOWN:
      break;
  }
  return Step::AGAIN;
}

void FetchOperation::openWalk() {
  walk_.reset();
  isPositioned_ = false;
  changes_ = source_.changes(cursor->table->indexes[cursor->options.index].space);
  walk_ = view_.walk(cursor->rest, {.cachedOnly = cachedOnly_,
                                    .isReverse = cursor->options.reverse,
                                    .isLong = cursor->rowsRead >= longScanRows});
}

FetchOperation::Step FetchOperation::seek() {
  if (cursor->rest.isEmpty()) return Step::AT_END;
  if (!walk_) openWalk();
  const bool isReverse = cursor->options.reverse;
  if (std::exchange(isPositioned_, true)) return stepOf(isReverse ? walk_->previous() : walk_->next());
  return stepOf(isReverse ? walk_->seekBefore(cursor->rest.high) : walk_->seek(cursor->rest.low));
}

void FetchOperation::pass() {
  cursor->rowsRead++;
  hasBegunEntry_ = false;
  if (!cursor->options.reverse) {
    cursor->rest.low.assign(walk_->key());
    cursor->rest.low.push_back('\0');
  } else {
    cursor->rest.high.assign(walk_->key());
  }
}

FetchOperation::Step FetchOperation::append(std::string_view primaryKey, std::string_view row) {
  const Table& table = *cursor->table;
  bytesRead_ += row.size();
  if (cursor->filter || (cursor->aggregates && !cursor->aggregates->countsRows())) {
    if (!table.row.isValid(row)) return failRow();
    if (cursor->filter && !cursor->filter->isTrue(row)) return Step::LEFT_OUT;
  }
  if (!cursor->aggregates) {
    if (!cursor->projection.append(table, primaryKey, row, outcome.result)) return failRow();
  } else if (!cursor->aggregates->add(row)) {
    return fail(Outcome::failure(ErrorCode::BAD_REQUEST,
                                 "the values that MIN and MAX found are over " + std::to_string(maxRowBytes) +
                                     " bytes together; ask for fewer in one request"));
  }
  outcome.count++;
  cursor->rows++;
  return Step::OK;
}

FetchOperation::Step FetchOperation::plainStep() {
  if (cursor->indexRows) return entryStep();
  if (!isPrimary()) return plainSecondaryRows();
  Step step = seek();
  if (step != Step::OK) return step;
  step = append(walk_->key().substr(4), walk_->value());
  if (step != Step::FAILED) pass();
  return step;
}

// The next entry, in the place of its row.
FetchOperation::Step FetchOperation::entryStep() {
  Step step = seek();
  if (step != Step::OK) return step;
  const std::string_view entry = walk_->key();
  std::string_view primaryKey;
  if (!entryPrimaryKey(entry, walk_->value(), primaryKey)) return failEntry();
  const std::string rowKey = spaceKey(cursor->table->indexes[0].space, primaryKey);
  const Found owned = view_.ownsEntry(entry, rowKey, cachedOnly_);
  if (owned == Found::UNKNOWN) return Step::AGAIN;
  if (owned == Found::ROW) step = appendEntry(entry, primaryKey, rowKey);
  if (step != Step::FAILED && step != Step::AGAIN) pass();
  return step;
}

FetchOperation::Step FetchOperation::appendEntry(std::string_view entry, std::string_view primaryKey,
                                                 const std::string& rowKey) {
  if (const std::optional<std::string_view> row = cursor->indexRows->row(entry, primaryKey)) {
    rowsFromIndex_++;
    return append(primaryKey, *row);
  }
  return readAndAppend(rowKey);
}

// An entry whose row is not there counts for nothing.
FetchOperation::Step FetchOperation::readAndAppend(const std::string& rowKey) {
  switch (view_.get(rowKey, cachedOnly_, value_)) {
    case Found::ROW:
      return append(std::string_view(rowKey).substr(sizeof(uint32_t)), value_.bytes());
    case Found::ABSENT:
      return Step::OK;
    case Found::UNKNOWN:
      break;
  }
  return Step::AGAIN;
}

// Entries in groups, then their rows with one read.
FetchOperation::Step FetchOperation::plainSecondaryRows() {
  std::array<std::string, StoredValues::maxCount> entries;
  std::array<std::string, StoredValues::maxCount> keys;
  const CursorOptions& options = cursor->options;
  uint64_t wanted = entries.size();
  if (!cursor->filter) {
    if (options.limitRows != 0) wanted = std::min(wanted, options.limitRows - cursor->rows);
    if (options.firstRows > cursor->rows) wanted = std::min(wanted, options.firstRows - cursor->rows);
  }
  const KeyRange before = cursor->rest;
  Step step = Step::OK;
  size_t count = 0;
  while (count < wanted) {
    step = seek();
    if (step != Step::OK) break;
    entries[count].assign(walk_->key());
    std::string_view primaryKey;
    if (!entryPrimaryKey(entries[count], walk_->value(), primaryKey)) return failEntry();
    keys[count] = spaceKey(cursor->table->indexes[0].space, primaryKey);
    count++;
    pass();
  }
  cursor->rest = before;
  if (step == Step::FAILED || count == 0) return step;
  view_.multiGet({keys.data(), count}, cachedOnly_, values_);
  for (size_t i = 0; i < count; i++) {
    if (isFull() || isAtLimit()) return Step::OK;
    if (values_.found[i] == Found::UNKNOWN) return Step::AGAIN;
    const Found owned = view_.ownsEntry(entries[i], keys[i], cachedOnly_);
    if (owned == Found::UNKNOWN) return Step::AGAIN;
    if (values_.found[i] == Found::ROW && owned == Found::ROW) {
      const Step appended = append(std::string_view(keys[i]).substr(4), values_.bytes[i]);
      if (appended == Step::FAILED) return appended;
    }
    if (!options.reverse) {
      cursor->rest.low = entries[i];
      cursor->rest.low.push_back('\0');
    } else {
      cursor->rest.high = entries[i];
    }
  }
  return step;
}

FetchOperation::Step FetchOperation::locked(LockAnswer answer) {
  switch (answer) {
    case LockAnswer::GRANTED:
      return Step::OK;
    case LockAnswer::QUEUED:
      return Step::PARKED;
    case LockAnswer::REFUSED:
      return fail(lockedOutcome());
    case LockAnswer::DEADLOCK:
      break;
  }
  return fail(deadlockOutcome());
}

// Nothing more in the range; where gaps are locked, nothing may come either.
FetchOperation::Step FetchOperation::lockedEnd() {
  if (cursor->rest.isEmpty() || !looksAtGaps()) return Step::AT_END;
  const Step step = lockGap(cursor->rest);
  if (step != Step::OK) return step;
  if (isUnchanged()) return Step::AT_END;
  openWalk();
  const Step again = seek();
  // An entry that came meanwhile: the next step takes it, from its start.
  isPositioned_ = false;
  return again;
}

// Under READ COMMITTED, too, InnoDB waits for what others have inserted and not committed: its entries can be
// seen there. Only the scan of an UPDATE passes over such rows.
bool FetchOperation::looksAtGaps() const { return locksGaps() || !cursor->options.semiConsistent; }

FetchOperation::Step FetchOperation::lockGap(const KeyRange& gap) {
  const Wait wait = cursor->options.wait;
  const IfLocked ifGapLocked = wait == Wait::SKIP_LOCKED ? IfLocked::IGNORE : ifLocked(wait);
  return locked(locksGaps() ? transaction->lockGap(gap, ifGapLocked)
                            : transaction->awaitInserts(gap, ifGapLocked));
}

bool FetchOperation::isOnlyOne(std::string_view entry) const {
  const CursorOptions& options = cursor->options;
  return cursor->table->indexes[options.index].isUnique && !options.lowerExclusive &&
         !options.upperExclusive && options.lower && options.lower == options.upper &&
         entry.substr(4) == *options.lower;
}

void FetchOperation::checkPaused(Step found) {
  if (pausedRow_.empty() || found == Step::AGAIN) return;
  const std::string row = std::exchange(pausedRow_, {});
  if (found == Step::OK && walk_->key() == pausedEntry_) return;
  hasBegunEntry_ = false;
  if (!locksGaps()) transaction->unlockRow(row, lockMark_);
}

FetchOperation::Step FetchOperation::lockingStep() {
  const CursorOptions& options = cursor->options;
  Step step = seek();
  checkPaused(step);
  if (step == Step::AT_END) return lockedEnd();
  if (step != Step::OK) return step;
  if (transaction->lockBytes() > source_.maxTransactionBytes()) {
    return fail(Outcome::failure(ErrorCode::TRANSACTION_TOO_LARGE,
                                 "the transaction holds too many locks; scan less, or without locks"));
  }
  const std::string entry = std::string(walk_->key());
  std::string_view primaryKey = std::string_view(entry).substr(4);
  if (!isPrimary()) {
    std::string_view found;
    if (!entryPrimaryKey(entry, walk_->value(), found)) return failEntry();
    primaryKey_.assign(found);
    primaryKey = primaryKey_;
  }
  const bool isAlone = isOnlyOne(entry);
  if (looksAtGaps() && !isAlone) {
    step = lockGap(options.reverse ? KeyRange{entry + '\0', cursor->rest.high}
                                   : KeyRange{cursor->rest.low, entry});
    if (step != Step::OK) return step;
  }
  const std::string rowKey = spaceKey(cursor->table->indexes[0].space, primaryKey);
  if (!std::exchange(hasBegunEntry_, true)) lockMark_ = transaction->lockMark();
  const bool mayPass = options.semiConsistent && !isAlone && awaitedRow_ != rowKey;
  const LockAnswer answer = transaction->lockRow(rowKey, lockMode(cursor->lock),
                                                 mayPass ? IfLocked::REFUSE : ifLocked(options.wait));
  if (answer == LockAnswer::REFUSED && mayPass) return anothersRow(rowKey);
  if (answer == LockAnswer::REFUSED && options.wait == Wait::SKIP_LOCKED) {
    pass();
    return Step::OK;
  }
  step = locked(answer);
  if (step != Step::OK) return pauseAt(entry, rowKey, step);
  if (!isUnchanged()) {
    openWalk();
    step = seek();
    if (step == Step::AGAIN) return pauseAt(entry, rowKey, step);
    const bool isSame = step == Step::OK && walk_->key() == entry && pointsTo(primaryKey);
    if (!isSame && !locksGaps()) transaction->unlockRow(rowKey, lockMark_);
    if (step == Step::AT_END) return lockedEnd();
    if (step != Step::OK) return step;
    if (!isSame) {
      // Not the same entry any more: start over from a fresh position.
      isPositioned_ = false;
      return Step::OK;
    }
  }
  if (isPrimary()) {
    step = append(primaryKey, walk_->value());
  } else {
    step = readAndAppend(rowKey);
  }
  if (step == Step::FAILED || step == Step::AGAIN) return pauseAt(entry, rowKey, step);
  if (step == Step::LEFT_OUT && !locksGaps()) transaction->unlockRow(rowKey, lockMark_);
  pass();
  if (isAlone) cursor->rest.high = cursor->rest.low;
  return Step::OK;
}

FetchOperation::Step FetchOperation::pauseAt(std::string_view entry, const std::string& rowKey, Step step) {
  if (step == Step::FAILED) return step;
  pausedEntry_ = entry;
  pausedRow_ = rowKey;
  return step;
}

FetchOperation::Step FetchOperation::anothersRow(const std::string& rowKey) {
  const Found found = view_.get(rowKey, cachedOnly_, value_);
  if (found == Found::UNKNOWN) return Step::AGAIN;
  bool isWanted = found == Found::ROW;
  if (isWanted && cursor->filter) {
    if (!cursor->table->row.isValid(value_.bytes())) return failRow();
    isWanted = cursor->filter->isTrue(value_.bytes());
  }
  if (isWanted && cursor->awaitsWanted) {
    awaitedRow_ = rowKey;
    isPositioned_ = false;
    return Step::OK;
  }
  if (isWanted) {
    if (append(std::string_view(rowKey).substr(4), value_.bytes()) == Step::FAILED) return Step::FAILED;
    outcome.lastUnlocked = true;
  }
  pass();
  return Step::OK;
}

bool FetchOperation::isUnchanged() const {
  return source_.changes(cursor->table->indexes[cursor->options.index].space) == changes_;
}

// Whether the index entry where the walk stands still belongs to this row.
bool FetchOperation::pointsTo(std::string_view primaryKey) const {
  if (isPrimary()) return true;
  std::string_view found;
  return entryPrimaryKey(walk_->key(), walk_->value(), found) && found == primaryKey;
}

}  // namespace vamos::engine
