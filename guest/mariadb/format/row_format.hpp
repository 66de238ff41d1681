#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/row.hpp"

namespace vamos::mariadb {

constexpr uint32_t noColumn = 0xFFFFFFFF;

// Large column values that travel beside their row, in chunks.
class BlobStore {
 public:
  // All return 0 or an error of handler.h.
  virtual int write(std::string_view data, uint64_t& blob) = 0;
  virtual int read(uint64_t blob, uint64_t lengthBytes, uchar* out) = 0;
  // Whether the blob, of the same length, has these bytes.
  virtual int compare(uint64_t blob, std::string_view data, bool& isSame) = 0;

 protected:
  ~BlobStore() = default;
};

// How a field stands in the server's record.
enum class Storage : uint8_t {
  BYTES,       // as in the host's row
  SIGNED24,    // MEDIUMINT and the old TIME
  UNSIGNED24,  // MEDIUMINT UNSIGNED, DATE, a SET of three bytes
  TEXT,        // CHAR: padded with spaces of its character set
  BINARY,      // BINARY: all its bytes
  VARCHAR8,    // length in 1 byte, data
  VARCHAR16,   // length in 2 bytes, data
  BLOB,        // length, pointer
  HIDDEN       // no field: the hidden key
};

struct ColumnFormat {
  std::string name;
  ColumnKind kind = ColumnKind::INT8;
  Storage storage = Storage::BYTES;
  uint8_t nullMask = 0;     // 0: never NULL
  uint8_t lengthBytes = 0;  // BLOB: of its length in the record
  bool isVariable = false;
  uint16_t field = 0;         // number of the server's field
  uint32_t recordOffset = 0;  // of the field
  uint32_t nullOffset = 0;    // of the byte with nullMask
  uint32_t widthBytes = 0;    // fixed: in the row; variable: the most it may have, but BLOB: 0
  uint32_t rowOffset = 0;     // fixed: in a whole row; variable: number among the variable columns
  CHARSET_INFO* charset = nullptr;
  std::string nullBytes;  // fixed, may be NULL: what the record has there, for comparisons of whole records
};

// Columns that a request asks for, and how the rows that answer it are laid out.
struct Projection {
  std::vector<uint32_t> columns;  // for the request: ascending; empty: all
  uint32_t count = 0;
  uint32_t fixedBytes = 0;  // of the null bitmap and the fixed columns
  uint32_t variableCount = 0;
};

// The rows of a table: a plan made once, so that coding one is a loop over it.
class RowFormat {
 public:
  // False: `refusal` says which column the engine can't hold.
  bool make(const TABLE_SHARE& share, bool withHiddenKey, std::string& refusal);

  const std::vector<ColumnFormat>& columns() const { return columns_; }
  // The column of a server's field; noColumn: the server computes it.
  uint32_t columnOf(uint field) const { return columnOf_[field]; }
  uint32_t hiddenColumn() const { return hiddenColumn_; }

  // Whether rows of the other are rows of this: names aside, columns may be wider or nullable.
  bool readsAs(const RowFormat& other) const;

  Projection projection(const MY_BITMAP* fields) const;
  // Appends a value that is not NULL, and no BLOB, as it stands in a row.
  void appendValue(uint32_t column, const uchar* record, std::string& out) const;
  // Of a BLOB: the value in the record.
  static std::string_view blobOf(const ColumnFormat& column, const uchar* record);
  // So many BLOBs that short ones, too, may stand beside their row.
  bool mayKeepBlobsApart() const;
  int encode(const uchar* record, int64_t hiddenKey, BlobStore& blobs, std::string& out) const;
  int encodeChanged(std::string_view before, const uchar* record, const MY_BITMAP* written, BlobStore& blobs,
                    std::string& out) const;
  int decode(std::string_view row, const Projection& projection, uchar* record, BlobStore& blobs,
             MEM_ROOT* blobMemory) const;

 private:
  bool describe(const Field& field, ColumnFormat& column) const;
  Projection layout(std::vector<uint32_t> columns) const;
  uint32_t inlineLimitBytes(const uchar* record) const;
  int appendData(const ColumnFormat& column, const uchar* record, uint32_t inlineLimitBytes, BlobStore& blobs,
                 std::string& out) const;
  static int hasBlobOf(const ColumnFormat& column, const uchar* record, std::string_view before,
                       BlobStore& blobs, bool& isSame);
  static void appendText(const ColumnFormat& column, const uchar* record, std::string& out);
  void storeFixed(const ColumnFormat& column, const uchar* record, char* out) const;
  int loadData(const ColumnFormat& column, std::string_view data, uchar* record, BlobStore& blobs,
               MEM_ROOT* blobMemory) const;

  std::vector<ColumnFormat> columns_;
  std::vector<uint32_t> columnOf_;
  uint32_t hiddenColumn_ = noColumn;
  Projection whole_;
  uint32_t blobCount_ = 0;
};

}  // namespace vamos::mariadb
