#include "engine/rows/index_rows.hpp"

#include <algorithm>
#include <utility>

#include "wire/key.hpp"

namespace vamos::engine {
namespace {

// Each open cursor keeps one.
constexpr size_t maxEmptyRowBytes = 16 << 10;

// As many of an index's parts as have something of what is needed, which is crossed out. Where an opaque part
// ends, nobody here knows.
std::span<const KeyPart> takeParts(const RowLayout& layout, std::span<const KeyPart> parts,
                                   std::vector<bool>& needed) {
  size_t taken = 0;
  for (size_t i = 0; i < parts.size() && !parts[i].isOpaque; i++) {
    const uint32_t column = parts[i].column;
    if (needed[column] && keyGivesBack(layout.kind(column))) {
      needed[column] = false;
      taken = i + 1;
    }
  }
  return parts.first(taken);
}

}  // namespace

std::optional<IndexRows> IndexRows::make(const Table& table, uint32_t index, std::vector<bool> needed) {
  IndexRows made(table.row);
  made.indexParts_ = takeParts(table.row, table.indexes[index].parts, needed);
  made.primaryParts_ = takeParts(table.row, table.indexes[0].parts, needed);
  const bool isEnough = std::find(needed.begin(), needed.end(), true) == needed.end();
  if (!isEnough || made.emptyRow_.size() > maxEmptyRowBytes) return std::nullopt;
  return made;
}

std::optional<std::string_view> IndexRows::row(std::string_view entry, std::string_view primaryKey) {
  if (indexParts_.empty() && primaryParts_.empty()) return emptyRow_;
  values_.clear();
  indexKey_.assign(entry.substr(sizeof(uint32_t)));
  primaryKey_.assign(primaryKey);
  std::span<char> indexBytes(indexKey_);
  std::span<char> primaryBytes(primaryKey_);
  if (!takeKeyParts(*layout_, indexParts_, indexBytes, values_) ||
      !takeKeyParts(*layout_, primaryParts_, primaryBytes, values_)) {
    return std::nullopt;
  }
  row_ = layout_->change(emptyRow_, values_);
  return row_;
}

}  // namespace vamos::engine
