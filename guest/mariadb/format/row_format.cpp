#include "mariadb/format/row_format.hpp"

#include <my_byteorder.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace vamos::mariadb {
namespace {

// A value that is longer than this stands beside its row.
constexpr uint32_t inlineBlobBytes = 16 << 10;
// If all values of a row together have more bytes than this, only the shortest stand in it, so that it fits
// into a request.
constexpr uint32_t maxInlineBytes = 512 << 10;
constexpr uint32_t shortBlobBytes = 128;
constexpr uint32_t pointerBytes = sizeof(uchar*);

std::string_view view(const uchar* bytes, size_t lengthBytes) {
  return {reinterpret_cast<const char*>(bytes), lengthBytes};
}

bool isNull(const ColumnFormat& column, const uchar* record) {
  return (record[column.nullOffset] & column.nullMask) != 0;
}

bool isNullInRow(std::string_view row, size_t column) {
  return ((static_cast<uchar>(row[column / 8]) >> (column % 8)) & 1) != 0;
}

void setNullInRow(char* row, size_t column) { row[column / 8] |= static_cast<char>(1 << (column % 8)); }

void setU32(char* to, uint32_t value) { std::memcpy(to, &value, sizeof value); }

uint32_t u32(const char* from) {
  uint32_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

uint64_t blobLength(const ColumnFormat& column, const uchar* record) {
  uint64_t length = 0;
  std::memcpy(&length, record + column.recordOffset, column.lengthBytes);
  return length;
}

bool isBuiltInString(const Field& field) {
  return field.type_handler() == &type_handler_string || field.type_handler() == &type_handler_var_string;
}

ColumnKind unsignedKind(uint32_t widthBytes) {
  switch (widthBytes) {
    case 1:
      return ColumnKind::UINT8;
    case 2:
      return ColumnKind::UINT16;
    case 8:
      return ColumnKind::UINT64;
    default:
      return ColumnKind::UINT32;
  }
}

ColumnKind signedKind(uint32_t widthBytes) {
  switch (widthBytes) {
    case 1:
      return ColumnKind::INT8;
    case 2:
      return ColumnKind::INT16;
    case 8:
      return ColumnKind::INT64;
    default:
      return ColumnKind::INT32;
  }
}

void describeInteger(const Field& field, bool isUnsigned, ColumnFormat& column) {
  const uint32_t recordBytes = field.pack_length();
  if (recordBytes == 3) column.storage = isUnsigned ? Storage::UNSIGNED24 : Storage::SIGNED24;
  column.widthBytes = recordBytes == 3 ? 4 : recordBytes;
  column.kind = isUnsigned ? unsignedKind(column.widthBytes) : signedKind(column.widthBytes);
}

void describeFixed(const Field& field, ColumnFormat& column) {
  column.kind = ColumnKind::FIXED;
  column.widthBytes = field.pack_length();
}

void describeBytes(const Field& field, Storage storage, ColumnFormat& column) {
  column.kind = ColumnKind::BYTES;
  column.storage = storage;
  column.isVariable = true;
  column.widthBytes = field.field_length;
}

// Returns which fields have an index. Their values are stored even if the server computes them.
std::vector<bool> indexedFields(const TABLE_SHARE& share) {
  std::vector<bool> indexed(share.fields);
  for (uint number = 0; number < share.keys; number++) {
    const KEY& key = share.key_info[number];
    const uint parts = key.user_defined_key_parts + (key.algorithm == HA_KEY_ALG_LONG_HASH ? 1 : 0);
    for (uint part = 0; part < parts; part++) indexed[key.key_part[part].fieldnr - 1] = true;
  }
  return indexed;
}

}  // namespace

bool RowFormat::make(const TABLE_SHARE& share, bool withHiddenKey, std::string& refusal) {
  const std::vector<bool> indexed = indexedFields(share);
  columnOf_.assign(share.fields, noColumn);
  for (uint number = 0; number < share.fields; number++) {
    const Field& field = *share.field[number];
    if (!field.stored_in_db() && !indexed[number]) continue;
    ColumnFormat column;
    column.name.assign(field.field_name.str, field.field_name.length);
    column.field = static_cast<uint16_t>(number);
    column.recordOffset = static_cast<uint32_t>(field.ptr - share.default_values);
    if (field.real_maybe_null()) {
      column.nullMask = field.null_bit;
      column.nullOffset = static_cast<uint32_t>(field.null_ptr - share.default_values);
    }
    column.charset = field.charset();
    if (!describe(field, column)) {
      const LEX_CSTRING type = field.type_handler()->name().lex_cstring();
      refusal = "column " + column.name + ": ENGINE=VAMOS can't hold " + std::string(type.str, type.length);
      return false;
    }
    if (column.nullMask != 0 && !column.isVariable) {
      column.nullBytes.assign(reinterpret_cast<const char*>(field.ptr), field.pack_length());
    }
    columnOf_[number] = static_cast<uint32_t>(columns_.size());
    columns_.push_back(std::move(column));
  }
  if (withHiddenKey) {
    hiddenColumn_ = static_cast<uint32_t>(columns_.size());
    ColumnFormat column;
    column.name = ".row";
    column.kind = ColumnKind::INT64;
    column.storage = Storage::HIDDEN;
    column.widthBytes = 8;
    columns_.push_back(std::move(column));
  }
  if (columns_.empty() || columns_.size() > maxColumns) {
    refusal = "ENGINE=VAMOS holds tables of 1 to " + std::to_string(maxColumns) + " columns";
    return false;
  }
  std::vector<uint32_t> all(columns_.size());
  std::iota(all.begin(), all.end(), 0);
  whole_ = layout(std::move(all));
  whole_.columns.clear();
  uint32_t offset = static_cast<uint32_t>((columns_.size() + 7) / 8);
  uint32_t variable = 0;
  for (ColumnFormat& column : columns_) {
    column.rowOffset = column.isVariable ? variable++ : offset;
    if (!column.isVariable) offset += column.widthBytes;
    if (column.storage == Storage::BLOB) blobCount_++;
  }
  return true;
}

bool RowFormat::describe(const Field& field, ColumnFormat& column) const {
  const bool isUnsigned = (field.flags & UNSIGNED_FLAG) != 0;
  const bool hasFraction = field.decimals() > 0;
  switch (field.real_type()) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
      describeInteger(field, isUnsigned, column);
      return true;
    case MYSQL_TYPE_YEAR:
    case MYSQL_TYPE_NEWDATE:
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_ENUM:
    case MYSQL_TYPE_SET:
      describeInteger(field, true, column);
      return true;
    case MYSQL_TYPE_FLOAT:
      column.kind = ColumnKind::FLOAT;
      column.widthBytes = 4;
      return true;
    case MYSQL_TYPE_DOUBLE:
      column.kind = ColumnKind::DOUBLE;
      column.widthBytes = 8;
      return true;
    // Types under mysql56_temporal_format=OFF are numbers, or big-endian bytes if they have a fraction.
    case MYSQL_TYPE_TIMESTAMP:
    case MYSQL_TYPE_DATETIME:
      if (hasFraction) {
        describeFixed(field, column);
      } else {
        describeInteger(field, true, column);
      }
      return true;
    case MYSQL_TYPE_TIME:
      if (hasFraction) {
        describeFixed(field, column);
      } else {
        describeInteger(field, false, column);
      }
      return true;
    case MYSQL_TYPE_NEWDECIMAL:
    case MYSQL_TYPE_TIMESTAMP2:
    case MYSQL_TYPE_DATETIME2:
    case MYSQL_TYPE_TIME2:
      describeFixed(field, column);
      return true;
    case MYSQL_TYPE_BIT:
      describeFixed(field, column);
      // Bits among the NULL bits occur only with HA_CAN_BIT_FIELD.
      return field.key_type() != HA_KEYTYPE_BIT;
    case MYSQL_TYPE_STRING:
    case MYSQL_TYPE_VAR_STRING:
      if (isBuiltInString(field)) {
        describeBytes(field, field.charset() == &my_charset_bin ? Storage::BINARY : Storage::TEXT, column);
      } else {
        describeFixed(field, column);  // INET4, INET6 and UUID are bytes that sort
      }
      return true;
    case MYSQL_TYPE_VARCHAR:
    case MYSQL_TYPE_VARCHAR_COMPRESSED:
      describeBytes(field,
                    static_cast<const Field_varstring&>(field).length_bytes == 1 ? Storage::VARCHAR8
                                                                                 : Storage::VARCHAR16,
                    column);
      return true;
    case MYSQL_TYPE_TINY_BLOB:
    case MYSQL_TYPE_MEDIUM_BLOB:
    case MYSQL_TYPE_LONG_BLOB:
    case MYSQL_TYPE_BLOB:
    case MYSQL_TYPE_BLOB_COMPRESSED:
    case MYSQL_TYPE_GEOMETRY:
      column.kind = ColumnKind::BLOB;
      column.storage = Storage::BLOB;
      column.isVariable = true;
      column.lengthBytes = static_cast<uint8_t>(field.pack_length() - pointerBytes);
      return true;
    default:
      return false;
  }
}

