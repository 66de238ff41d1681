#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "mariadb/format/row_format.hpp"

namespace vamos::mariadb {

// Rows that a statement asked the position of, by primary key: it will want most of them again (a sort by
// position, an update of the key that is scanned), and each would cost a request. Bounded: what finds no room
// is read again.
class Positions {
 public:
  void remember(std::string_view primaryKey, std::string_view row, const Projection& projection) {
    if (rows_.empty()) projection_ = projection;
    if (projection.columns != projection_.columns || bytes_ + primaryKey.size() + row.size() > maxBytes)
      return;
    const auto [place, isNew] = rows_.try_emplace(std::string(primaryKey), row);
    if (isNew) bytes_ += primaryKey.size() + row.size() + overheadBytes;
  }
  // Nothing, or the row, which stays where it is until clear() or forget().
  const std::string* find(std::string_view primaryKey) const {
    const auto found = rows_.find(std::string(primaryKey));
    return found == rows_.end() ? nullptr : &found->second;
  }
  // What the rows hold.
  const Projection& projection() const { return projection_; }
  // The row changes. Its bytes stay until the next one does: a record may still point to its blobs.
  void forget(std::string_view primaryKey) {
    if (!rows_.empty()) changed_ = rows_.extract(std::string(primaryKey));
  }
  void clear() {
    rows_.clear();
    bytes_ = 0;
  }

 private:
  static constexpr size_t maxBytes = 16 << 20;
  static constexpr size_t overheadBytes = 64;

  std::unordered_map<std::string, std::string> rows_;
  std::unordered_map<std::string, std::string>::node_type changed_;
  Projection projection_;
  size_t bytes_ = 0;
};

}  // namespace vamos::mariadb
