#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/limits.hpp"
#include "protocol/tables_enums.hpp"

namespace vamos {

using wire::ColumnKind;

struct Column {
  uint32_t kind = 0;        // ColumnKind; any number may come from outside
  uint32_t widthBytes = 0;  // FIXED: its width; BYTES, BLOB: the most it may have, 0 for no limit of its own
  bool isNullable = false;
};

// A new value for a column of a row.
struct ColumnValue {
  uint32_t column = 0;
  bool isNull = false;
  std::string_view bytes;  // the value as it stands in the row
};

// What a BLOB column's value refers to, whose bytes don't stand in the row.
struct BlobReference {
  uint64_t blob = 0;
  uint64_t lengthBytes = 0;
};

// Nothing, if the value is none: it is inline, or broken.
std::optional<BlobReference> readBlobReference(std::string_view value);
void appendBlobReference(std::string& out, const BlobReference& reference);

// Knows where the columns of a row stand: src/protocol/FORMATS.md.
class RowLayout {
 public:
  // Makes a layout. Nothing, if a kind is unknown, a width is over the limits or there are too many columns.
  static std::optional<RowLayout> make(std::span<const Column> columns);

  size_t columnCount() const { return columns_.size(); }
  ColumnKind kind(uint32_t column) const { return columns_[column].kind; }
  // The width of a fixed column; 0: variable.
  uint32_t widthBytes(uint32_t column) const { return columns_[column].widthBytes; }

  bool isNullable(uint32_t column) const { return columns_[column].isNullable; }
  // The most that a BYTES or BLOB column may have; 0: no limit of its own.
  uint32_t maxBytes(uint32_t column) const { return columns_[column].maxBytes; }

  // Whether all lengths and offsets in the row agree with one another and with the row's length.
  bool isValid(std::string_view row) const;

  // Whether a column is NULL. The row must be valid.
  static bool isNull(std::string_view row, uint32_t column) {
    return ((static_cast<uint8_t>(row[column / 8]) >> (column % 8)) & 1) != 0;
  }
  std::string_view value(std::string_view row, uint32_t column) const { return data(row, columns_[column]); }

  // Appends the row of a table with just these columns, in this order. Returns false, with nothing appended,
  // if the row is not valid. Each column number must be below columnCount().
  bool project(std::string_view row, std::span<const uint32_t> columns, std::string& out) const;

  // Returns a valid row of zeros and empty values.
  std::string emptyRow() const { return std::string(variableOffset_, '\0'); }

  // Returns the row with these values in the place of its own. It must be valid, and values of fixed columns
  // must have their width.
  std::string change(std::string_view row, std::span<const ColumnValue> values) const;

 private:
  struct Place {
    ColumnKind kind = ColumnKind::INT8;
    bool isVariable = false;
    bool isNullable = false;
    uint32_t maxBytes = 0;    // variable
    uint32_t widthBytes = 0;  // fixed
    uint32_t offset = 0;      // fixed: from the start of the row; variable: number among the variable columns
  };

  uint32_t variableEnd(std::string_view row, uint32_t number) const {
    uint32_t end;
    std::memcpy(&end, row.data() + endsOffset_ + 4 * number, sizeof end);
    return end;
  }
  std::string_view data(std::string_view row, const Place& place) const {
    if (!place.isVariable) return {row.data() + place.offset, place.widthBytes};
    const uint32_t start = place.offset == 0 ? 0 : variableEnd(row, place.offset - 1);
    return {row.data() + variableOffset_ + start, variableEnd(row, place.offset) - start};
  }

  std::vector<Place> columns_;
  uint32_t variableCount_ = 0;
  uint32_t endsOffset_ = 0;      // where the end offsets begin
  uint32_t variableOffset_ = 0;  // where the variable part begins
};

}  // namespace vamos
