#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mariadb/format/key_format.hpp"
#include "mariadb/format/row_format.hpp"

namespace vamos::mariadb {

// Makes bytes (FORMATS.md) of one table's rows and keys, and the other way round. It does not change, and all
// handlers of the table share it. It knows where the fields stand in a record, so it needs no TABLE: `record`
// is any record of the table.
class Codec {
 public:
  // Makes a codec of the server's description of a table. Returns nothing if the engine can't hold such a
  // table; `refusal` then says why.
  static std::unique_ptr<Codec> make(const TABLE_SHARE& share, std::string& refusal);

  // Returns the host's number for an index. The host has the indexes in the server's order, but index 0 is
  // that of the primary key, which is hidden if the table has none.
  uint32_t indexOf(uint serverIndex) const { return indexOf_[serverIndex]; }
  uint32_t indexCount() const { return static_cast<uint32_t>(indexes_.size()); }
  bool hasHiddenKey() const { return hiddenKey_ != noColumn; }
  // Appends the bytes of a hidden key.
  static void appendHiddenKey(int64_t hiddenKey, std::string& out);
  // Returns 0 if the bytes are no hidden key.
  static int64_t hiddenKeyOf(std::string_view primaryKey);

  // How many bytes a primary key has, at most.
  uint32_t maxPrimaryKeyBytes() const;
  // Rows and keys of the other codec have the bytes that this one's have. Columns may be named otherwise, or
  // be wider or nullable.
  bool readsAs(const Codec& other) const;

  const RowFormat& rows() const { return rows_; }
  const IndexFormat& index(uint32_t hostIndex) const { return indexes_[hostIndex]; }

  // Returns what the host is asked for if these fields are wanted (a read_set; nullptr: all).
  Projection projection(const MY_BITMAP* fields) const { return rows_.projection(fields); }

  // Appends the row, after it has written large blobs to `blobs`. hiddenKey: the row's key if that is hidden.
  // Returns 0, or an error of handler.h.
  int encodeRow(const uchar* record, int64_t hiddenKey, BlobStore& blobs, std::string& out) const {
    return rows_.encode(record, hiddenKey, blobs, out);
  }
  // Appends the row for an update of `before`, which is the whole row as the host sent it. Fields that are
  // not in `written` (nullptr: all are) are taken from there, with their blobs.
  int encodeChangedRow(std::string_view before, const uchar* record, const MY_BITMAP* written,
                       BlobStore& blobs, std::string& out) const {
    return rows_.encodeChanged(before, record, written, blobs, out);
  }
  // Fills the fields of the projection in `record`. Blobs that stand in `row` stay there, and others are read
  // into `blobMemory`: both must live as long as the record.
  int decodeRow(std::string_view row, const Projection& projection, uchar* record, BlobStore& blobs,
                MEM_ROOT* blobMemory) const {
    return rows_.decode(row, projection, record, blobs, blobMemory);
  }

  // Appends the key of the host's index `index`. Returns whether it has a NULL part.
  bool encodeKey(uint32_t index, const uchar* record, int64_t hiddenKey, std::string& out) const;
  // Appends the keys of all indexes, the primary key first, as the entries of a write batch. Their covered
  // bytes are empty.
  void appendEntries(const uchar* record, int64_t hiddenKey, std::string& batch) const;
  // The two records have the same key in this index.
  bool sameKey(uint32_t index, const uchar* left, const uchar* right) const;

  // Appends the bytes with which all keys begin that have these first parts. `key` is a search key as
  // index_read_map gets it. Returns whether all parts of the index were given.
  bool encodeSearchKey(uint serverIndex, const uchar* key, key_part_map parts, std::string& out) const;

 private:
  Codec() = default;

  RowFormat rows_;
  std::vector<IndexFormat> indexes_;  // by the host's numbers; that of a hidden key has no parts
  std::vector<uint32_t> indexOf_;
  uint32_t hiddenKey_ = noColumn;
};

}  // namespace vamos::mariadb
