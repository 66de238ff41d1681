#pragma once

#include <string>
#include <string_view>

#include "engine/types.hpp"

namespace vamos::engine {

// Makes the keys of a table's entries from its rows. Where it can't make those of an index, the connector
// has to send them, and requests that would need them are refused or search for them.
class KeyMaker {
 public:
  KeyMaker() = default;
  virtual ~KeyMaker() = default;
  KeyMaker(const KeyMaker&) = delete;
  KeyMaker& operator=(const KeyMaker&) = delete;

  virtual bool canMake(const IndexLayout& index) const = 0;
  // Appends the key; true: it has a NULL. The row is valid, and the index one whose keys it can make.
  virtual bool make(const Table& table, const IndexLayout& index, std::string_view row,
                    std::string& key) const = 0;
};

// From the layouts of columns and indexes alone: all keys but those with opaque parts.
class LayoutKeyMaker : public KeyMaker {
 public:
  bool canMake(const IndexLayout& index) const override { return !index.isOpaque(); }
  bool make(const Table& table, const IndexLayout& index, std::string_view row,
            std::string& key) const override {
    return appendKey(table.row, row, index.parts, key);
  }
};

}  // namespace vamos::engine
