#include "store/rows/kept_entries.hpp"

#include <algorithm>
#include <utility>

namespace vamos::store {
namespace {

// The clock is asked once in so many entries.
constexpr size_t entriesBetweenChecks = 16;

}  // namespace

KeptEntries::KeptEntries(Transaction& transaction, const Table& table, std::vector<uint32_t> indexes)
    : transaction_(transaction), table_(table), indexes_(std::move(indexes)) {}

void KeptEntries::begin(std::string_view window) {
  entries_.clear();
  searches_.clear();
  for (const uint32_t index : indexes_) {
    searches_.push_back({{}, prefixRange(spaceKey(table_.indexes[index].space))});
  }
  window_ = window;
  offset_ = 0;
}

rocksdb::Status KeptEntries::find(const Budget& budget) {
  if (indexes_.empty()) return {};
  rocksdb::Status status = compareRows(budget);
  for (Search& search : searches_) {
    if (status.ok() && !search.primaryKeys.empty()) status = scan(search, budget);
  }
  return status;
}

rocksdb::Status KeptEntries::compareRows(const Budget& budget) {
  View snapshot = transaction_.statementView();
  snapshot.writes = nullptr;
  Reader reader(window_, offset_);
  while (!reader.atEnd()) {
    const uint32_t lengthBytes = reader.u32();
    if (lengthBytes != missingRow) {
      const std::string_view row = reader.take(lengthBytes);
      const std::string_view primaryKey = reader.lengthPrefixed(maxKeyBytes);
      const std::string rowKey = spaceKey(table_.indexes[0].space, primaryKey);
      rocksdb::Status status = snapshot.get(rowKey, budget.cachedOnly, before_);
      if (!status.ok() && !status.IsNotFound()) return status;
      if (status.IsNotFound()) before_.Reset();
      for (size_t i = 0; i < indexes_.size(); i++) {
        if (!isInSnapshot(row, indexes_[i])) searches_[i].primaryKeys.insert(primaryKey);
      }
    }
    offset_ = reader.offset();
    if (budget.isSpent() && !reader.atEnd()) return rocksdb::Status::Incomplete();
  }
  return {};
}

bool KeptEntries::isInSnapshot(std::string_view row, uint32_t index) const {
  const std::string_view before = toView(before_);
  if (!table_.row.isValid(row) || !table_.row.isValid(before)) return false;
  const std::vector<KeyPart>& parts = table_.indexes[index].parts;
  return std::all_of(parts.begin(), parts.end(), [&](const KeyPart& part) {
    return RowLayout::isNull(row, part.column) == RowLayout::isNull(before, part.column) &&
           table_.row.value(row, part.column) == table_.row.value(before, part.column);
  });
}

rocksdb::Status KeptEntries::scan(Search& search, const Budget& budget) {
  // As every scan: an iterator over the block cache alone may end too early.
  if (budget.cachedOnly) return rocksdb::Status::Incomplete();
  const View view = transaction_.latestView();
  const rocksdb::ReadOptions options = view.options(false);
  const std::unique_ptr<rocksdb::Iterator> iterator = view.iterate(options);
  size_t scanned = 0;
  for (iterator->Seek(search.rest.low);
       !search.primaryKeys.empty() && iterator->Valid() && search.rest.contains(toView(iterator->key()));
       iterator->Next()) {
    if (++scanned % entriesBetweenChecks == 0 && budget.isSpent()) {
      search.rest.low = iterator->key().ToString();
      return rocksdb::Status::Incomplete();
    }
    std::string_view primaryKey;
    if (!entryPrimaryKey(toView(iterator->key()), toView(iterator->value()), primaryKey)) {
      return rocksdb::Status::Corruption("an index entry without its primary key");
    }
    const auto found = search.primaryKeys.find(primaryKey);
    if (found == search.primaryKeys.end()) continue;
    entries_.emplace(primaryKey, Entry{iterator->key().ToString(), iterator->value().ToString()});
    search.primaryKeys.erase(found);
  }
  // What was not found is not there.
  if (iterator->status().ok()) search.primaryKeys.clear();
  return iterator->status();
}

rocksdb::Status KeptEntries::write(std::string_view primaryKey) {
  rocksdb::Status status;
  if (entries_.empty()) return status;
  const auto [begin, end] = entries_.equal_range(std::string(primaryKey));
  for (auto entry = begin; entry != end && status.ok(); ++entry) {
    status = transaction_.writes().Put(entry->second.key, entry->second.value);
  }
  return status;
}

}  // namespace vamos::store