bool RowFormat::readsAs(const RowFormat& other) const {
  const auto isVarchar = [](const ColumnFormat& column) {
    return column.storage == Storage::VARCHAR8 || column.storage == Storage::VARCHAR16;
  };
  return std::equal(columns_.begin(), columns_.end(), other.columns_.begin(), other.columns_.end(),
                    [&](const ColumnFormat& column, const ColumnFormat& before) {
                      if (column.kind != before.kind || column.charset != before.charset) return false;
                      if (before.nullMask != 0 && column.nullMask == 0) return false;
                      if (column.storage == Storage::BLOB) return column.lengthBytes >= before.lengthBytes;
                      if (isVarchar(column) && isVarchar(before))
                        return column.widthBytes >= before.widthBytes;
                      return column.storage == before.storage && column.widthBytes == before.widthBytes;
                    });
}

Projection RowFormat::layout(std::vector<uint32_t> columns) const {
  Projection projection;
  projection.count = static_cast<uint32_t>(columns.size());
  projection.fixedBytes = (projection.count + 7) / 8;
  for (const uint32_t number : columns) {
    const ColumnFormat& column = columns_[number];
    if (column.isVariable) {
      projection.variableCount++;
    } else {
      projection.fixedBytes += column.widthBytes;
    }
  }
  projection.columns = std::move(columns);
  return projection;
}

