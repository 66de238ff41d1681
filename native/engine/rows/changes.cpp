#include "engine/rows/changes.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "engine/rows/get.hpp"

namespace vamos::engine {
namespace {

constexpr size_t keysAtOnce = 64;
constexpr size_t windowBytes = 256 << 10;

bool isAssigned(const std::vector<Assignment>& assignments, uint32_t column) {
  return std::any_of(assignments.begin(), assignments.end(),
                     [&](const Assignment& assignment) { return assignment.column == column; });
}

bool isTouched(const Change& change, uint32_t index) {
  const std::vector<KeyPart>& parts = change.table->indexes[index].parts;
  return change.deletes || index == 0 || std::any_of(parts.begin(), parts.end(), [&](const KeyPart& part) {
           return isAssigned(change.assignments, part.column);
         });
}

// Indexes whose entries a changed row gets anew. After a snapshot they are all: another transaction may have
// committed entries since, and they must show with the row, which is this transaction's now.
std::vector<uint32_t> writtenIndexes(const Change& change, const KeyMaker& maker, bool tookSnapshot) {
  std::vector<uint32_t> indexes;
  for (uint32_t i = 0; i < change.table->indexes.size(); i++) {
    if (isTouched(change, i) || (tookSnapshot && maker.canMake(change.table->indexes[i])))
      indexes.push_back(i);
  }
  return indexes;
}

// Indexes among the written ones whose keys can't be made from a row.
std::vector<uint32_t> keptIndexes(const Change& change, const KeyMaker& maker, bool tookSnapshot) {
  std::vector<uint32_t> indexes;
  for (uint32_t i = 0; tookSnapshot && i < change.table->indexes.size(); i++) {
    if (!isTouched(change, i) && !maker.canMake(change.table->indexes[i])) indexes.push_back(i);
  }
  return indexes;
}

}  // namespace

ChangeOperation::ChangeOperation(uint64_t number, const std::shared_ptr<Transaction>& transaction,
                                 Source& source, Change change)
    : Operation(number, transaction),
      source_(source),
      change_(std::move(change)),
      keys_(change_.keys),
      writer_(transaction, source, change_.table, change_.deletes ? WriteKind::DELETE : WriteKind::UPDATE,
              change_.wait, LockMode::SHARED),
      assigned_(change_.table->row, change_.assignments),
      kept_(*transaction, source, *change_.table,
            keptIndexes(change_, source.keyMaker(), transaction->tookSnapshot())),
      keysBefore_(change_.table->indexes.size()),
      keysAfter_(change_.table->indexes.size()) {
  const Table& table = *change_.table;
  writer_.indexes = writtenIndexes(change_, source.keyMaker(), transaction->tookSnapshot());
  writer_.before.entries.resize(table.indexes.size());
  writer_.after.entries.resize(table.indexes.size());
  for (uint32_t column = 0; column < table.row.columnCount(); column++) {
    if (table.row.kind(column) != ColumnKind::BLOB) continue;
    if (change_.deletes || isAssigned(change_.assignments, column)) blobColumns_.push_back(column);
  }
}

void ChangeOperation::keepInput() {
  keys_.keep();
  if (reading_) reading_->keepInput();
}

Progress ChangeOperation::fail(Outcome failure) {
  undo();
  return done(std::move(failure));
}

Progress ChangeOperation::run(const Budget& budget) {
  if (!std::exchange(isChecked_, true) && !(hasDistinctKeys() && hasDistinctRanges())) {
    return done(Outcome::failure(ErrorCode::BAD_REQUEST,
                                 "keys that break their format or come twice, or ranges that overlap"));
  }
  writer_.begin();
  while (reading_ || startReading()) {
    if (state_ != Reading::READY) {
      if (const Progress progress = read(budget); progress != Progress::DONE) return progress;
      if (!outcome.ok()) return fail(std::move(outcome));
    }
    while (offset_ < reading_->outcome.result.size()) {
      switch (row(budget)) {
        case Step::OK:
          break;
        case Step::PARKED:
          return Progress::PARKED;
        case Step::AGAIN:
          return Progress::AGAIN;
        case Step::FAILED:
          return fail(std::move(writer_.outcome));
      }
      offset_ = next_;
      if (budget.isSpent() && offset_ < reading_->outcome.result.size()) return Progress::AGAIN;
    }
    if (reading_->outcome.atEnd) {
      range_++;
      isRangeBegun_ = false;
    }
    reading_.reset();
  }
  writer_.finish();
  outcome.count = found_;
  outcome.changed = changed_;
  return Progress::DONE;
}

Progress ChangeOperation::read(const Budget& budget) {
  if (state_ == Reading::RUNNING) {
    const Progress progress = reading_->go(budget);
    if (progress != Progress::DONE) return progress;
    state_ = Reading::DONE;
    if (!reading_->outcome.ok()) return done(std::move(reading_->outcome));
    kept_.begin(reading_->outcome.result);
  }
  if (kept_.find(budget) == Progress::AGAIN) return Progress::AGAIN;
  state_ = Reading::READY;
  offset_ = 0;
  return Progress::DONE;
}

bool ChangeOperation::hasDistinctKeys() const {
  Reader reader(keys_.bytes());
  std::string_view first;
  if (readKey(reader, first) && reader.atEnd()) return true;
  std::unordered_set<std::string_view> seen;
  reader = Reader(keys_.bytes());
  while (!reader.atEnd()) {
    std::string_view key;
    if (!readKey(reader, key) || !seen.insert(key).second) return false;
  }
  return true;
}

bool ChangeOperation::hasDistinctRanges() const {
  const uint32_t space = change_.table->indexes[change_.index].space;
  std::vector<KeyRange> ranges;
  for (const CursorOptions& bounds : change_.ranges) {
    KeyRange range = boundsRange(space, bounds);
    if (!range.isEmpty()) ranges.push_back(std::move(range));
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const KeyRange& left, const KeyRange& right) { return left.low < right.low; });
  const auto overlap = [](const KeyRange& left, const KeyRange& right) { return right.low < left.high; };
  return std::adjacent_find(ranges.begin(), ranges.end(), overlap) == ranges.end();
}

