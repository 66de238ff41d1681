#include "wire/row.hpp"

#include "wire/batch.hpp"
#include "wire/bytes.hpp"

namespace vamos {
namespace {

// Returns the width of a fixed column, 0 for a variable one, and nothing if there is no such kind.
std::optional<uint32_t> fixedWidth(const Column& column) {
  switch (static_cast<ColumnKind>(column.kind)) {
    case ColumnKind::INT8:
    case ColumnKind::UINT8:
      return 1;
    case ColumnKind::INT16:
    case ColumnKind::UINT16:
      return 2;
    case ColumnKind::INT32:
    case ColumnKind::UINT32:
    case ColumnKind::FLOAT:
      return 4;
    case ColumnKind::INT64:
    case ColumnKind::UINT64:
    case ColumnKind::DOUBLE:
      return 8;
    case ColumnKind::FIXED:
      return column.widthBytes;
    case ColumnKind::BYTES:
    case ColumnKind::BLOB:
      return 0;
  }
  return std::nullopt;
}

bool isVariableKind(uint32_t kind) {
  return kind == static_cast<uint32_t>(ColumnKind::BYTES) || kind == static_cast<uint32_t>(ColumnKind::BLOB);
}

size_t bitmapBytes(size_t columns) { return (columns + 7) / 8; }

}  // namespace

std::optional<BlobReference> readBlobReference(std::string_view value) {
  if (value.size() != blobReferenceBytes || value[0] != static_cast<char>(wire::BlobForm::CHUNKS)) return {};
  BlobReference reference;
  std::memcpy(&reference.blob, value.data() + 1, sizeof reference.blob);
  std::memcpy(&reference.lengthBytes, value.data() + 1 + sizeof reference.blob, sizeof reference.lengthBytes);
  return reference;
}

void appendBlobReference(std::string& out, const BlobReference& reference) {
  out.push_back(static_cast<char>(wire::BlobForm::CHUNKS));
  out.append(reinterpret_cast<const char*>(&reference.blob), sizeof reference.blob);
  out.append(reinterpret_cast<const char*>(&reference.lengthBytes), sizeof reference.lengthBytes);
}

std::optional<RowLayout> RowLayout::make(std::span<const Column> columns) {
  if (columns.size() > maxColumns) return std::nullopt;
  RowLayout layout;
  size_t offset = bitmapBytes(columns.size());
  for (const Column& column : columns) {
    const std::optional<uint32_t> width = fixedWidth(column);
    if (!width || *width > maxRowBytes) return std::nullopt;
    Place place;
    place.kind = static_cast<ColumnKind>(column.kind);
    place.isVariable = isVariableKind(column.kind);
    place.isNullable = column.isNullable;
    place.maxBytes = place.isVariable ? column.widthBytes : 0;
    place.widthBytes = *width;
    place.offset = place.isVariable ? layout.variableCount_++ : static_cast<uint32_t>(offset);
    offset += *width;
    if (offset > maxRowBytes) return std::nullopt;
    layout.columns_.push_back(place);
  }
  layout.endsOffset_ = static_cast<uint32_t>(offset);
  layout.variableOffset_ = static_cast<uint32_t>(offset + 4 * layout.variableCount_);
  return layout;
}

bool RowLayout::isValid(std::string_view row) const {
  if (row.size() < variableOffset_ || row.size() > maxRowBytes) return false;
  uint32_t previous = 0;
  for (uint32_t number = 0; number < variableCount_; number++) {
    const uint32_t end = variableEnd(row, number);
    if (end < previous) return false;
    previous = end;
  }
  return previous == row.size() - variableOffset_;
}

bool RowLayout::project(std::string_view row, std::span<const uint32_t> columns, std::string& out) const {
  if (!isValid(row)) return false;
  const size_t start = out.size();
  out.append(bitmapBytes(columns.size()), '\0');
  for (size_t i = 0; i < columns.size(); i++) {
    const uint32_t column = columns[i];
    if (isNull(row, column)) {
      out[start + i / 8] = static_cast<char>(out[start + i / 8] | (1 << (i % 8)));
    }
    if (!columns_[column].isVariable) out.append(data(row, columns_[column]));
  }
  uint32_t end = 0;
  for (const uint32_t column : columns) {
    if (!columns_[column].isVariable) continue;
    end += static_cast<uint32_t>(data(row, columns_[column]).size());
    appendU32(out, end);
  }
  for (const uint32_t column : columns) {
    if (columns_[column].isVariable) out.append(data(row, columns_[column]));
  }
  return true;
}

std::string RowLayout::change(std::string_view row, std::span<const ColumnValue> values) const {
  std::string changed(row.substr(0, variableOffset_));
  // New values of the variable columns, in order; nothing: the column keeps its value.
  std::vector<std::optional<std::string_view>> variable;
  for (const ColumnValue& value : values) {
    const Place& place = columns_[value.column];
    char& nulls = changed[value.column / 8];
    const int bit = 1 << (value.column % 8);
    nulls = static_cast<char>(value.isNull ? nulls | bit : nulls & ~bit);
    const std::string_view bytes = value.isNull ? std::string_view{} : value.bytes;
    if (place.isVariable) {
      variable.resize(variableCount_);
      variable[place.offset] = bytes;
    } else if (value.isNull) {
      std::memset(changed.data() + place.offset, 0, place.widthBytes);
    } else {
      std::memcpy(changed.data() + place.offset, bytes.data(), place.widthBytes);
    }
  }
  if (variable.empty()) return changed.append(row.substr(variableOffset_));
  uint32_t start = 0;
  for (uint32_t number = 0; number < variableCount_; number++) {
    const uint32_t end = variableEnd(row, number);
    changed.append(variable[number].value_or(row.substr(variableOffset_ + start, end - start)));
    start = end;
    const auto changedEnd = static_cast<uint32_t>(changed.size() - variableOffset_);
    std::memcpy(changed.data() + endsOffset_ + 4 * number, &changedEnd, sizeof changedEnd);
  }
  return changed;
}

}  // namespace vamos
