#include "engine/rows/kept_entries.hpp"

#include <algorithm>
#include <utility>

namespace vamos::engine {
namespace {

// The clock is asked once in so many entries.
constexpr size_t entriesBetweenChecks = 16;

}  // namespace

KeptEntries::KeptEntries(Transaction& transaction, Source& source, const Table& table,
                         std::vector<uint32_t> indexes)
    : transaction_(transaction), source_(source), table_(table), indexes_(std::move(indexes)) {}

void KeptEntries::begin(std::string_view window) {
  entries_.clear();
  searches_.clear();
  for (const uint32_t index : indexes_) {
    searches_.push_back({{}, prefixRange(spaceKey(table_.indexes[index].space))});
  }
  window_ = window;
  offset_ = 0;
}

Progress KeptEntries::find(const Budget& budget) {
  if (indexes_.empty()) return Progress::DONE;
  Progress progress = compareRows(budget);
  for (Search& search : searches_) {
    if (progress == Progress::DONE && !search.primaryKeys.empty()) progress = scan(search, budget);
  }
  return progress;
}

Progress KeptEntries::compareRows(const Budget& budget) {
  View snapshot = transaction_.statementView();
  snapshot.writes = nullptr;
  Reader reader(window_, offset_);
  while (!reader.atEnd()) {
    const uint32_t lengthBytes = reader.u32();
    if (lengthBytes != missingRow) {
      const std::string_view row = reader.take(lengthBytes);
      const std::string_view primaryKey = reader.lengthPrefixed(maxKeyBytes);
      const std::string rowKey = spaceKey(table_.indexes[0].space, primaryKey);
      const Found found = snapshot.get(rowKey, budget.cachedOnly, before_);
      if (found == Found::UNKNOWN) return Progress::AGAIN;
      const std::string_view before = found == Found::ROW ? before_.bytes() : std::string_view();
      for (size_t i = 0; i < indexes_.size(); i++) {
        if (!hasSameParts(row, before, indexes_[i])) searches_[i].primaryKeys.insert(primaryKey);
      }
    }
    offset_ = reader.offset();
    if (budget.isSpent() && !reader.atEnd()) return Progress::AGAIN;
  }
  return Progress::DONE;
}

bool KeptEntries::hasSameParts(std::string_view row, std::string_view before, uint32_t index) const {
  if (!table_.row.isValid(row) || !table_.row.isValid(before)) return false;
  const std::vector<KeyPart>& parts = table_.indexes[index].parts;
  return std::all_of(parts.begin(), parts.end(), [&](const KeyPart& part) {
    return RowLayout::isNull(row, part.column) == RowLayout::isNull(before, part.column) &&
           table_.row.value(row, part.column) == table_.row.value(before, part.column);
  });
}

Progress KeptEntries::scan(Search& search, const Budget& budget) {
  if (budget.cachedOnly && !source_.canWalkCached()) return Progress::AGAIN;
  const std::unique_ptr<Walk> walk =
      transaction_.latestView().walk(search.rest, {.cachedOnly = budget.cachedOnly});
  size_t scanned = 0;
  Found found = walk->seek(search.rest.low);
  for (; found == Found::ROW && !search.primaryKeys.empty(); found = walk->next()) {
    search.rest.low = walk->key();
    if (++scanned % entriesBetweenChecks == 0 && budget.isSpent()) return Progress::AGAIN;
    std::string_view primaryKey;
    if (!entryPrimaryKey(walk->key(), walk->value(), primaryKey)) {
      Outcome outcome = source_.corruption("an index entry without its primary key");
      refuse(outcome.code, std::move(outcome.message));
    }
    const auto row = search.primaryKeys.find(primaryKey);
    if (row == search.primaryKeys.end()) continue;
    entries_.emplace(primaryKey, Entry{std::string(walk->key()), std::string(walk->value())});
    search.primaryKeys.erase(row);
  }
  if (found == Found::UNKNOWN) return Progress::AGAIN;
  // What was not found is not there.
  search.primaryKeys.clear();
  return Progress::DONE;
}

void KeptEntries::write(std::string_view primaryKey) {
  if (entries_.empty()) return;
  const auto [begin, end] = entries_.equal_range(std::string(primaryKey));
  for (auto entry = begin; entry != end; ++entry) {
    transaction_.writes().put(entry->second.key, entry->second.value);
  }
}

}  // namespace vamos::engine
