#include "store/upkeep/index_sample.hpp"

#include <rocksdb/table_properties.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "wire/bytes.hpp"

namespace vamos::store {

using namespace engine;
namespace {

// An index with so many entries is read whole, which takes about as long as a sample.
constexpr uint64_t countedEntries = 32'768;
// So is a larger one that is not mostly in files: RocksDB's guesses of where entries of a memtable lie are
// off by factors, and reading it takes about 0.15 us an entry. Memtables are bounded.
constexpr double mostFileShare = 0.75;
constexpr uint64_t mostEntriesInMemory = 1'000'000;
// Different values that are looked for one by one, each by a search behind the one before, at most.
constexpr uint64_t soughtValues = 256;
constexpr size_t windows = 64;
// Windows that are read however slow the disk is.
constexpr size_t leastWindows = 16;
constexpr uint64_t pairsOfWindow = 100;
// RocksDB tells sizes by blocks, of about as many entries.
constexpr double finestEntries = 256;
constexpr size_t maxSkippedEntries = 1024;
constexpr size_t maxDepth = 200;
// Deleted entries that an iterator steps over, at most.
constexpr uint64_t maxSkippedDeletions = 20'000;
constexpr uint64_t entriesBetweenChecks = 64;
// How many windows lie between two that are read one after the other, so that what was read when the time is
// up comes from all of the index.
constexpr size_t stride = 8;

size_t commonBytes(std::string_view left, std::string_view right) {
  const size_t most = std::min(left.size(), right.size());
  size_t common = 0;
  while (common < most && left[common] == right[common]) common++;
  return common;
}

// Eight bytes from `at` on as a number, zeros behind the end.
uint64_t numberAt(std::string_view bytes, size_t at) {
  uint64_t number = 0;
  for (size_t i = at; i < at + sizeof number; i++) {
    number = number << 8 | (i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0);
  }
  return number;
}

// A key about half-way between the two. Empty: there is none.
std::string keyBetween(std::string_view low, std::string_view high) {
  const size_t common = commonBytes(low, high);
  const uint64_t from = numberAt(low, common);
  const uint64_t to = numberAt(high, common);
  std::string middle(low.substr(0, common));
  if (to - from > 1) {
    appendBigEndian64(middle, from + (to - from) / 2);
  } else {
    constexpr uint64_t most = std::numeric_limits<uint64_t>::max();
    const uint64_t rest = numberAt(low, common + sizeof from);
    if (rest == most) return {};
    appendBigEndian64(middle, from);
    appendBigEndian64(middle, rest + (most - rest) / 2 + 1);
  }
  return middle > low && middle < high ? middle : std::string();
}

}  // namespace

IndexSample::IndexSample(const Database& database, const Table& table, uint32_t index, uint64_t rows,
                         Clock::time_point end)
    : database_(database),
      table_(table),
      index_(index),
      rows_(rows),
      end_(end),
      space_(prefixRange(spaceKey(table.indexes[index].space))),
      high_(space_.high),
      stage_(Stage::COUNT),
      mostCounted_(2 * countedEntries),
      random_(table.indexes[index].space) {
  prefixes_ = table.indexes[index].parts.size();
  if (index != 0 && !table.indexes[index].isUnique) prefixes_ += table.indexes[0].parts.size();
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.max_skippable_internal_keys = maxSkippedDeletions;
  options.iterate_upper_bound = &high_;
  iterator_.reset(database_.base().NewIterator(options));
  if (rows_ <= countedEntries) return;
  findSizes();
  mostCounted_ = fileShare_ <= mostFileShare ? mostEntriesInMemory : 0;
}

rocksdb::Status IndexSample::read(const Budget& budget) {
  rocksdb::Status status;
  if (stage_ == Stage::COUNT) status = count(budget);
  if (status.ok() && stage_ == Stage::LOCATE) status = locate(budget);
  if (status.ok() && stage_ == Stage::READ) status = readWindows(budget);
  if (status.ok() && stage_ == Stage::SEEK) status = seekValues(budget);
  return status;
}

rocksdb::Status IndexSample::count(const Budget& budget) {
  if (windows_.empty()) {
    windows_.emplace_back();
    iterator_->Seek(space_.low);
  }
  while (iterator_->Valid() && readEntries_ < mostCounted_) {
    add(windows_.front());
    iterator_->Next();
    if (readEntries_ % entriesBetweenChecks == 0 && budget.isSpent()) return rocksdb::Status::Incomplete();
  }
  rocksdb::Status status = iterator_->status();
  if (!iterator_->Valid() && status.ok()) {
    isWhole_ = true;
    stage_ = Stage::DONE;
    return status;
  }
  if (!status.ok() && !status.IsIncomplete()) return status;
  // There are more than was said.
  windows_.clear();
  readEntries_ = readBytes_ = readBlobBytes_ = 0;
  stage_ = Stage::LOCATE;
  beginLocate();
  return {};
}

void IndexSample::findSizes() {
  const rocksdb::Range range{rocksdb::Slice(space_.low), high_};
  rocksdb::DB& base = database_.base();
  rocksdb::TablePropertiesCollection files;
  base.GetPropertiesOfTablesInRange(base.DefaultColumnFamily(), &range, 1, &files).PermitUncheckedError();
  uint64_t rawBytes = 0;
  uint64_t packedBytes = 0;
  for (const auto& [name, properties] : files) {
    rawBytes += properties->raw_key_size + properties->raw_value_size;
    packedBytes += properties->data_size;
  }
  if (packedBytes > 0) {
    bytesPerFileByte_ = static_cast<double>(rawBytes) / static_cast<double>(packedBytes);
  }
  double fileBytes = 0;
  bytes_ = bytesBetween(space_.low, space_.high, &fileBytes);
  fileShare_ = bytes_ > 0 ? fileBytes / bytes_ : 0;
}

void IndexSample::beginLocate() {
  findSizes();
  std::uniform_real_distribution<double> anywhere(0, 1);
  for (size_t i = 0; i < windows; i++) {
    targets_.push_back((static_cast<double>(i) + anywhere(random_)) / windows * bytes_);
  }
  intervals_.push_back({space_.low, space_.high, 0, bytes_, 0, windows, 0});
}

double IndexSample::bytesBetween(const std::string& low, const std::string& high, double* inFiles) const {
  const rocksdb::Range range{rocksdb::Slice(low), rocksdb::Slice(high)};
  rocksdb::DB& base = database_.base();
  uint64_t entries = 0;
  uint64_t memoryBytes = 0;
  uint64_t fileBytes = 0;
  base.GetApproximateMemTableStats(range, &entries, &memoryBytes);
  base.GetApproximateSizes(&range, 1, &fileBytes, rocksdb::DB::SizeApproximationFlags::INCLUDE_FILES)
      .PermitUncheckedError();
  const double rawFileBytes = static_cast<double>(fileBytes) * bytesPerFileByte_;
  if (inFiles != nullptr) *inFiles = rawFileBytes;
  return static_cast<double>(memoryBytes) + rawFileBytes;
}

rocksdb::Status IndexSample::locate(const Budget& budget) {
  while (!intervals_.empty()) {
    const Interval interval = std::move(intervals_.back());
    intervals_.pop_back();
    split(interval);
    if (budget.isSpent() && !intervals_.empty()) return rocksdb::Status::Incomplete();
  }
  beginRead();
  return {};
}

// Halves the interval, by the bytes of its keys; what has targets is split further.
void IndexSample::split(const Interval& interval) {
  if (interval.firstTarget == interval.endTarget) return;
  const double entries = bytes_ > 0 ? interval.bytes / bytes_ * static_cast<double>(rows_) : 0;
  const std::string middle = entries <= finestEntries || interval.depth == maxDepth
                                 ? std::string()
                                 : keyBetween(interval.low, interval.high);
  if (middle.empty()) return addPlaces(interval);
  const double bytes = std::min(bytesBetween(interval.low, middle), interval.bytes);
  const auto target = std::lower_bound(targets_.begin() + static_cast<ptrdiff_t>(interval.firstTarget),
                                       targets_.begin() + static_cast<ptrdiff_t>(interval.endTarget),
                                       interval.before + bytes);
  const auto split = static_cast<size_t>(target - targets_.begin());
  intervals_.push_back({middle, interval.high, interval.before + bytes, interval.bytes - bytes, split,
                        interval.endTarget, interval.depth + 1});
  intervals_.push_back(
      {interval.low, middle, interval.before, bytes, interval.firstTarget, split, interval.depth + 1});
}

// The sizes say no more: the rest of the way goes entry by entry.
void IndexSample::addPlaces(const Interval& interval) {
  const double entriesPerByte = bytes_ > 0 ? static_cast<double>(rows_) / bytes_ : 0;
  for (size_t target = interval.firstTarget; target < interval.endTarget; target++) {
    const double entries = (targets_[target] - interval.before) * entriesPerByte;
    places_.push_back({interval.low, std::min(static_cast<size_t>(entries), maxSkippedEntries)});
  }
}

void IndexSample::beginRead() {
  for (size_t first = 0; first < stride; first++) {
    for (size_t place = first; place < places_.size(); place += stride) order_.push_back(place);
  }
  addEdge(false);
  addEdge(true);
  stage_ = Stage::READ;
}

// The first or the last entry, as a window of one.
void IndexSample::addEdge(bool isLast) {
  if (isLast) {
    iterator_->SeekForPrev(space_.high);
  } else {
    iterator_->Seek(space_.low);
  }
  if (!iterator_->Valid() || !space_.contains(toView(iterator_->key()))) return;
  add(windows_.emplace_back());
}

rocksdb::Status IndexSample::readWindows(const Budget& budget) {
  while (nextPlace_ < order_.size() && (nextPlace_ < leastWindows || Clock::now() < end_)) {
    if (!readWindow(places_[order_[nextPlace_++]])) return iterator_->status();
    if (budget.isSpent()) return rocksdb::Status::Incomplete();
  }
  finish();
  stage_ = Stage::SEEK;
  iterator_->Seek(space_.low);
  return {};
}

// Where a prefix seems to have few values, they are counted: the sample may have missed some. A longer prefix
// has no fewer.
rocksdb::Status IndexSample::seekValues(const Budget& budget) {
  const std::vector<double> sampled = distinct();
  while (sought_.size() < prefixes_ && sampled[sought_.size()] < soughtValues) {
    const size_t prefix = sought_.size();
    while (iterator_->Valid() && soughtNow_ < soughtValues) {
      findEnds(toView(iterator_->key()), toView(iterator_->value()));
      if (ends_[prefix] == 0 || Clock::now() >= end_) break;
      soughtNow_++;
      iterator_->Seek(prefixSuccessor(iterator_->key().ToString().substr(0, ends_[prefix])));
      if (budget.isSpent()) return rocksdb::Status::Incomplete();
    }
    if (iterator_->Valid() || !iterator_->status().ok()) break;
    sought_.push_back(std::exchange(soughtNow_, 0));
    iterator_->Seek(space_.low);
  }
  stage_ = Stage::DONE;
  const rocksdb::Status status = iterator_->status();
  return status.IsIncomplete() ? rocksdb::Status() : status;
}

// False: the iterator has failed.
bool IndexSample::readWindow(const Place& place) {
  iterator_->Seek(place.low);
  for (size_t skipped = 0; skipped < place.skippedEntries && iterator_->Valid(); skipped++) iterator_->Next();
  Window window;
  while (iterator_->Valid() && window.pairs < pairsOfWindow) {
    add(window);
    iterator_->Next();
  }
  if (!window.first.empty()) windows_.push_back(std::move(window));
  const rocksdb::Status status = iterator_->status();
  return status.ok() || status.IsIncomplete();
}

void IndexSample::add(Window& window) {
  const std::string_view key = toView(iterator_->key());
  const std::string_view value = toView(iterator_->value());
  findEnds(key, value);
  if (window.first.empty()) {
    window.first.assign(key);
    window.firstEnds = ends_;
    window.changes.assign(prefixes_, 0);
  } else {
    const size_t common = commonBytes(window.last, key);
    for (size_t prefix = 0; prefix < prefixes_; prefix++) {
      if (common < ends_[prefix]) window.changes[prefix]++;
    }
    window.pairs++;
  }
  window.last.assign(key);
  readEntries_++;
  readBytes_ += key.size() + value.size();
  if (index_ != 0 || !table_.row.isValid(value)) return;
  for (uint32_t column = 0; column < table_.row.columnCount(); column++) {
    if (table_.row.kind(column) != ColumnKind::BLOB || RowLayout::isNull(value, column)) continue;
    Reader blob(table_.row.value(value, column));
    if (blob.u8() != 1) continue;
    blob.u64();
    const uint64_t lengthBytes = blob.u64();
    if (!blob.failed()) readBlobBytes_ += lengthBytes;
  }
}

// Where the first parts of an entry's key end.
void IndexSample::findEnds(std::string_view key, std::string_view value) {
  ends_.assign(prefixes_, 0);
  size_t indexEnd = key.size();
  if (index_ != 0) {
    std::string_view primaryKey;
    if (!entryPrimaryKey(key, value, primaryKey)) return;
    if (primaryKey.end() == key.end()) indexEnd -= primaryKey.size();
  }
  size_t prefix = 0;
  const auto walk = [&](const std::vector<KeyPart>& parts, size_t from, size_t end) {
    size_t at = from;
    for (size_t part = 0; part + 1 < parts.size(); part++) {
      const std::optional<size_t> bytes = partBytes(table_.row, parts[part], key.substr(at, end - at));
      if (!bytes) break;
      at += *bytes;
      ends_[prefix + part] = at;
    }
    prefix += parts.size();
    ends_[prefix - 1] = end;
  };
  walk(table_.indexes[index_].parts, sizeof(uint32_t), indexEnd);
  if (prefix < prefixes_) walk(table_.indexes[0].parts, indexEnd, key.size());
}

// In order, and none twice.
void IndexSample::finish() {
  std::sort(windows_.begin(), windows_.end(),
            [](const Window& left, const Window& right) { return left.first < right.first; });
  std::vector<Window> apart;
  for (Window& window : windows_) {
    if (apart.empty() || apart.back().last < window.first) {
      apart.push_back(std::move(window));
    } else if (apart.back().pairs < window.pairs && apart.back().first == window.first) {
      apart.back() = std::move(window);
    }
  }
  windows_ = std::move(apart);
}

double IndexSample::entries() const {
  const auto read = static_cast<double>(readEntries_);
  return isWhole_ ? read : std::max(read, static_cast<double>(rows_));
}

uint64_t IndexSample::bytesPerEntry() const {
  return readEntries_ == 0 ? 0 : (readBytes_ + readEntries_ - 1) / readEntries_;
}

uint64_t IndexSample::blobBytesPerEntry() const {
  return readEntries_ == 0 ? 0 : (readBlobBytes_ + readEntries_ - 1) / readEntries_;
}

std::vector<double> IndexSample::distinct() const {
  std::vector<double> result(prefixes_, 0);
  if (windows_.empty() || windows_.front().first.empty()) return result;
  uint64_t pairs = 0;
  for (const Window& window : windows_) pairs += window.pairs;
  const double unread = entries() - 1 - static_cast<double>(pairs);
  const double entriesOfGap =
      windows_.size() > 1 ? std::max(unread, 0.0) / static_cast<double>(windows_.size() - 1) : 0;
  for (size_t prefix = 0; prefix < prefixes_; prefix++) {
    bool isKnown = true;
    double counted = 1;
    double gaps = 0;
    // Beside gaps with a change.
    double changesBeside = 0;
    double pairsBeside = 0;
    bool changedBefore = false;
    for (size_t i = 0; i < windows_.size(); i++) {
      const Window& window = windows_[i];
      isKnown = isKnown && window.firstEnds[prefix] != 0;
      counted += static_cast<double>(window.changes[prefix]);
      const bool changesBehind = i + 1 < windows_.size() && commonBytes(window.last, windows_[i + 1].first) <
                                                                windows_[i + 1].firstEnds[prefix];
      if (changesBehind) gaps++;
      if (changesBehind || changedBefore) {
        changesBeside += static_cast<double>(window.changes[prefix]);
        pairsBeside += static_cast<double>(window.pairs);
      }
      changedBefore = changesBehind;
    }
    const double suggested = pairsBeside > 0 ? changesBeside / pairsBeside * gaps * entriesOfGap : 0;
    counted += std::max(gaps, suggested);
    if (prefix < sought_.size()) {
      result[prefix] = static_cast<double>(sought_[prefix]);
    } else if (isKnown) {
      result[prefix] = std::min(counted, entries());
    }
  }
  return result;
}

}  // namespace vamos::store
