#include "mariadb/session/added_rows.hpp"

#include <algorithm>

namespace vamos::mariadb {

namespace {

// A statement writes to few tables, with triggers and partitions in turn. Its entries are searched for a
// table this far back; behind that the table gets another entry.
constexpr size_t maxSearched = 64;

}  // namespace

void RowsOfTransaction::add(const std::shared_ptr<AddedRows>& table, uint32_t statement, int64_t added) {
  table->uncommitted.fetch_add(added, std::memory_order_relaxed);
  const size_t first = entries_.size() - std::min(entries_.size(), maxSearched);
  for (size_t place = entries_.size(); place > first; --place) {
    Entry& entry = entries_[place - 1];
    if (entry.statement != statement) break;
    if (entry.table != table) continue;
    entry.added += added;
    return;
  }
  entries_.push_back({table, statement, added});
}

void RowsOfTransaction::takeBack(size_t mark) {
  while (entries_.size() > mark) {
    const Entry& last = entries_.back();
    last.table->uncommitted.fetch_sub(last.added, std::memory_order_relaxed);
    entries_.pop_back();
  }
}

void RowsOfTransaction::takeBackStatement(uint32_t statement) {
  size_t mark = entries_.size();
  while (mark > 0 && entries_[mark - 1].statement == statement) --mark;
  takeBack(mark);
}

void RowsOfTransaction::commit() {
  for (const Entry& entry : entries_) {
    entry.table->committed.fetch_add(entry.added, std::memory_order_relaxed);
    entry.table->uncommitted.fetch_sub(entry.added, std::memory_order_relaxed);
  }
  entries_.clear();
}

}  // namespace vamos::mariadb
