#include "mariadb/format/key_format.hpp"

#include <algorithm>
#include <cstring>

#include "mariadb/format/padded_key.hpp"

namespace vamos::mariadb {
namespace {

std::string_view view(const uchar* bytes, size_t lengthBytes) {
  return {reinterpret_cast<const char*>(bytes), lengthBytes};
}

uint64_t littleEndian(const uchar* bytes, uint32_t count) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, count);
  return value;
}

bool isText(Storage storage) {
  return storage == Storage::TEXT || storage == Storage::VARCHAR8 || storage == Storage::VARCHAR16 ||
         storage == Storage::BLOB;
}

// Returns the part's bytes in a record, cut off at the part's length.
std::string_view recordData(const KeyPartFormat& part, const uchar* record) {
  const uchar* field = record + part.recordOffset;
  size_t lengthBytes = part.recordBytes;
  switch (part.storage) {
    case Storage::VARCHAR8:
      lengthBytes = *field++;
      break;
    case Storage::VARCHAR16:
      lengthBytes = littleEndian(field, 2);
      field += 2;
      break;
    case Storage::BLOB: {
      lengthBytes = littleEndian(field, part.lengthBytes);
      std::memcpy(&field, field + part.lengthBytes, sizeof field);
      break;
    }
    default:
      break;
  }
  return view(field, std::min<size_t>(lengthBytes, part.recordBytes));
}

// Returns the part's bytes in a search key, in which they stand behind the NULL byte.
std::string_view searchData(const KeyPartFormat& part, const uchar* key) {
  if (part.storage != Storage::VARCHAR8 && part.storage != Storage::VARCHAR16 &&
      part.storage != Storage::BLOB) {
    return view(key, part.recordBytes);
  }
  return view(key + 2, std::min<size_t>(littleEndian(key, 2), part.recordBytes));
}

void appendInteger(const KeyPartFormat& part, std::string_view data, std::string& out) {
  uint64_t value = littleEndian(reinterpret_cast<const uchar*>(data.data()), part.recordBytes);
  if (part.coding == KeyCoding::SIGNED) {
    const uint32_t unused = 64 - 8 * part.recordBytes;
    value = static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
    value ^= uint64_t{1} << (8 * part.keyBytes - 1);
  }
  for (uint32_t byte = part.keyBytes; byte-- > 0;) out.push_back(static_cast<char>(value >> (8 * byte)));
}

template <typename Float, typename Bits>
void appendFloat(std::string_view data, std::string& out) {
  Float value;
  std::memcpy(&value, data.data(), sizeof value);
  if (value == 0) value = 0;  // -0 is 0
  Bits bits;
  std::memcpy(&bits, &value, sizeof bits);
  constexpr Bits sign = Bits{1} << (8 * sizeof(Bits) - 1);
  bits = (bits & sign) != 0 ? ~bits : bits | sign;
  for (size_t byte = sizeof(Bits); byte-- > 0;) out.push_back(static_cast<char>(bits >> (8 * byte)));
}

void appendValue(const KeyPartFormat& part, std::string_view data, std::string& out) {
  switch (part.coding) {
    case KeyCoding::SIGNED:
    case KeyCoding::UNSIGNED:
      appendInteger(part, data, out);
      break;
    case KeyCoding::FLOAT:
      appendFloat<float, uint32_t>(data, out);
      break;
    case KeyCoding::DOUBLE:
      appendFloat<double, uint64_t>(data, out);
      break;
    case KeyCoding::BYTES:
      out.append(data);
      break;
    case KeyCoding::ESCAPED:
      appendEscaped(data, out);
      break;
    case KeyCoding::SORT_KEY:
      if ((part.isPrefix || part.isFilled) && part.charset->mbmaxlen > 1) {
        const size_t end = part.charset->charpos(data.data(), data.data() + data.size(), part.maxCharacters);
        data = data.substr(0, std::min(end, data.size()));
      }
      if (part.storage == Storage::TEXT && !part.isFilled) {
        data = data.substr(0, part.charset->lengthsp(data.data(), data.size()));
      }
      part.sortKey.append(data, out);
      break;
  }
}

