#include "engine/program/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "wire/batch.hpp"

namespace vamos::engine {
namespace {

constexpr size_t maxInlineBlobBytes = 64 << 10;
constexpr char inlineBlob = 0;
// As connectors keep it; one that is larger need not become smaller.
constexpr size_t maxChangedRowBytes = 1 << 20;

// What a column takes.
ValueType typeOf(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::FLOAT:
    case ColumnKind::DOUBLE:
      return ValueType::DOUBLE;
    case ColumnKind::FIXED:
    case ColumnKind::BYTES:
    case ColumnKind::BLOB:
      return ValueType::BYTES;
    default:
      return ValueType::INTEGER;
  }
}

template <typename Kind>
bool toInteger(const Value& value, std::string& bytes) {
  if (value.integer < std::numeric_limits<Kind>::min() || value.integer > std::numeric_limits<Kind>::max()) {
    return false;
  }
  const auto fitting = static_cast<Kind>(value.integer);
  bytes.assign(reinterpret_cast<const char*>(&fitting), sizeof fitting);
  return true;
}

bool toFloat(double value, std::string& bytes) {
  const auto rounded = static_cast<float>(value);
  if (std::isinf(rounded) && !std::isinf(value)) return false;
  bytes.assign(reinterpret_cast<const char*>(&rounded), sizeof rounded);
  return true;
}

}  // namespace

std::optional<Assignment> Assignment::make(const RowLayout& row, uint32_t column, std::string_view code,
                                           std::string& refusal) {
  std::optional<Program> program = Program::make(row, code, refusal);
  if (!program) return std::nullopt;
  if (program->type() != typeOf(row.kind(column))) {
    refusal = "its type is none that column " + std::to_string(column) + " takes";
    return std::nullopt;
  }
  return Assignment{column, std::move(*program)};
}

AssignedRow::AssignedRow(const RowLayout& layout, const std::vector<Assignment>& assignments)
    : layout_(layout), assignments_(assignments), bytes_(assignments.size()), values_(assignments.size()) {}

const std::string* AssignedRow::make(std::string_view row) {
  size_t rowBytes = row.size();
  for (size_t i = 0; i < assignments_.size(); i++) {
    misfit_ = assignments_[i].column;
    if (!convert(assignments_[i], row, i)) return nullptr;
    rowBytes += values_[i].bytes.size() - layout_.value(row, misfit_).size();
    if (rowBytes > std::max(maxChangedRowBytes, row.size())) return nullptr;
  }
  changed_ = layout_.change(row, values_);
  return &changed_;
}

bool AssignedRow::convert(const Assignment& assignment, std::string_view row, size_t number) {
  const uint32_t column = assignment.column;
  const Value value = assignment.value.evaluate(row);
  std::string& bytes = bytes_[number];
  values_[number] = {column, value.isNull, {}};
  if (value.isNull) return layout_.isNullable(column);
  const size_t maxBytes = layout_.maxBytes(column);
  bool fits = false;
  switch (layout_.kind(column)) {
    case ColumnKind::INT8:
      fits = toInteger<int8_t>(value, bytes);
      break;
    case ColumnKind::INT16:
      fits = toInteger<int16_t>(value, bytes);
      break;
    case ColumnKind::INT32:
      fits = toInteger<int32_t>(value, bytes);
      break;
    case ColumnKind::INT64:
      fits = toInteger<int64_t>(value, bytes);
      break;
    case ColumnKind::UINT8:
      fits = toInteger<uint8_t>(value, bytes);
      break;
    case ColumnKind::UINT16:
      fits = toInteger<uint16_t>(value, bytes);
      break;
    case ColumnKind::UINT32:
      fits = toInteger<uint32_t>(value, bytes);
      break;
    case ColumnKind::UINT64:
      fits = toInteger<uint64_t>(value, bytes);
      break;
    case ColumnKind::FLOAT:
      fits = toFloat(value.real, bytes);
      break;
    case ColumnKind::DOUBLE:
      fits = true;
      bytes.assign(reinterpret_cast<const char*>(&value.real), sizeof value.real);
      break;
    case ColumnKind::FIXED:
      values_[number].bytes = value.view();
      return value.bytes.sizeBytes == layout_.widthBytes(column);
    case ColumnKind::BYTES:
      values_[number].bytes = value.view();
      return maxBytes == 0 || value.bytes.sizeBytes <= maxBytes;
    case ColumnKind::BLOB:
      fits =
          value.bytes.sizeBytes <= maxInlineBlobBytes && (maxBytes == 0 || value.bytes.sizeBytes <= maxBytes);
      if (fits) bytes.assign(1, inlineBlob).append(value.view());
      break;
  }
  values_[number].bytes = bytes;
  return fits;
}

}  // namespace vamos::engine
