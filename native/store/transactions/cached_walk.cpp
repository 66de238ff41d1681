#include "store/transactions/cached_walk.hpp"

#include <algorithm>

namespace vamos::store {
namespace {

// Entries that one call of the cache gives.
constexpr size_t loadedTogether = 16;
// Entries that are read in RocksDB together: few at first, for many walks want one.
constexpr size_t firstRead = 4;
constexpr size_t mostRead = 64;
// A walk over more has to find room in the cache, and may drive nothing out.
constexpr uint64_t longWalkEntries = 1000;

}  // namespace

CommittedEntries::CommittedEntries(const Database& database, const View& view, const KeyRange& range,
                                   const WalkOptions& options)
    : database_(database),
      cache_(*database.cache()),
      snapshot_(view.snapshot),
      range_(range),
      options_(options),
      moment_(view.snapshot ? view.snapshot->sequence : cache::latest),
      low_(range.low),
      high_(range.high),
      readTogether_(options.isLong ? mostRead : firstRead) {}

Found CommittedEntries::seek(std::string_view key) {
  return start(false, std::max<std::string_view>(key, range_.low));
}

Found CommittedEntries::seekBefore(std::string_view key) {
  return start(true, std::min<std::string_view>(key, range_.high));
}

Found CommittedEntries::start(bool isReverse, std::string_view position) {
  if (isReverse_ != isReverse) iteratorPosition_.clear();
  isReverse_ = isReverse;
  position_.assign(position);
  behind_ = Found::ROW;
  return load();
}

Found CommittedEntries::advance() { return ++index_ < entries_.count() ? Found::ROW : load(); }

Found CommittedEntries::load() {
  index_ = 0;
  const bool isOver = isReverse_ ? position_ <= range_.low : position_ >= range_.high;
  if (isOver || behind_ == Found::ABSENT) return Found::ABSENT;
  if (behind_ == Found::ROW) {
    behind_ = isReverse_ ? cache_.previous(position_, range_.low, moment_, loadedTogether, entries_)
                         : cache_.next(position_, range_.high, moment_, loadedTogether, entries_);
    if (entries_.count() > 0) {
      pass();
      return Found::ROW;
    }
    if (behind_ != Found::UNKNOWN) return behind_;
  }
  return options_.cachedOnly ? Found::UNKNOWN : read();
}

void CommittedEntries::pass() {
  position_.assign(entries_[entries_.count() - 1].key);
  if (!isReverse_) position_.push_back('\0');
}

Found CommittedEntries::read() {
  seekIterator();
  entries_.clear();
  while (iterator_->Valid() && !entries_.isFull(readTogether_)) {
    entries_.add(toView(iterator_->key()), toView(iterator_->value()));
    if (isReverse_) {
      iterator_->Prev();
    } else {
      iterator_->Next();
    }
  }
  const bool isEnd = !iterator_->Valid();
  if (isEnd && !iterator_->status().ok()) database_.refuseFor(iterator_->status());
  readCount_ += entries_.count();
  readTogether_ = std::min(2 * readTogether_, mostRead);
  fill(isEnd);
  behind_ = isEnd ? Found::ABSENT : Found::ROW;
  if (entries_.count() == 0) return Found::ABSENT;
  pass();
  iteratorPosition_ = position_;
  return Found::ROW;
}

void CommittedEntries::seekIterator() {
  if (!iterator_) {
    // Before the iterator begins: what is committed meanwhile is dated later.
    asOf_ = snapshot_ ? moment_ : database_.base().GetLatestSequenceNumber();
    rocksdb::ReadOptions options = RocksSource::readOptions({nullptr, nullptr, snapshot_}, false);
    if (options_.isLong && !options_.isReverse) options.readahead_size = RocksSource::longWalkReadaheadBytes;
    options.iterate_lower_bound = &low_;
    options.iterate_upper_bound = &high_;
    iterator_.reset(database_.base().NewIterator(options));
  }
  if (!iteratorPosition_.empty() && iteratorPosition_ == position_) return;
  if (!isReverse_) {
    iterator_->Seek(position_);
  } else {
    iterator_->SeekForPrev(position_);
    if (iterator_->Valid() && toView(iterator_->key()) >= position_) iterator_->Prev();
  }
}

void CommittedEntries::fill(bool isEnd) {
  const bool isLong = options_.isLong || readCount_ > longWalkEntries;
  if (isLong && !cache_.hasRoom(2 * cache::Entries::maxBytes)) return;
  if (!isReverse_) {
    std::string high = isEnd ? range_.high : entries_[entries_.count() - 1].key;
    if (!isEnd) high.push_back('\0');
    cache_.fill(position_, high, asOf_, entries_);
    return;
  }
  ascending_.clear();
  for (size_t i = entries_.count(); i > 0; i--) ascending_.add(entries_[i - 1].key, entries_[i - 1].value);
  cache_.fill(isEnd ? range_.low : entries_[entries_.count() - 1].key, position_, asOf_, ascending_);
}

CachedWalk::CachedWalk(const Database& database, const View& view, KeyRange range, const WalkOptions& options)
    : range_(std::move(range)), committed_(database, view, range_, options) {
  const auto* writes = static_cast<const RocksWrites*>(view.writes);
  if (writes != nullptr && !writes->isEmpty()) {
    own_.reset(writes->transaction().GetWriteBatch()->NewIterator());
  }
}

Found CachedWalk::seek(std::string_view key) {
  isReverse_ = false;
  const std::string start(std::max<std::string_view>(key, range_.low));
  committedFound_ = committed_.seek(start);
  if (own_) own_->Seek(start);
  return settle();
}

Found CachedWalk::seekBefore(std::string_view key) {
  isReverse_ = true;
  const std::string start(std::min<std::string_view>(key, range_.high));
  committedFound_ = committed_.seekBefore(start);
  if (own_) {
    own_->SeekForPrev(start);
    while (own_->Valid() && toView(own_->Entry().key) >= start) own_->Prev();
  }
  return settle();
}

Found CachedWalk::next() {
  if (isReverse_) return seek(std::string(key()) + '\0');
  if (isAtCommitted_) committedFound_ = committed_.advance();
  return settle();
}

Found CachedWalk::previous() {
  if (!isReverse_) return seekBefore(std::string(key()));
  if (isAtCommitted_) committedFound_ = committed_.advance();
  return settle();
}

Found CachedWalk::settle() {
  isAtCommitted_ = false;
  while (committedFound_ != Found::UNKNOWN) {
    const bool isCommitted = committedFound_ == Found::ROW;
    if (!hasOwn() && !isCommitted) return Found::ABSENT;
    const std::string_view own = hasOwn() ? toView(own_->Entry().key) : std::string_view();
    const bool isOwn =
        hasOwn() && (!isCommitted || (isReverse_ ? own >= committed_.key() : own <= committed_.key()));
    if (!isOwn) {
      isAtCommitted_ = true;
      return at(committed_.key(), committed_.value());
    }
    const bool isInPlace = isCommitted && own == committed_.key();
    const bool isPut = takeOwn();
    if (isInPlace) committedFound_ = committed_.advance();
    if (isPut) return at(ownKey_, ownValue_);
  }
  return Found::UNKNOWN;
}

bool CachedWalk::hasOwn() const {
  return own_ && own_->Valid() && range_.contains(toView(own_->Entry().key));
}

bool CachedWalk::takeOwn() {
  ownKey_.assign(toView(own_->Entry().key));
  bool isFirst = true;
  bool isPut = false;
  // A key may stand there more than once. The last one in the order of the keys counts.
  for (; own_->Valid() && toView(own_->Entry().key) == ownKey_; isReverse_ ? own_->Prev() : own_->Next()) {
    if (isReverse_ && !std::exchange(isFirst, false)) continue;
    const rocksdb::WriteEntry entry = own_->Entry();
    isPut = entry.type == rocksdb::kPutRecord;
    if (isPut) ownValue_.assign(toView(entry.value));
  }
  return isPut;
}

}  // namespace vamos::store
