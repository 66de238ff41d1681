#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types.hpp"

namespace vamos::engine {

// Makes rows from the entries of a secondary index alone, where the bytes of its keys and of the primary key
// give back all columns that a read needs.
//
// What it makes is what the row has: an entry comes and goes in the transactions that change its row, a read
// sees both at one snapshot, and the bytes of a part that is not opaque have but one value. Only over its own
// writes a transaction may see entries that its rows have no more (another one's commit after the snapshot
// removed them); View::ownsEntry tells them, and RowWriter writes those that it would miss.
class IndexRows {
 public:
  // needed: one a column of the table. Nothing: only the row has them all, or the table's
  // fixed columns are very wide. The table must outlive it.
  static std::optional<IndexRows> make(const Table& table, uint32_t index, std::vector<bool> needed);

  // A valid row, the needed columns as in the table's own, of others any; it stands until the next call.
  // Nothing: the bytes are not those of such keys, so the row itself has to be read.
  std::optional<std::string_view> row(std::string_view entry, std::string_view primaryKey);

 private:
  explicit IndexRows(const RowLayout& layout) : layout_(&layout), emptyRow_(layout.emptyRow()) {}

  const RowLayout* layout_;
  // As many as it takes, from the first on.
  std::span<const KeyPart> indexParts_;
  std::span<const KeyPart> primaryParts_;
  std::string emptyRow_;
  std::vector<ColumnValue> values_;
  std::string indexKey_;  // the values stand in it
  std::string primaryKey_;
  std::string row_;
};

}  // namespace vamos::engine
