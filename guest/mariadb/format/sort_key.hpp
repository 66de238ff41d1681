#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace vamos::mariadb {

// Makes bytes of strings, whose memcmp order is that of the collation. No string's bytes begin with the bytes
// of another string, so that further parts of a key can follow.
class SortKey {
 public:
  SortKey() = default;
  // isPadded: the values count as filled up with spaces, whatever the collation says, as those of CHAR do.
  SortKey(CHARSET_INFO* charset, bool isPadded);

  // How many bytes a text of this size becomes, at most.
  size_t maxBytes(size_t textBytes) const;
  void append(std::string_view text, std::string& out) const;
  // Tells the host how to find the end of a text's bytes (FORMATS.md, section Key).
  std::string levels() const;

 private:
  // The weights that the collation compares first, second, and so on.
  struct Level {
    uint flags = 0;      // the flags for strnxfrm
    uint unitBytes = 0;  // PAD SPACE: bytes of a space's weight; 0: the shorter string is the smaller one
    uint8_t pad[8] = {};
  };
  enum class Source : uint8_t { WEIGHTS, OWN_BYTES, TRIMMED_WEIGHTS };

  CHARSET_INFO* charset_ = nullptr;
  Source source_ = Source::WEIGHTS;
  uint8_t levelCount_ = 0;
  uint32_t bytesPerByte_ = 0;  // bytes of weights that a byte of a string becomes, at most
  Level levels_[4];
};

}  // namespace vamos::mariadb