void appendPart(const KeyPartFormat& part, bool isNull, std::string_view data, std::string& out) {
  const size_t start = out.size();
  if (part.nullMask != 0) out.push_back(isNull ? 0 : 1);
  if (!isNull) appendValue(part, data, out);
  if (part.isDescending) {
    for (size_t at = start; at < out.size(); at++) out[at] = static_cast<char>(~out[at]);
  }
}

bool isNull(const KeyPartFormat& part, const uchar* record) {
  return (record[part.nullOffset] & part.nullMask) != 0;
}

void appendSearchPart(const KeyPartFormat& part, const uchar* key, std::string& out) {
  const bool partIsNull = part.nullMask != 0 && *key != 0;
  const uchar* data = key + (part.nullMask != 0 ? 1 : 0);
  appendPart(part, partIsNull, partIsNull ? std::string_view{} : searchData(part, data), out);
}

bool makePart(const TABLE_SHARE& share, const KEY_PART_INFO& keyPart, const RowFormat& rows,
              KeyPartFormat& part) {
  const Field& field = *share.field[keyPart.fieldnr - 1];
  part.column = rows.columnOf(field.field_index);
  if (part.column == noColumn) return false;
  const ColumnFormat& column = rows.columns()[part.column];
  part.storage = column.storage;
  part.isDescending = (keyPart.key_part_flag & HA_REVERSE_SORT) != 0;
  part.nullMask = column.nullMask;
  part.nullOffset = column.nullOffset;
  part.recordOffset = column.recordOffset;
  part.lengthBytes = column.lengthBytes;
  part.charset = column.charset;
  part.recordBytes = keyPart.length;
  part.searchBytes = keyPart.length + (part.nullMask != 0 ? 1 : 0);
  if (isText(part.storage) || part.storage == Storage::BINARY) {
    const bool isBinary = part.charset == &my_charset_bin;
    part.isPrefix = part.storage == Storage::BLOB || keyPart.length < column.widthBytes;
    part.maxCharacters = keyPart.length / part.charset->mbmaxlen;
    part.coding = isBinary ? KeyCoding::ESCAPED : KeyCoding::SORT_KEY;
    // If a collation ignores characters and does not pad, a CHAR counts with all its spaces.
    part.isFilled = part.storage == Storage::TEXT && (part.charset->state & MY_CS_NOPAD) != 0 &&
                    part.charset->uca != nullptr;
    if (!isBinary) part.sortKey = SortKey(part.charset, part.storage == Storage::TEXT && !part.isFilled);
    if (part.storage != Storage::TEXT && part.storage != Storage::BINARY) part.searchBytes += 2;
    return true;
  }
  switch (column.kind) {
    case ColumnKind::INT8:
    case ColumnKind::INT16:
    case ColumnKind::INT32:
    case ColumnKind::INT64:
      part.coding = KeyCoding::SIGNED;
      break;
    case ColumnKind::UINT8:
    case ColumnKind::UINT16:
    case ColumnKind::UINT32:
    case ColumnKind::UINT64:
      part.coding = KeyCoding::UNSIGNED;
      break;
    case ColumnKind::FLOAT:
      part.coding = KeyCoding::FLOAT;
      break;
    case ColumnKind::DOUBLE:
      part.coding = KeyCoding::DOUBLE;
      break;
    default:
      part.coding = KeyCoding::BYTES;
      break;
  }
  part.keyBytes = column.widthBytes;
  return true;
}

}  // namespace

bool IndexFormat::make(const TABLE_SHARE& share, const KEY& key, const RowFormat& rows,
                       std::string& refusal) {
  const std::string name(key.name.str, key.name.length);
  if ((key.flags & HA_FULLTEXT) != 0) {
    refusal = "index " + name + ": ENGINE=VAMOS has no FULLTEXT indexes";
    return false;
  }
  if ((key.flags & HA_SPATIAL) != 0) {
    refusal = "index " + name + ": ENGINE=VAMOS has no SPATIAL indexes";
    return false;
  }
  // The columns of a unique key may be too long for an index. The server then checks it by an index of their
  // hash.
  const bool isHash = key.algorithm == HA_KEY_ALG_LONG_HASH;
  const KEY_PART_INFO* first = key.key_part + (isHash ? key.user_defined_key_parts : 0);
  parts_.resize(isHash ? 1 : key.user_defined_key_parts);
  for (size_t number = 0; number < parts_.size(); number++) {
    if (!makePart(share, first[number], rows, parts_[number])) {
      refusal = "index " + name + " has a column that is not stored";
      return false;
    }
  }
  return true;
}