Projection RowFormat::projection(const MY_BITMAP* fields) const {
  if (fields == nullptr) return whole_;
  std::vector<uint32_t> columns;
  uint32_t narrowest = 0;
  for (uint32_t number = 0; number < columns_.size(); number++) {
    const ColumnFormat& column = columns_[number];
    if (column.storage != Storage::HIDDEN && bitmap_is_set(fields, column.field)) columns.push_back(number);
    const ColumnFormat& best = columns_[narrowest];
    if (!column.isVariable && (best.isVariable || column.widthBytes < best.widthBytes)) narrowest = number;
  }
  if (columns.size() + (hiddenColumn_ == noColumn ? 0 : 1) == columns_.size()) return whole_;
  // No column is wanted, but an empty list asks for all.
  if (columns.empty()) columns.push_back(narrowest);
  return layout(std::move(columns));
}

uint32_t RowFormat::inlineLimitBytes(const uchar* record) const {
  if (!mayKeepBlobsApart()) return inlineBlobBytes;
  uint64_t bytes = 0;
  for (const ColumnFormat& column : columns_) {
    if (column.storage != Storage::BLOB || isNull(column, record)) continue;
    const uint64_t length = blobLength(column, record);
    if (length <= inlineBlobBytes) bytes += length;
  }
  return bytes <= maxInlineBytes ? inlineBlobBytes : shortBlobBytes;
}

void RowFormat::storeFixed(const ColumnFormat& column, const uchar* record, char* out) const {
  const uchar* from = record + column.recordOffset;
  switch (column.storage) {
    case Storage::SIGNED24:
      setU32(out, static_cast<uint32_t>(sint3korr(from)));
      break;
    case Storage::UNSIGNED24:
      setU32(out, uint3korr(from));
      break;
    default:
      std::memcpy(out, from, column.widthBytes);
      break;
  }
}

void RowFormat::appendText(const ColumnFormat& column, const uchar* record, std::string& out) {
  const uchar* from = record + column.recordOffset;
  switch (column.storage) {
    case Storage::TEXT:
      out.append(
          view(from, column.charset->lengthsp(reinterpret_cast<const char*>(from), column.widthBytes)));
      break;
    case Storage::BINARY:
      out.append(view(from, column.widthBytes));
      break;
    case Storage::VARCHAR8:
      out.append(view(from + 1, *from));
      break;
    default:
      out.append(view(from + 2, uint2korr(from)));
      break;
  }
}

void RowFormat::appendValue(uint32_t number, const uchar* record, std::string& out) const {
  const ColumnFormat& column = columns_[number];
  if (column.isVariable) return appendText(column, record, out);
  out.resize(out.size() + column.widthBytes);
  storeFixed(column, record, &out[out.size() - column.widthBytes]);
}

std::string_view RowFormat::blobOf(const ColumnFormat& column, const uchar* record) {
  const uchar* data;
  std::memcpy(&data, record + column.recordOffset + column.lengthBytes, sizeof data);
  return view(data, blobLength(column, record));
}

