#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "wire/row.hpp"

// Keys made from rows: src/protocol/FORMATS.md, section Key.
namespace vamos {

struct KeyPart {
  uint32_t column = 0;
  bool isDescending = false;
  bool isOpaque = false;  // its bytes are the connector's own: they can't be made from the row
};

// Of one index. None of the parts may be opaque, each must name a column of the layout that is no BLOB, and
// the row must be valid. True: a part is NULL, so the key is not checked for uniqueness.
bool appendKey(const RowLayout& layout, std::string_view row, std::span<const KeyPart> parts,
               std::string& key);

}  // namespace vamos
