#include "store/transactions/rocks_source.hpp"

#include <rocksdb/perf_context.h>

#include "store/transactions/cache_update.hpp"
#include "store/transactions/write_order.hpp"

namespace vamos::store {

using namespace engine;
namespace {

rocksdb::Transaction* transactionOf(const View& view) {
  return view.writes == nullptr ? nullptr : &static_cast<const RocksWrites*>(view.writes)->transaction();
}

struct PinnedValues : StoredValues::Holder {
  std::array<rocksdb::Slice, StoredValues::maxCount> keys;
  std::array<rocksdb::PinnableSlice, StoredValues::maxCount> values;
  std::array<rocksdb::Status, StoredValues::maxCount> statuses;
};

class RocksWalk : public Walk {
 public:
  RocksWalk(const Database& database, const View& view, const KeyRange& range, const WalkOptions& options)
      : database_(database),
        range_(range),
        low_(range_.low),
        high_(range_.high),
        options_(RocksSource::readOptions(view, options.cachedOnly)) {
    if (options.isLong && !options.isReverse) options_.readahead_size = RocksSource::longWalkReadaheadBytes;
    options_.iterate_lower_bound = &low_;
    // Backwards, the seek itself keeps below the bound. And with a bound, an iterator over the transaction's
    // own writes that meets one of them there ends, where nothing committed is before it (seen with
    // RocksDB 7.8.3).
    options_.iterate_upper_bound = options.isReverse ? nullptr : &high_;
    rocksdb::Transaction* own = transactionOf(view);
    iterator_.reset(own != nullptr ? own->GetIterator(options_) : database.base().NewIterator(options_));
  }

  Found seek(std::string_view key) override {
    iterator_->Seek(toSlice(key));
    return position();
  }
  Found seekBefore(std::string_view key) override {
    iterator_->SeekForPrev(toSlice(key));
    if (iterator_->Valid() && toView(iterator_->key()) >= key) iterator_->Prev();
    return position();
  }
  Found next() override {
    iterator_->Next();
    return position();
  }
  Found previous() override {
    iterator_->Prev();
    return position();
  }

 private:
  Found position() {
    if (iterator_->Valid()) {
      const std::string_view key = toView(iterator_->key());
      // The transaction's own writes don't know of the bounds.
      return range_.contains(key) ? at(key, toView(iterator_->value())) : Found::ABSENT;
    }
    const rocksdb::Status status = iterator_->status();
    if (status.ok()) return Found::ABSENT;
    if (status.IsIncomplete()) return Found::UNKNOWN;
    database_.refuseFor(status);
  }

