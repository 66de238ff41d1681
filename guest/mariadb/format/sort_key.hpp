#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace vamos::mariadb {

// Strings as bytes whose memcmp order is their collation's. No string's bytes are a prefix of another's, so
// that parts of a key can follow.
class SortKey {
 public:
  SortKey() = default;
  // isPadded: of values that count as filled up with spaces, whatever the collation (CHAR).
  SortKey(CHARSET_INFO* charset, bool isPadded);

  // The most bytes of a text of so many.
  size_t maxBytes(size_t textBytes) const;
  void append(std::string_view text, std::string& out) const;
  // Where a text's bytes end, as a host is told (FORMATS.md, section Key).
  std::string levels() const;

 private:
  // Weights that the collation compares first, second, ….
  struct Level {
    uint flags = 0;      // of strnxfrm
    uint unitBytes = 0;  // PAD SPACE: of the space's weight; 0: the shorter string is the smaller
    uint8_t pad[8] = {};
  };
  enum class Source : uint8_t { WEIGHTS, OWN_BYTES, TRIMMED_WEIGHTS };

  CHARSET_INFO* charset_ = nullptr;
  Source source_ = Source::WEIGHTS;
  uint8_t levelCount_ = 0;
  uint32_t bytesPerByte_ = 0;  // the most that a string's weights take
  Level levels_[4];
};

}  // namespace vamos::mariadb