bool RowFormat::mayKeepBlobsApart() const { return blobCount_ * inlineBlobBytes > maxInlineBytes; }

int RowFormat::appendData(const ColumnFormat& column, const uchar* record, uint32_t inlineLimit,
                          BlobStore& blobs, std::string& out) const {
  if (column.storage != Storage::BLOB) {
    appendText(column, record, out);
    return 0;
  }
  const std::string_view data = blobOf(column, record);
  if (data.size() <= inlineLimit) {
    out.push_back(static_cast<char>(wire::BlobForm::INLINE));
    out.append(data);
    return 0;
  }
  uint64_t blob = 0;
  if (const int error = blobs.write(data, blob)) return error;
  appendBlobReference(out, {blob, data.size()});
  return 0;
}

int RowFormat::encode(const uchar* record, int64_t hiddenKey, BlobStore& blobs, std::string& out) const {
  const size_t start = out.size();
  const size_t dataStart = start + whole_.fixedBytes + 4 * whole_.variableCount;
  const uint32_t inlineLimit = blobCount_ == 0 ? 0 : inlineLimitBytes(record);
  out.resize(dataStart);
  for (size_t number = 0; number < columns_.size(); number++) {
    const ColumnFormat& column = columns_[number];
    const bool columnIsNull = isNull(column, record);
    if (columnIsNull) setNullInRow(&out[start], number);
    if (column.isVariable) {
      if (!columnIsNull) {
        if (const int error = appendData(column, record, inlineLimit, blobs, out)) return error;
      }
      setU32(&out[start + whole_.fixedBytes + 4 * column.rowOffset],
             static_cast<uint32_t>(out.size() - dataStart));
    } else if (column.storage == Storage::HIDDEN) {
      std::memcpy(&out[start + column.rowOffset], &hiddenKey, sizeof hiddenKey);
    } else if (!columnIsNull) {
      storeFixed(column, record, &out[start + column.rowOffset]);
    }
  }
  return 0;
}

// Finds out whether the record has the value of the blob that `before`, the column's data, refers to.
int RowFormat::hasBlobOf(const ColumnFormat& column, const uchar* record, std::string_view before,
                         BlobStore& blobs, bool& isSame) {
  isSame = false;
  const std::optional<BlobReference> reference = readBlobReference(before);
  if (!reference) return 0;
  const std::string_view value = blobOf(column, record);
  return value.size() == reference->lengthBytes ? blobs.compare(reference->blob, value, isSame) : 0;
}

int RowFormat::encodeChanged(std::string_view before, const uchar* record, const MY_BITMAP* written,
                             BlobStore& blobs, std::string& out) const {
  const size_t endsOffset = whole_.fixedBytes;
  const size_t dataOffset = endsOffset + 4 * whole_.variableCount;
  if (before.size() < dataOffset) return HA_ERR_CRASHED;
  const size_t start = out.size();
  const uint32_t inlineLimit = blobCount_ == 0 ? 0 : inlineLimitBytes(record);
  out.append(before.substr(0, dataOffset));
  uint32_t oldEnd = 0;
  for (size_t number = 0; number < columns_.size(); number++) {
    const ColumnFormat& column = columns_[number];
    const uint32_t oldStart = oldEnd;
    if (column.isVariable) {
      oldEnd = u32(&before[endsOffset + 4 * column.rowOffset]);
      if (oldEnd < oldStart || oldEnd > before.size() - dataOffset) return HA_ERR_CRASHED;
    }
    const bool isKept =
        column.storage == Storage::HIDDEN || (written != nullptr && !bitmap_is_set(written, column.field));
    if (!isKept) {
      char& nulls = out[start + number / 8];
      nulls = static_cast<char>(nulls & ~(1 << (number % 8)));
      const bool columnIsNull = isNull(column, record);
      if (columnIsNull) setNullInRow(&out[start], number);
      if (column.isVariable) {
        const std::string_view old = before.substr(dataOffset + oldStart, oldEnd - oldStart);
        bool keepsBlob = false;
        if (!columnIsNull && column.storage == Storage::BLOB) {
          if (const int error = hasBlobOf(column, record, old, blobs, keepsBlob)) return error;
        }
        if (keepsBlob) {
          out.append(old);
        } else if (!columnIsNull) {
          if (const int error = appendData(column, record, inlineLimit, blobs, out)) return error;
        }
      } else if (columnIsNull) {
        std::memset(&out[start + column.rowOffset], 0, column.widthBytes);
      } else {
        storeFixed(column, record, &out[start + column.rowOffset]);
      }
    } else if (column.isVariable) {
      out.append(before.substr(dataOffset + oldStart, oldEnd - oldStart));
    }
    if (column.isVariable) {
      setU32(&out[start + endsOffset + 4 * column.rowOffset],
             static_cast<uint32_t>(out.size() - start - dataOffset));
    }
  }
  return 0;
}

