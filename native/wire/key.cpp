#include "wire/key.hpp"

#include <algorithm>

namespace vamos {
namespace {

constexpr char nullMark = 0;
constexpr char valueMark = 1;
constexpr unsigned char sign = 0x80;

void appendReversed(std::string& key, std::string_view data) { key.append(data.rbegin(), data.rend()); }

void flip(std::string& key, size_t from) {
  for (size_t i = from; i < key.size(); i++) key[i] = static_cast<char>(~key[i]);
}

void flipSign(std::string& key, size_t at) {
  key[at] = static_cast<char>(static_cast<unsigned char>(key[at]) ^ sign);
}

// IEEE 754: the order of the numbers becomes that of the bytes, -0 as 0.
void appendFloat(std::string& key, std::string_view data) {
  const size_t start = key.size();
  appendReversed(key, data);
  const bool isNegative = (static_cast<unsigned char>(key[start]) & sign) != 0;
  const bool isMinusZero = isNegative && static_cast<unsigned char>(key[start]) == sign &&
                           key.find_first_not_of('\0', start + 1) == std::string::npos;
  if (isNegative && !isMinusZero) {
    flip(key, start);
  } else if (!isMinusZero) {
    flipSign(key, start);
  }
}

void appendEscaped(std::string& key, std::string_view data) {
  for (size_t from = 0; from <= data.size();) {
    const size_t zero = std::min(data.find('\0', from), data.size());
    key.append(data, from, zero - from);
    if (zero < data.size()) key.append("\0\xFF", 2);
    from = zero + 1;
  }
  key.append("\0\1", 2);
}

void appendValue(std::string& key, ColumnKind kind, std::string_view data) {
  switch (kind) {
    case ColumnKind::INT8:
    case ColumnKind::INT16:
    case ColumnKind::INT32:
    case ColumnKind::INT64:
      appendReversed(key, data);
      flipSign(key, key.size() - data.size());
      break;
    case ColumnKind::UINT8:
    case ColumnKind::UINT16:
    case ColumnKind::UINT32:
    case ColumnKind::UINT64:
      appendReversed(key, data);
      break;
    case ColumnKind::FLOAT:
    case ColumnKind::DOUBLE:
      appendFloat(key, data);
      break;
    case ColumnKind::FIXED:
      key.append(data);
      break;
    case ColumnKind::BYTES:
    case ColumnKind::BLOB:
      appendEscaped(key, data);
      break;
  }
}

}  // namespace

bool appendKey(const RowLayout& layout, std::string_view row, std::span<const KeyPart> parts,
               std::string& key) {
  bool hasNull = false;
  for (const KeyPart& part : parts) {
    const size_t start = key.size();
    const bool isNull = RowLayout::isNull(row, part.column);
    if (layout.isNullable(part.column)) key.push_back(isNull ? nullMark : valueMark);
    if (isNull) {
      hasNull = true;
    } else {
      appendValue(key, layout.kind(part.column), layout.value(row, part.column));
    }
    if (part.isDescending) flip(key, start);
  }
  return hasNull;
}

}  // namespace vamos