  const Database& database_;
  const KeyRange range_;
  const rocksdb::Slice low_;
  const rocksdb::Slice high_;
  rocksdb::ReadOptions options_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

}  // namespace

void RocksWrites::check(const rocksdb::Status& status) const {
  if (!status.ok()) database_.refuseFor(status);
}

void RocksWrites::checkEnd(rocksdb::Status status) const { check(database_.watch(std::move(status))); }

void RocksWrites::put(std::string_view key, std::string_view value) {
  check(transaction_->Put(toSlice(key), toSlice(value)));
}

void RocksWrites::remove(std::string_view key) { check(transaction_->Delete(toSlice(key))); }

void RocksWrites::attach(std::string_view key, std::string_view value) {
  transaction_->GetWriteBatch()->SetMaxBytes(0);
  transaction_->DisableIndexing();
  const rocksdb::Status status = transaction_->Put(toSlice(key), toSlice(value));
  transaction_->EnableIndexing();
  check(status);
  attached_.emplace_back(key, value);
}

bool RocksWrites::isEmpty() const { return transaction_->GetWriteBatch()->GetWriteBatch()->Count() == 0; }

size_t RocksWrites::bytes() const {
  return isEmpty() ? 0 : transaction_->GetWriteBatch()->GetWriteBatch()->GetDataSize();
}

bool RocksWrites::has(std::string_view key) const {
  if (!own_) own_.reset(transaction_->GetWriteBatch()->NewIterator());
  own_->Seek(toSlice(key));
  return own_->Valid() && toView(own_->Entry().key) == key;
}

bool RocksWrites::find(std::string_view key, std::optional<std::string_view>& value) const {
  if (isEmpty()) return false;
  bool isFound = false;
  // Where a key stands there more than once, the last one counts.
  for (bool isThere = has(key); isThere; isThere = own_->Valid() && toView(own_->Entry().key) == key) {
    const rocksdb::WriteEntry entry = own_->Entry();
    value = entry.type == rocksdb::kPutRecord ? std::optional(toView(entry.value)) : std::nullopt;
    isFound = true;
    own_->Next();
  }
  return isFound;
}

void RocksWrites::forEach(const Visit& visit) const {
  const std::unique_ptr<rocksdb::WBWIIterator> own(transaction_->GetWriteBatch()->NewIterator());
  for (own->SeekToFirst(); own->Valid(); own->Next()) {
    const rocksdb::WriteEntry entry = own->Entry();
    const bool isPut = entry.type == rocksdb::kPutRecord;
    visit(toView(entry.key), isPut ? std::optional(toView(entry.value)) : std::nullopt);
  }
  check(own->status());
}

void RocksWrites::undo() {
  own_.reset();
  transaction_->RollbackToSavePoint();
}

void RocksWrites::commit() {
  CacheUpdate update(database_, bytes());
  if (update.isNeeded()) {
    forEach([&](std::string_view key, std::optional<std::string_view> value) {
      update.change(key, value ? &*value : nullptr);
    });
  }
  write();
  update.end();
}

void RocksWrites::write() {
  rocksdb::WriteBatchWithIndex& batch = *transaction_->GetWriteBatch();
  const rocksdb::WriteBatch& unsorted = *batch.GetWriteBatch();
  const bool isPrepared = transaction_->GetState() == rocksdb::Transaction::PREPARED;
  if (!isPrepared && unsorted.Count() >= minSortedWrites) {
    rocksdb::WriteBatch sorted(unsorted.GetDataSize());
    // What was attached is not in the index that is sorted.
    rocksdb::Status status;
    for (const auto& [key, value] : attached_) {
      if (status.ok()) status = sorted.Put(key, value);
    }
    check(status);
    if (sortWrites(batch, sorted)) return checkEnd(database_.base().Write({}, &sorted));
  }
  checkEnd(transaction_->Commit());
}

void RocksWrites::prepare(const std::string& xid) {
  const auto guard = database_.lockWrites();
  rocksdb::Status status = transaction_->SetName(xid);
  if (status.ok()) status = transaction_->Prepare();
  checkEnd(std::move(status));
}

void RocksWrites::rollbackPrepared() {
  const auto guard = database_.lockWrites();
  checkEnd(transaction_->Rollback());
}

std::shared_ptr<const Snapshot> RocksSource::snapshot() { return std::make_shared<RocksSnapshot>(base_); }

std::unique_ptr<Writes> RocksSource::begin() {
  return std::make_unique<RocksWrites>(database_, database_.begin());
}

rocksdb::ReadOptions RocksSource::readOptions(const View& view, bool cachedOnly) {
  rocksdb::ReadOptions options;
  if (cachedOnly) options.read_tier = rocksdb::kBlockCacheTier;
  if (view.snapshot) options.snapshot = static_cast<const RocksSnapshot&>(*view.snapshot).get();
  return options;
}

Found RocksSource::found(const rocksdb::Status& status) const {
  if (status.ok()) return Found::ROW;
  if (status.IsNotFound()) return Found::ABSENT;
  if (status.IsIncomplete()) return Found::UNKNOWN;
  database_.refuseFor(status);
}

Found RocksSource::get(const View& view, std::string_view key, bool cachedOnly, StoredValue& value) {
  auto& pinned = value.holder<rocksdb::PinnableSlice>();
  pinned.Reset();
  rocksdb::ColumnFamilyHandle* family = base_.DefaultColumnFamily();
  const rocksdb::ReadOptions options = readOptions(view, cachedOnly);
  rocksdb::Transaction* own = transactionOf(view);
  const rocksdb::Status status = own != nullptr ? own->Get(options, family, toSlice(key), &pinned)
                                                : base_.Get(options, family, toSlice(key), &pinned);
  const Found result = found(status);
  value.set(result == Found::ROW ? toView(pinned) : std::string_view());
  return result;
}

void RocksSource::multiGet(const View& view, std::span<const std::string> keys, bool cachedOnly,
                           StoredValues& values) {
  if (!values.holder) values.holder = std::make_unique<PinnedValues>();
  auto& pinned = static_cast<PinnedValues&>(*values.holder);
  for (size_t i = 0; i < keys.size(); i++) {
    pinned.keys[i] = keys[i];
    pinned.values[i].Reset();
  }
  rocksdb::ColumnFamilyHandle* family = base_.DefaultColumnFamily();
  const rocksdb::ReadOptions options = readOptions(view, cachedOnly);
  if (rocksdb::Transaction* own = transactionOf(view); own != nullptr) {
    own->MultiGet(options, family, keys.size(), pinned.keys.data(), pinned.values.data(),
                  pinned.statuses.data());
  } else {
    base_.MultiGet(options, family, keys.size(), pinned.keys.data(), pinned.values.data(),
                   pinned.statuses.data());
  }
  for (size_t i = 0; i < keys.size(); i++) {
    values.found[i] = found(pinned.statuses[i]);
    values.bytes[i] = toView(pinned.values[i]);
  }
}

std::unique_ptr<Walk> RocksSource::walk(const View& view, const KeyRange& range, const WalkOptions& options) {
  return std::make_unique<RocksWalk>(database_, view, range, options);
}

Outcome RocksSource::corruption(std::string_view what) const {
  return database_.failure(rocksdb::Status::Corruption(toSlice(what)));
}

uint64_t RocksSource::steppedOver() const {
  return rocksdb::get_perf_context()->internal_delete_skipped_count;
}

void RocksSource::scanned(const KeyRange& range, uint64_t rows, uint64_t steppedOver) {
  database_.addTombstones(steppedOver, rows, range);
}

}  // namespace vamos::store
