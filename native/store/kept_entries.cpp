#include "store/kept_entries.hpp"

#include <algorithm>
#include <utility>

namespace vamos::store {

KeptEntries::KeptEntries(Transaction& transaction, const Table& table, std::vector<uint32_t> indexes)
    : transaction_(transaction), table_(table), indexes_(std::move(indexes)) {}

rocksdb::Status KeptEntries::find(std::string_view window, bool cachedOnly) {
  entries_.clear();
  if (indexes_.empty()) return {};
  View snapshot = transaction_.statementView();
  snapshot.writes = nullptr;
  std::vector<std::unordered_set<std::string_view>> missing(indexes_.size());
  Reader reader(window);
  while (!reader.atEnd()) {
    const uint32_t lengthBytes = reader.u32();
    if (lengthBytes == missingRow) continue;
    const std::string_view row = reader.take(lengthBytes);
    const std::string_view primaryKey = reader.lengthPrefixed(maxKeyBytes);
    const std::string rowKey = spaceKey(table_.indexes[0].space, primaryKey);
    rocksdb::Status status = snapshot.get(rowKey, cachedOnly, before_);
    if (!status.ok() && !status.IsNotFound()) return status;
    if (status.IsNotFound()) before_.Reset();
    for (size_t i = 0; i < indexes_.size(); i++) {
      if (!isInSnapshot(row, indexes_[i])) missing[i].insert(primaryKey);
    }
  }
  for (size_t i = 0; i < indexes_.size(); i++) {
    if (missing[i].empty()) continue;
    // As every scan: an iterator over the block cache alone may end too early.
    if (cachedOnly) return rocksdb::Status::Incomplete();
    rocksdb::Status status = scan(indexes_[i], missing[i]);
    if (!status.ok()) return status;
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

rocksdb::Status KeptEntries::scan(uint32_t index, const std::unordered_set<std::string_view>& primaryKeys) {
  const View view = transaction_.latestView();
  const KeyRange range = prefixRange(spaceKey(table_.indexes[index].space));
  const rocksdb::ReadOptions options = view.options(false);
  const std::unique_ptr<rocksdb::Iterator> iterator = view.iterate(options);
  size_t left = primaryKeys.size();
  for (iterator->Seek(range.low); left > 0 && iterator->Valid() && range.contains(toView(iterator->key()));
       iterator->Next()) {
    std::string_view primaryKey;
    if (!entryPrimaryKey(toView(iterator->key()), toView(iterator->value()), primaryKey)) {
      return rocksdb::Status::Corruption("an index entry without its primary key");
    }
    if (!primaryKeys.contains(primaryKey)) continue;
    entries_.emplace(primaryKey, Entry{iterator->key().ToString(), iterator->value().ToString()});
    left--;
  }
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