size_t IndexFormat::maxKeyBytes() const {
  size_t bytes = 0;
  for (const KeyPartFormat& part : parts_) {
    switch (part.coding) {
      case KeyCoding::ESCAPED:
        bytes += 2 * part.recordBytes + 2;
        break;
      case KeyCoding::SORT_KEY:
        bytes += part.sortKey.maxBytes(part.recordBytes);
        break;
      case KeyCoding::BYTES:
      case KeyCoding::FLOAT:
      case KeyCoding::DOUBLE:
        bytes += part.recordBytes;
        break;
      default:
        bytes += part.keyBytes;
        break;
    }
    if (part.nullMask != 0) bytes++;
  }
  return bytes;
}

bool IndexFormat::readsAs(const IndexFormat& other) const {
  return std::equal(parts_.begin(), parts_.end(), other.parts_.begin(), other.parts_.end(),
                    [](const KeyPartFormat& part, const KeyPartFormat& same) {
                      return part.column == same.column && part.coding == same.coding &&
                             part.isDescending == same.isDescending && part.charset == same.charset &&
                             part.isPrefix == same.isPrefix && part.keyBytes == same.keyBytes &&
                             (part.nullMask == 0) == (same.nullMask == 0) &&
                             (part.storage == Storage::TEXT) == (same.storage == Storage::TEXT) &&
                             (part.recordBytes == same.recordBytes ||
                              (!part.isPrefix && !part.isFilled && part.charset != nullptr));
                    });
}

bool IndexFormat::encode(const uchar* record, std::string& out) const {
  bool hasNull = false;
  for (const KeyPartFormat& part : parts_) {
    const bool partIsNull = isNull(part, record);
    hasNull = hasNull || partIsNull;
    appendPart(part, partIsNull, partIsNull ? std::string_view{} : recordData(part, record), out);
  }
  return hasNull;
}

bool IndexFormat::encodeSearchKey(const uchar* key, key_part_map given, const IndexFormat* primary,
                                  std::string& out) const {
  const uchar* first = key;
  if (given == HA_WHOLE_KEY) primary = nullptr;  // it means the parts of the index alone
  for (const KeyPartFormat& part : parts_) {
    if ((given & 1) == 0) return false;
    given >>= 1;
    appendSearchPart(part, key, out);
    key += part.searchBytes;
  }
  if (primary == nullptr || given == 0) return true;
  for (const KeyPartFormat& part : primary->parts_) {
    // A search key does not repeat a column of the primary key that the index has already.
    const uchar* own = first;
    const auto same = std::find_if(parts_.begin(), parts_.end(), [&](const KeyPartFormat& each) {
      if (each.column == part.column && !each.isPrefix) return true;
      own += each.searchBytes;
      return false;
    });
    if (same != parts_.end()) {
      appendSearchPart(part, own, out);
      continue;
    }
    if ((given & 1) == 0) break;
    given >>= 1;
    appendSearchPart(part, key, out);
    key += part.searchBytes;
  }
  return true;
}

bool IndexFormat::same(const uchar* left, const uchar* right) const {
  for (const KeyPartFormat& part : parts_) {
    const bool leftIsNull = isNull(part, left);
    if (leftIsNull != isNull(part, right)) return false;
    if (leftIsNull) continue;
    const std::string_view leftData = recordData(part, left);
    const std::string_view rightData = recordData(part, right);
    if (leftData == rightData) continue;
    if (part.coding != KeyCoding::SORT_KEY) return false;
    std::string leftKey;
    std::string rightKey;
    appendValue(part, leftData, leftKey);
    appendValue(part, rightData, rightKey);
    if (leftKey != rightKey) return false;
  }
  return true;
}

}  // namespace vamos::mariadb
