#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mariadb/format/row_format.hpp"
#include "mariadb/format/sort_key.hpp"

namespace vamos::mariadb {

// How a part's value becomes bytes that sort.
enum class KeyCoding : uint8_t {
  SIGNED,  // little-endian integers of the record
  UNSIGNED,
  FLOAT,
  DOUBLE,
  BYTES,    // as they are
  ESCAPED,  // FORMATS.md's BYTES
  SORT_KEY  // by the collation
};

struct KeyPartFormat {
  uint32_t column = 0;  // the host's
  KeyCoding coding = KeyCoding::BYTES;
  Storage storage = Storage::BYTES;
  bool isDescending = false;
  bool isPrefix = false;
  bool isFilled = false;    // CHAR where each of its spaces counts
  uint8_t nullMask = 0;     // 0: never NULL
  uint8_t lengthBytes = 0;  // BLOB: of its length in the record
  uint32_t recordOffset = 0;
  uint32_t nullOffset = 0;
  uint32_t recordBytes = 0;    // fixed: of the value in record and search key
  uint32_t keyBytes = 0;       // integers: in the key
  uint32_t maxCharacters = 0;  // of the prefix; bytes where the character set is binary
  uint32_t searchBytes = 0;    // of the part in a search key, with NULL byte and length
  CHARSET_INFO* charset = nullptr;
  SortKey sortKey;

  // Its bytes are none that the host can make of the row.
  bool isOpaque() const { return coding == KeyCoding::SORT_KEY || isPrefix; }
};

// The keys of an index.
class IndexFormat {
 public:
  // False: `refusal` says why not.
  bool make(const TABLE_SHARE& share, const KEY& key, const RowFormat& rows, std::string& refusal);

  const std::vector<KeyPartFormat>& parts() const { return parts_; }

  size_t maxKeyBytes() const;
  // Whether the other index has the same bytes.
  bool readsAs(const IndexFormat& other) const;

  // Appends the record's key. True: it has a NULL part.
  bool encode(const uchar* record, std::string& out) const;
  // Appends the parts given of a search key. True: these are all of the index. Where `primary` is given,
  // parts of the primary key that follow those of the index (the server's extended keys) are appended, too.
  bool encodeSearchKey(const uchar* key, key_part_map parts, const IndexFormat* primary,
                       std::string& out) const;
  // Whether two records have the same key.
  bool same(const uchar* left, const uchar* right) const;

 private:
  std::vector<KeyPartFormat> parts_;
};

}  // namespace vamos::mariadb
