#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types.hpp"
#include "wire/batch.hpp"

namespace vamos::engine {

constexpr size_t maxWindowBytes = 256 << 20;

// The rows of a window (FORMATS.md) as the request wants them.
struct Projection {
  std::vector<uint32_t> columns;  // empty: all
  bool withKeys = false;

  // Each column of the table at most once.
  static bool isValid(const Table& table, const std::vector<uint32_t>& columns) {
    std::vector<bool> seen(table.row.columnCount());
    for (const uint32_t column : columns) {
      if (column >= seen.size() || seen[column]) return false;
      seen[column] = true;
    }
    return true;
  }

  // One mark a column of the table: those that it takes.
  std::vector<bool> marks(const Table& table) const {
    std::vector<bool> marked(table.row.columnCount(), columns.empty());
    for (const uint32_t column : columns) marked[column] = true;
    return marked;
  }

  // False: the stored row doesn't check.
  bool append(const Table& table, std::string_view primaryKey, std::string_view row,
              std::string& window) const {
    if (columns.empty()) {
      appendLengthPrefixed(window, row);
    } else {
      const size_t start = window.size();
      appendU32(window, 0);
      if (!table.row.project(row, columns, window)) return false;
      const auto lengthBytes = static_cast<uint32_t>(window.size() - start - 4);
      std::memcpy(window.data() + start, &lengthBytes, sizeof lengthBytes);
    }
    if (withKeys) appendLengthPrefixed(window, primaryKey);
    return true;
  }
};

}  // namespace vamos::engine
