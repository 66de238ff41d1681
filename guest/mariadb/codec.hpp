#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/row.hpp"

namespace vamos::mariadb {

// Large column values that travel beside their row, in chunks.
class BlobStore {
 public:
  // Both return 0 or an error of handler.h.
  virtual int write(std::string_view data, uint64_t& blob) = 0;
  virtual int read(uint64_t blob, uint64_t lengthBytes, uchar* out) = 0;

 protected:
  ~BlobStore() = default;
};

// Rows and keys of one table as bytes of FORMATS.md, and back. Immutable: shared by all handlers of a table.
// The TABLE given says where the fields stand; it is any instance of the table that the codec was made of.
class Codec {
 public:
  // Of a table as the server describes it. Nothing: `refusal` says why the engine can't hold such a table.
  static std::unique_ptr<Codec> make(const TABLE_SHARE& share, std::string& refusal);
  virtual ~Codec() = default;

  // What the host is told of the columns and indexes, index 0 being the primary key (the hidden one where the
  // table has none). `indexOf(n)` is the host's number of the server's index n.
  virtual uint32_t indexOf(uint serverIndex) const = 0;
  virtual uint32_t indexCount() const = 0;
  virtual bool hasHiddenKey() const = 0;
  virtual uint32_t maxPrimaryKeyBytes() const = 0;

  // Host columns for the fields in a read_set (every one for nullptr), in ascending order; rows that were
  // asked for with them decode with the same list.
  virtual std::vector<uint32_t> projection(const TABLE& table, const MY_BITMAP* fields) const = 0;

  // Appends to `out`. hiddenKey: the row's number where the key is hidden. Large blobs go through `blobs`
  // first. 0, or an error of handler.h (HA_ERR_TOO_BIG_ROW, those of `blobs`).
  virtual int encodeRow(const TABLE& table, const uchar* record, int64_t hiddenKey, BlobStore& blobs,
                        std::string& out) const = 0;
  // Fills the fields of the projection in `record`; blob data stay where `row` is or in `blobMemory` (from
  // the server's own functions), so both must live as long as the record.
  virtual int decodeRow(const TABLE& table, std::string_view row, const std::vector<uint32_t>& columns,
                        uchar* record, BlobStore& blobs, MEM_ROOT* blobMemory) const = 0;

  // Key bytes of host index `index` for the record. False: the key has no NULL part.
  virtual bool encodeKey(const TABLE& table, uint32_t index, const uchar* record, int64_t hiddenKey,
                         std::string& out) const = 0;
  // The bytes that keys begin with which have these first parts: from a search key as index_read_map gets it.
  // isWhole: all parts of the index were given.
  virtual void encodeSearchKey(const TABLE& table, uint serverIndex, const uchar* key, key_part_map parts,
                               std::string& out, bool& isWhole) const = 0;
  // The server's record of a row that was not changed has the same bytes as this row of the host: its blobs
  // keep their chunks. Appends the row for an update of `before` (as read from the host) to `record`.
  virtual int encodeChangedRow(const TABLE& table, std::string_view before, const uchar* record,
                               int64_t hiddenKey, BlobStore& blobs, std::string& out) const = 0;
};

}  // namespace vamos::mariadb
