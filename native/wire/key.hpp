#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/row.hpp"

// Keys made from rows: src/protocol/FORMATS.md, section Key.
namespace vamos {

struct KeyPart {
  uint32_t column = 0;
  bool isDescending = false;
  bool isOpaque = false;  // its bytes are the connector's own: they can't be made from the row
  std::string levels;     // opaque: where its bytes end; empty: that is not known
};

// Appends a row's key of one index. None of the parts may be opaque, each must name a column of the layout
// that is no BLOB, and the row must be valid. Returns true if a part is NULL, so that the key is not checked
// for uniqueness.
bool appendKey(const RowLayout& layout, std::string_view row, std::span<const KeyPart> parts,
               std::string& key);

// Whether a key gives back, to the byte, what its row has in a column of this kind. A float does not: for -0
// the key has 0.
bool keyGivesBack(ColumnKind kind);

// Takes these parts off the front of a key and adds their values, as rows have them; those of floats are left
// out. The parts are as for appendKey. The key's bytes change on the way: the values stand in them. Returns
// false if they are not what appendKey makes.
bool takeKeyParts(const RowLayout& layout, std::span<const KeyPart> parts, std::span<char>& key,
                  std::vector<ColumnValue>& values);

// Returns how many of a key's first bytes are those of its first part. Nothing: where an opaque part ends is
// not known, or the key does not begin with such a part.
std::optional<size_t> partBytes(const RowLayout& layout, const KeyPart& part, std::string_view key);

}  // namespace vamos
