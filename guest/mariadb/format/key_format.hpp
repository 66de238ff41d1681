#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mariadb/format/row_format.hpp"
#include "mariadb/format/sort_key.hpp"

namespace vamos::mariadb {

// How the value of a part of a key becomes bytes that sort as the values do.
enum class KeyCoding : uint8_t {
  SIGNED,  // a little-endian integer of the record
  UNSIGNED,
  FLOAT,
  DOUBLE,
  BYTES,    // the bytes of the record as they are
  ESCAPED,  // what FORMATS.md calls BYTES
  SORT_KEY  // the sort key under the collation
};

struct KeyPartFormat {
  uint32_t column = 0;  // the host's number for the column
  KeyCoding coding = KeyCoding::BYTES;
  Storage storage = Storage::BYTES;
  bool isDescending = false;
  bool isPrefix = false;
  bool isFilled = false;    // a CHAR in which each space at the end counts
  uint8_t nullMask = 0;     // 0: it is never NULL
  uint8_t lengthBytes = 0;  // BLOB: bytes of its length in the record
  uint32_t recordOffset = 0;
  uint32_t nullOffset = 0;
  uint32_t recordBytes = 0;    // a value of fixed width: its bytes in a record and in a search key
  uint32_t keyBytes = 0;       // an integer: its bytes in the key
  uint32_t maxCharacters = 0;  // the length of the prefix, in bytes if the character set is binary
  uint32_t searchBytes = 0;    // the part's bytes in a search key, with NULL byte and length
  CHARSET_INFO* charset = nullptr;
  SortKey sortKey;

  // The host can't make the part's bytes from the row.
  bool isOpaque() const { return coding == KeyCoding::SORT_KEY || isPrefix; }
};

// Makes the keys of an index.
class IndexFormat {
 public:
  // Returns false if the engine can't hold such an index; `refusal` then says why.
  bool make(const TABLE_SHARE& share, const KEY& key, const RowFormat& rows, std::string& refusal);

  const std::vector<KeyPartFormat>& parts() const { return parts_; }

  size_t maxKeyBytes() const;
  // The other index's keys have the bytes that this one's have.
  bool readsAs(const IndexFormat& other) const;

  // Appends the record's key. Returns whether it has a NULL part.
  bool encode(const uchar* record, std::string& out) const;
  // Appends the parts that are given of a search key. Returns whether these are all parts of the index. If
  // `primary` is given, parts of the primary key that follow those of the index (the server's extended keys)
  // are appended, too.
  bool encodeSearchKey(const uchar* key, key_part_map parts, const IndexFormat* primary,
                       std::string& out) const;
  // The two records have the same key.
  bool same(const uchar* left, const uchar* right) const;

 private:
  std::vector<KeyPartFormat> parts_;
};

}  // namespace vamos::mariadb