int RowFormat::loadData(const ColumnFormat& column, std::string_view data, uchar* record, BlobStore& blobs,
                        MEM_ROOT* blobMemory) const {
  uchar* to = record + column.recordOffset;
  if (column.storage != Storage::BLOB && data.size() > column.widthBytes) return HA_ERR_CRASHED;
  switch (column.storage) {
    case Storage::TEXT:
      std::memcpy(to, data.data(), data.size());
      column.charset->fill(reinterpret_cast<char*>(to) + data.size(), column.widthBytes - data.size(), ' ');
      return 0;
    case Storage::BINARY:
      std::memcpy(to, data.data(), data.size());
      std::memset(to + data.size(), 0, column.widthBytes - data.size());
      return 0;
    case Storage::VARCHAR8:
      *to = static_cast<uchar>(data.size());
      std::memcpy(to + 1, data.data(), data.size());
      return 0;
    case Storage::VARCHAR16:
      int2store(to, data.size());
      std::memcpy(to + 2, data.data(), data.size());
      return 0;
    default:
      break;
  }
  const uchar* bytes = nullptr;
  uint64_t length = 0;
  uint64_t blob = 0;
  if (data.empty()) {  // NULL
  } else if (data[0] == static_cast<char>(wire::BlobForm::INLINE)) {
    bytes = reinterpret_cast<const uchar*>(data.data()) + 1;
    length = data.size() - 1;
  } else if (const std::optional<BlobReference> reference = readBlobReference(data)) {
    blob = reference->blob;
    length = reference->lengthBytes;
  } else {
    return HA_ERR_CRASHED;
  }
  if (length >> (8 * column.lengthBytes) != 0) return HA_ERR_CRASHED;
  if (bytes == nullptr && length != 0) {
    auto* memory = static_cast<uchar*>(alloc_root(blobMemory, length));
    if (memory == nullptr) return HA_ERR_OUT_OF_MEM;
    if (const int error = blobs.read(blob, length, memory)) return error;
    bytes = memory;
  }
  std::memcpy(to, &length, column.lengthBytes);
  std::memcpy(to + column.lengthBytes, &bytes, sizeof bytes);
  return 0;
}

int RowFormat::decode(std::string_view row, const Projection& projection, uchar* record, BlobStore& blobs,
                      MEM_ROOT* blobMemory) const {
  const bool isWhole = projection.columns.empty();
  const size_t dataOffset = projection.fixedBytes + 4 * projection.variableCount;
  if (row.size() < dataOffset) return HA_ERR_CRASHED;
  const size_t dataBytes = row.size() - dataOffset;
  const char* ends = row.data() + projection.fixedBytes;
  const char* fixed = row.data() + (projection.count + 7) / 8;
  uint32_t end = 0;
  for (uint32_t place = 0; place < projection.count; place++) {
    const ColumnFormat& column = columns_[isWhole ? place : projection.columns[place]];
    const bool columnIsNull = column.nullMask != 0 && isNullInRow(row, place);
    if (column.nullMask != 0) {
      uchar& nulls = record[column.nullOffset];
      nulls = columnIsNull ? nulls | column.nullMask : nulls & ~column.nullMask;
    }
    if (column.isVariable) {
      const uint32_t start = end;
      end = u32(ends);
      ends += 4;
      if (end < start || end > dataBytes) return HA_ERR_CRASHED;
      if (const int error =
              loadData(column, row.substr(dataOffset + start, end - start), record, blobs, blobMemory)) {
        return error;
      }
      continue;
    }
    uchar* to = record + column.recordOffset;
    if (columnIsNull) {
      std::copy(column.nullBytes.begin(), column.nullBytes.end(), to);
      fixed += column.widthBytes;
      continue;
    }
    switch (column.storage) {
      case Storage::SIGNED24:
      case Storage::UNSIGNED24:
        int3store(to, u32(fixed));
        break;
      case Storage::HIDDEN:
        break;
      default:
        std::memcpy(to, fixed, column.widthBytes);
        break;
    }
    fixed += column.widthBytes;
  }
  return 0;
}

}  // namespace vamos::mariadb
