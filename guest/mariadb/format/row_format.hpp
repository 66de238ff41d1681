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

// Reads and writes large values of columns, which travel beside their row.
class BlobStore {
 public:
  // All return 0, or an error of handler.h.
  virtual int write(std::string_view data, uint64_t& blob) = 0;
  virtual int read(uint64_t blob, uint64_t lengthBytes, uchar* out) = 0;
  // Finds out whether the blob has these bytes. Its length must be theirs.
  virtual int compare(uint64_t blob, std::string_view data, bool& isSame) = 0;

 protected:
  ~BlobStore() = default;
};

// How a field stands in the server's record.
enum class Storage : uint8_t {
  BYTES,       // the bytes of the host's row
  SIGNED24,    // MEDIUMINT and the old TIME
  UNSIGNED24,  // MEDIUMINT UNSIGNED, DATE, a SET of three bytes
  TEXT,        // CHAR, which is padded with spaces of its character set
  BINARY,      // BINARY, with all its bytes
  VARCHAR8,    // a length of 1 byte, and the data
  VARCHAR16,   // a length of 2 bytes, and the data
  BLOB,        // a length and a pointer
  HIDDEN       // there is no field, since it is the hidden key
};

struct ColumnFormat {
  std::string name;
  ColumnKind kind = ColumnKind::INT8;
  Storage storage = Storage::BYTES;
  uint8_t nullMask = 0;     // 0: it is never NULL
  uint8_t lengthBytes = 0;  // BLOB: bytes of its length in the record
  bool isVariable = false;
  uint16_t field = 0;         // the number of the server's field
  uint32_t recordOffset = 0;  // where the field stands in a record
  uint32_t nullOffset = 0;    // where the byte with nullMask stands in a record
  uint32_t widthBytes = 0;    // its bytes in a row; if it is variable, its most bytes, or 0 for a BLOB
  uint32_t rowOffset = 0;     // where it stands in a whole row; if it is variable, its number among those
  CHARSET_INFO* charset = nullptr;
  // The bytes of a fixed column that is NULL in a record, since the server compares whole records.
  std::string nullBytes;
};

// The columns that a request asks for, and the layout of the rows that answer it.
struct Projection {
  std::vector<uint32_t> columns;  // in ascending order; empty: all
  uint32_t count = 0;
  uint32_t fixedBytes = 0;  // bytes of the null bitmap and the fixed columns
  uint32_t variableCount = 0;
};

// Makes the rows of a table. The formats of the columns are prepared once, so that coding a row is a loop
// over them.
class RowFormat {
 public:
  // Returns false if the engine can't hold a column; `refusal` then says which.
  bool make(const TABLE_SHARE& share, bool withHiddenKey, std::string& refusal);

  const std::vector<ColumnFormat>& columns() const { return columns_; }
  // Returns the column of a server's field; noColumn: there is none, since the server computes the field.
  uint32_t columnOf(uint field) const { return columnOf_[field]; }
  uint32_t hiddenColumn() const { return hiddenColumn_; }

  // Rows of the other format have the bytes that this one's have. Columns may be named otherwise, or be wider
  // or nullable.
  bool readsAs(const RowFormat& other) const;

  Projection projection(const MY_BITMAP* fields) const;
  // Appends a value as it stands in a row. It must not be NULL, nor a BLOB.
  void appendValue(uint32_t column, const uchar* record, std::string& out) const;
  // Returns the value of a BLOB in the record.
  static std::string_view blobOf(const ColumnFormat& column, const uchar* record);
  // The table has so many BLOBs that even short ones may stand beside their row.
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
