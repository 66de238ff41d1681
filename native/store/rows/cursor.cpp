#include "store/rows/cursor.hpp"

#include <rocksdb/perf_context.h>

#include <array>
#include <utility>

namespace vamos::store {
namespace {

constexpr size_t entriesAtOnce = 32;
// The clock is asked once in so many rows.
constexpr uint64_t rowsBetweenChecks = 16;
// Or in so many bytes of rows: they are read whole, whatever becomes of them.
constexpr size_t bytesBetweenChecks = 256 << 10;
// A scan of so many rows goes on for longer than an iterator lives: the next one need not learn that anew.
constexpr uint64_t longScanRows = 1000;
constexpr size_t longScanReadaheadBytes = 256 << 10;

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

FetchOperation::FetchOperation(uint64_t number, std::shared_ptr<Cursor> cursor, const Database& database,
                               uint64_t maxTransactionBytes, size_t windowBytes)
    : Operation(number, cursor->transaction),
      cursor(std::move(cursor)),
      database_(database),
      maxTransactionBytes_(maxTransactionBytes),
      windowBytes_(windowBytes),
      startRest_(this->cursor->rest),
      startRows_(this->cursor->rows) {}

void FetchOperation::undo() {
  cursor->rest = startRest_;
  cursor->rows = startRows_;
  if (cursor->aggregates) cursor->aggregates->clear();
}

Progress FetchOperation::run(const Budget& budget) {
  // From the block cache alone an iterator may end, with a good status, before a file whose index is not
  // cached (seen with RocksDB 7.8.3): rows would be missing. So scans always run on a thread.
  if (budget.cachedOnly) return Progress::AGAIN;
  const uint64_t& skipped = rocksdb::get_perf_context()->internal_delete_skipped_count;
  const uint64_t skippedBefore = skipped;
  const Progress progress = read(budget);
  tombstones_ += skipped - skippedBefore;
  if (progress == Progress::DONE && tombstones_ > 0) {
    database_.addTombstones(tombstones_, cursor->rowsRead, scannedRange());
  }
  return progress;
}

KeyRange FetchOperation::scannedRange() const {
  const KeyRange& rest = cursor->rest;
  if (outcome.atEnd || !outcome.ok()) return startRest_;
  return cursor->options.reverse ? KeyRange{rest.high, startRest_.high} : KeyRange{startRest_.low, rest.low};
}

Progress FetchOperation::read(const Budget& budget) {
  // An iterator lives for one go: between two goes the tier may change, and it would pin what was dropped.
  iterator_.reset();
  isPositioned_ = false;
  if (cursor->lock != Lock::NONE) {
    view_ = cursor->transaction->latestView();
  } else {
    if (!cursor->view) {
      cursor->view = transaction ? transaction->statementView() : View{&database_.base(), nullptr, nullptr};
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
        iterator_.reset();
        return Progress::PARKED;
      case Step::FAILED:
        iterator_.reset();
        undo();
        return Progress::DONE;
    }
    if (cursor->rowsRead < nextCheck && bytesRead_ < bytesBetweenChecks) continue;
    nextCheck = cursor->rowsRead + rowsBetweenChecks;
    bytesRead_ = 0;
    if (budget.isSpent()) {
      iterator_.reset();
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
  iterator_.reset();
  outcome.atEnd = atEnd;
  database_.addRowsFromIndex(rowsFromIndex_);
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
  return fail(database_.failure(rocksdb::Status::Corruption("an index entry without its primary key")));
}

FetchOperation::Step FetchOperation::failRow() {
  return fail(database_.failure(rocksdb::Status::Corruption("a row doesn't fit its table's columns")));
}

void FetchOperation::openIterator() {
  iterator_.reset();
  isPositioned_ = false;
  sequence_ = database_.base().GetLatestSequenceNumber();
  bounds_ = cursor->rest;
  lowSlice_ = bounds_.low;
  highSlice_ = bounds_.high;
  readOptions_ = view_.options(false);
  const bool isLong = cursor->rowsRead >= longScanRows && !cursor->options.reverse;
  if (isLong) readOptions_.readahead_size = longScanReadaheadBytes;
  readOptions_.iterate_lower_bound = &lowSlice_;
  // Backwards, the seek itself keeps below the bound. And with a bound, an iterator over the transaction's
  // own writes that meets one of them there ends, where nothing committed is before it (seen with
  // RocksDB 7.8.3).
  readOptions_.iterate_upper_bound = cursor->options.reverse ? nullptr : &highSlice_;
  iterator_ = view_.iterate(readOptions_);
}

FetchOperation::Step FetchOperation::checkPosition() {
  if (iterator_->Valid()) {
    // The transaction's own writes don't know of the bounds.
    return cursor->rest.contains(toView(iterator_->key())) ? Step::OK : Step::AT_END;
  }
  const rocksdb::Status status = iterator_->status();
  if (status.ok()) return Step::AT_END;
  return fail(database_.failure(status));
}

FetchOperation::Step FetchOperation::seek() {
  if (cursor->rest.isEmpty()) return Step::AT_END;
  if (!iterator_) openIterator();
  if (isPositioned_) {
    if (!cursor->options.reverse) {
      iterator_->Next();
    } else {
      iterator_->Prev();
    }
  } else if (!cursor->options.reverse) {
    iterator_->Seek(cursor->rest.low);
  } else {
    iterator_->SeekForPrev(cursor->rest.high);
    if (iterator_->Valid() && toView(iterator_->key()) >= cursor->rest.high) iterator_->Prev();
  }
  isPositioned_ = true;
  return checkPosition();
}

void FetchOperation::pass() {
  cursor->rowsRead++;
  hasBegunEntry_ = false;
  if (!cursor->options.reverse) {
    cursor->rest.low.assign(iterator_->key().data(), iterator_->key().size());
    cursor->rest.low.push_back('\0');
  } else {
    cursor->rest.high.assign(iterator_->key().data(), iterator_->key().size());
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
    return fail(Outcome::failure(ErrorCode::BAD_REQUEST, "the values that MIN and MAX found are over " +
                                                             std::to_string(maxRowBytes) +
                                                             " bytes together; ask for fewer at once"));
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
  step = append(toView(iterator_->key()).substr(4), toView(iterator_->value()));
  if (step != Step::FAILED) pass();
  return step;
}

// The next entry, in the place of its row.
FetchOperation::Step FetchOperation::entryStep() {
  Step step = seek();
  if (step != Step::OK) return step;
  const std::string_view entry = toView(iterator_->key());
  std::string_view primaryKey;
  if (!entryPrimaryKey(entry, toView(iterator_->value()), primaryKey)) return failEntry();
  bool owns = true;
  const std::string rowKey = spaceKey(cursor->table->indexes[0].space, primaryKey);
  const rocksdb::Status status = view_.ownsEntry(entry, rowKey, false, owns);
  if (!status.ok()) return fail(database_.failure(status));
  if (owns) step = appendEntry(entry, primaryKey, rowKey);
  if (step != Step::FAILED) pass();
  return step;
}

FetchOperation::Step FetchOperation::appendEntry(std::string_view entry, std::string_view primaryKey,
                                                 const std::string& rowKey) {
  if (const std::optional<std::string_view> row = cursor->indexRows->row(entry, primaryKey)) {
    rowsFromIndex_++;
    return append(primaryKey, *row);
  }
  const rocksdb::Status status = view_.get(rowKey, false, value_);
  if (status.IsNotFound()) return Step::OK;
  return status.ok() ? append(primaryKey, toView(value_)) : fail(database_.failure(status));
}

// Entries in groups, then their rows with one read.
FetchOperation::Step FetchOperation::plainSecondaryRows() {
  std::array<std::string, entriesAtOnce> entries;
  std::array<std::string, entriesAtOnce> keys;
  std::array<rocksdb::Slice, entriesAtOnce> slices;
  std::array<rocksdb::PinnableSlice, entriesAtOnce> values;
  std::array<rocksdb::Status, entriesAtOnce> statuses;
  const CursorOptions& options = cursor->options;
  uint64_t wanted = entriesAtOnce;
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
    entries[count].assign(iterator_->key().data(), iterator_->key().size());
    std::string_view primaryKey;
    if (!entryPrimaryKey(entries[count], toView(iterator_->value()), primaryKey)) return failEntry();
    keys[count] = spaceKey(cursor->table->indexes[0].space, primaryKey);
    slices[count] = keys[count];
    count++;
    pass();
  }
  cursor->rest = before;
  if (step == Step::FAILED || count == 0) return step;
  view_.multiGet(count, slices.data(), false, values.data(), statuses.data());
  for (size_t i = 0; i < count; i++) {
    if (!statuses[i].ok() && !statuses[i].IsNotFound()) return fail(database_.failure(statuses[i]));
    if (isFull() || isAtLimit()) return Step::OK;
    bool owns = true;
    const rocksdb::Status status = view_.ownsEntry(entries[i], keys[i], false, owns);
    if (!status.ok()) return fail(database_.failure(status));
    if (statuses[i].ok() && owns) {
      const Step appended = append(std::string_view(keys[i]).substr(4), toView(values[i]));
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
  if (database_.base().GetLatestSequenceNumber() == sequence_) return Step::AT_END;
  openIterator();
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

void FetchOperation::checkQueued(Step found) {
  if (queuedRow_.empty()) return;
  const std::string row = std::exchange(queuedRow_, {});
  if (found == Step::OK && toView(iterator_->key()) == queuedEntry_) return;
  hasBegunEntry_ = false;
  if (!locksGaps()) transaction->unlockRow(row, lockMark_);
}

FetchOperation::Step FetchOperation::lockingStep() {
  const CursorOptions& options = cursor->options;
  Step step = seek();
  checkQueued(step);
  if (step == Step::AT_END) return lockedEnd();
  if (step != Step::OK) return step;
  if (transaction->lockBytes() > maxTransactionBytes_) {
    return fail(Outcome::failure(ErrorCode::TRANSACTION_TOO_LARGE,
                                 "the transaction holds too many locks; scan less, or without locks"));
  }
  const std::string entry = iterator_->key().ToString();
  std::string_view primaryKey = std::string_view(entry).substr(4);
  if (!isPrimary()) {
    std::string_view found;
    if (!entryPrimaryKey(entry, toView(iterator_->value()), found)) return failEntry();
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
  if (step == Step::PARKED) {
    queuedEntry_ = entry;
    queuedRow_ = rowKey;
  }
  if (step != Step::OK) return step;
  if (database_.base().GetLatestSequenceNumber() != sequence_) {
    openIterator();
    step = seek();
    const bool isSame = step == Step::OK && toView(iterator_->key()) == entry && pointsTo(primaryKey);
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
    step = append(primaryKey, toView(iterator_->value()));
  } else {
    const rocksdb::Status status = view_.get(rowKey, false, value_);
    if (!status.ok() && !status.IsNotFound()) return fail(database_.failure(status));
    step = status.ok() ? append(primaryKey, toView(value_)) : Step::OK;
  }
  if (step == Step::FAILED) return step;
  if (step == Step::LEFT_OUT && !locksGaps()) transaction->unlockRow(rowKey, lockMark_);
  pass();
  if (isAlone) cursor->rest.high = cursor->rest.low;
  return Step::OK;
}

FetchOperation::Step FetchOperation::anothersRow(const std::string& rowKey) {
  const rocksdb::Status status = view_.get(rowKey, false, value_);
  if (!status.ok() && !status.IsNotFound()) return fail(database_.failure(status));
  bool isWanted = status.ok();
  if (isWanted && cursor->filter) {
    if (!cursor->table->row.isValid(toView(value_))) return failRow();
    isWanted = cursor->filter->isTrue(toView(value_));
  }
  if (isWanted && cursor->awaitsWanted) {
    awaitedRow_ = rowKey;
    isPositioned_ = false;
    return Step::OK;
  }
  if (isWanted) {
    if (append(std::string_view(rowKey).substr(4), toView(value_)) == Step::FAILED) return Step::FAILED;
    outcome.lastUnlocked = true;
  }
  pass();
  return Step::OK;
}

// Whether the index entry under the iterator still belongs to this row.
bool FetchOperation::pointsTo(std::string_view primaryKey) const {
  if (isPrimary()) return true;
  std::string_view found;
  return entryPrimaryKey(toView(iterator_->key()), toView(iterator_->value()), found) && found == primaryKey;
}

}  // namespace vamos::store
