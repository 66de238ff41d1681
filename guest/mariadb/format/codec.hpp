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

// Rows and keys of one table as bytes of FORMATS.md, and back. Immutable: shared by all handlers of a table.
// It knows where the fields stand in a record, so it needs no TABLE: `record` is any record of the table.
class Codec {
 public:
  // Of a table as the server describes it. Nothing: `refusal` says why the engine can't hold such a table.
  static std::unique_ptr<Codec> make(const TABLE_SHARE& share, std::string& refusal);

  // Host indexes are in order of the server's, but the primary key's is 0: the hidden one where there is
  // none.
  uint32_t indexOf(uint serverIndex) const { return indexOf_[serverIndex]; }
  uint32_t indexCount() const { return static_cast<uint32_t>(indexes_.size()); }
  bool hasHiddenKey() const { return hiddenKey_ != noColumn; }
  // The key bytes of a hidden key.
  static void appendHiddenKey(int64_t hiddenKey, std::string& out);
  static int64_t hiddenKeyOf(std::string_view primaryKey);  // 0: not a key of that kind

  // The most bytes that a primary key has.
  uint32_t maxPrimaryKeyBytes() const;
  // Whether rows and keys of the other are bytes of this one's, too: its columns may be named otherwise,
  // wider, or nullable.
  bool readsAs(const Codec& other) const;

  const RowFormat& rows() const { return rows_; }
  const IndexFormat& index(uint32_t hostIndex) const { return indexes_[hostIndex]; }

  // What the host is asked for where just these fields (a read_set; all for nullptr) are wanted.
  Projection projection(const MY_BITMAP* fields) const { return rows_.projection(fields); }

  // Appends the row. hiddenKey: the row's number where the key is hidden. Large blobs go through `blobs`
  // first. 0, or an error of handler.h.
  int encodeRow(const uchar* record, int64_t hiddenKey, BlobStore& blobs, std::string& out) const {
    return rows_.encode(record, hiddenKey, blobs, out);
  }
  // The row for an update of `before`, the whole row as the host gave it: what is not in `written` (all for
  // nullptr) is taken from there, with its chunks.
  int encodeChangedRow(std::string_view before, const uchar* record, const MY_BITMAP* written,
                       BlobStore& blobs, std::string& out) const {
    return rows_.encodeChanged(before, record, written, blobs, out);
  }
  // Fills the fields of the projection in `record`. Inline blob data stay where `row` is, others are in
  // `blobMemory`: both must live as long as the record.
  int decodeRow(std::string_view row, const Projection& projection, uchar* record, BlobStore& blobs,
                MEM_ROOT* blobMemory) const {
    return rows_.decode(row, projection, record, blobs, blobMemory);
  }

  // Appends the key of host index `index`. True: the key has a NULL part.
  bool encodeKey(uint32_t index, const uchar* record, int64_t hiddenKey, std::string& out) const;
  // Appends the entries of a write batch: of all indexes, the primary key's first. Covered bytes are empty.
  void appendEntries(const uchar* record, int64_t hiddenKey, std::string& batch) const;
  // Whether the two records have the same key in this index.
  bool sameKey(uint32_t index, const uchar* left, const uchar* right) const;

  // Appends what all keys begin with that have these first parts, from a search key as index_read_map gets
  // it. True: all parts of the index were given.
  bool encodeSearchKey(uint serverIndex, const uchar* key, key_part_map parts, std::string& out) const;

 private:
  Codec() = default;

  RowFormat rows_;
  std::vector<IndexFormat> indexes_;  // the hidden key's has no parts
  std::vector<uint32_t> indexOf_;
  uint32_t hiddenKey_ = noColumn;
};

}  // namespace vamos::mariadb