bool ChangeOperation::startReading() {
  state_ = Reading::RUNNING;
  if (change_.limitRows != 0 && found_ >= change_.limitRows) return false;
  if (!change_.cursor) {
    if (keysOffset_ == keys_.bytes().size()) return false;
    reading_ = nextKeys();
    return true;
  }
  if (range_ == change_.ranges.size()) return false;
  if (!std::exchange(isRangeBegun_, true)) {
    Cursor& cursor = *change_.cursor;
    const CursorOptions& bounds = change_.ranges[range_];
    cursor.options.lower = bounds.lower;
    cursor.options.upper = bounds.upper;
    cursor.options.lowerExclusive = bounds.lowerExclusive;
    cursor.options.upperExclusive = bounds.upperExclusive;
    cursor.rest = boundsRange(change_.table->indexes[cursor.options.index].space, cursor.options);
  }
  reading_ = std::make_shared<FetchOperation>(number, change_.cursor, source_, windowBytes);
  return true;
}

// No more than may still be changed.
std::shared_ptr<Operation> ChangeOperation::nextKeys() {
  const uint64_t wanted =
      change_.limitRows == 0 ? keysAtOnce : std::min<uint64_t>(keysAtOnce, change_.limitRows - found_);
  Reader reader(keys_.bytes(), keysOffset_);
  for (uint64_t i = 0; i < wanted && !reader.atEnd(); i++) {
    std::string_view key;
    readKey(reader, key);
  }
  const std::string_view keys = keys_.bytes().substr(keysOffset_, reader.offset() - keysOffset_);
  keysOffset_ = reader.offset();
  GetOperation::Request request{change_.index, keys,       Lock::EXCLUSIVE,
                                change_.wait,  {{}, true}, change_.filter};
  return std::make_shared<GetOperation>(number, transaction, source_, change_.table, std::move(request));
}

ChangeOperation::Step ChangeOperation::row(const Budget& budget) {
  if (!isMade_) {
    if (const Step step = makeRow(); step != Step::OK) return step;
    isMade_ = true;
  }
  if (isChanged_) {
    Step step = writer_.checkLocks();
    if (step == Step::OK) step = writer_.write(static_cast<uint32_t>(found_ - 1), budget);
    if (step != Step::OK) return step;
    removeBlobs();
    kept_.write(writer_.before.entries[0].key);
    changed_++;
  }
  isMade_ = false;
  return Step::OK;
}

ChangeOperation::Step ChangeOperation::makeRow() {
  const Table& table = *change_.table;
  Reader reader(reading_->outcome.result, offset_);
  const uint32_t lengthBytes = reader.u32();
  isChanged_ = lengthBytes != missingRow;
  if (isChanged_) {
    row_ = reader.take(lengthBytes);
    writer_.before.entries[0].key = writer_.after.entries[0].key = reader.lengthPrefixed(maxKeyBytes);
    if (reader.failed() || !table.row.isValid(row_)) {
      return writer_.failCorrupted("a row doesn't fit its table's columns");
    }
    found_++;
  }
  next_ = reader.offset();
  if (!isChanged_) return Step::OK;
  if (!change_.deletes) {
    const std::string* changed = assigned_.make(row_);
    if (changed == nullptr) {
      std::string detail;
      appendU32(detail, assigned_.misfit());
      appendU64(detail, found_);
      return writer_.fail(ErrorCode::VALUE_OUT_OF_RANGE,
                          "row " + std::to_string(found_) + ": the value for column " +
                              std::to_string(assigned_.misfit()) + " doesn't fit it",
                          std::move(detail));
    }
    isChanged_ = *changed != row_;
    if (!isChanged_) return Step::OK;
    writer_.after.row = *changed;
    if (const Step step = makeEntries(*changed, keysAfter_, writer_.after.entries); step != Step::OK)
      return step;
  }
  return makeEntries(row_, keysBefore_, writer_.before.entries);
}

ChangeOperation::Step ChangeOperation::makeEntries(std::string_view row, std::vector<std::string>& keys,
                                                   std::vector<Entry>& entries) {
  const KeyMaker& maker = source_.keyMaker();
  for (const uint32_t i : writer_.indexes) {
    if (i == 0) continue;
    keys[i].clear();
    entries[i].hasNull = maker.make(*change_.table, change_.table->indexes[i], row, keys[i]);
    entries[i].key = keys[i];
    if (keys[i].size() > maxKeyBytes) {
      return writer_.fail(ErrorCode::BAD_REQUEST,
                          "row " + std::to_string(found_) + " would have a key in index " +
                              std::to_string(i) + " of more than " + std::to_string(maxKeyBytes) + " bytes");
    }
  }
  return Step::OK;
}

void ChangeOperation::removeBlobs() {
  for (const uint32_t column : blobColumns_) {
    if (RowLayout::isNull(row_, column)) continue;
    const std::string_view value = change_.table->row.value(row_, column);
    const std::optional<BlobReference> reference = readBlobReference(value);
    if (reference) writer_.removeBlob(reference->blob);
  }
}

}  // namespace vamos::engine
