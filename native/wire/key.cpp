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

// Appends an IEEE 754 number so that the order of the bytes is that of the numbers, -0 as 0.
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

// Takes a BYTES part, up to its end. Returns false if it has none.
bool takeEscaped(std::span<char>& key, char mask, std::string_view& data) {
  size_t sizeBytes = 0;
  for (size_t at = 0; at < key.size(); at++) {
    const char byte = static_cast<char>(key[at] ^ mask);
    if (byte == '\0') {
      if (++at == key.size()) return false;
      const char mark = static_cast<char>(key[at] ^ mask);
      if (mark == '\1') {
        data = {key.data(), sizeBytes};
        key = key.subspan(at + 1);
        return true;
      }
      if (mark != '\xFF') return false;
    }
    key[sizeBytes++] = byte;
  }
  return false;
}

bool takeFixed(std::span<char>& key, char mask, ColumnKind kind, size_t widthBytes, std::string_view& data) {
  if (key.size() < widthBytes) return false;
  const std::span<char> value = key.first(widthBytes);
  key = key.subspan(widthBytes);
  for (char& byte : value) byte = static_cast<char>(byte ^ mask);
  if (kind != ColumnKind::FIXED) {
    std::reverse(value.begin(), value.end());
    if (kind <= ColumnKind::INT64) value.back() = static_cast<char>(value.back() ^ sign);
  }
  data = {value.data(), value.size()};
  return true;
}

bool takePart(const RowLayout& layout, const KeyPart& part, std::span<char>& key,
              std::vector<ColumnValue>& values) {
  const char mask = part.isDescending ? '\xFF' : '\0';
  ColumnValue value{part.column, false, {}};
  if (layout.isNullable(part.column)) {
    if (key.empty()) return false;
    const char mark = static_cast<char>(key.front() ^ mask);
    if (mark != nullMark && mark != valueMark) return false;
    value.isNull = mark == nullMark;
    key = key.subspan(1);
  }
  const ColumnKind kind = layout.kind(part.column);
  const bool isEscaped = kind == ColumnKind::BYTES || kind == ColumnKind::BLOB;
  const bool isTaken =
      value.isNull || (isEscaped ? takeEscaped(key, mask, value.bytes)
                                 : takeFixed(key, mask, kind, layout.widthBytes(part.column), value.bytes));
  if (isTaken && keyGivesBack(kind)) values.push_back(value);
  return isTaken;
}

// Walks over the bytes of a part, which may be inverted.
class PartReader {
 public:
  PartReader(std::string_view key, bool isInverted) : key_(key), mask_(isInverted ? 0xFF : 0) {}

  size_t position() const { return position_; }
  bool skip(size_t bytes) {
    if (key_.size() - position_ < bytes) return false;
    position_ += bytes;
    return true;
  }
  bool take(uint8_t& byte) {
    if (position_ == key_.size()) return false;
    byte = static_cast<uint8_t>(static_cast<uint8_t>(key_[position_++]) ^ mask_);
    return true;
  }
  bool takeUnit(std::string_view unit, bool& isSame) {
    if (key_.size() - position_ < unit.size()) return false;
    isSame = true;
    for (const char expected : unit) {
      uint8_t byte = 0;
      take(byte);
      isSame = isSame && byte == static_cast<uint8_t>(expected);
    }
    return true;
  }

 private:
  std::string_view key_;
  size_t position_ = 0;
  uint8_t mask_;
};

bool skipEscaped(PartReader& reader) {
  for (uint8_t byte = 0; reader.take(byte);) {
    if (byte != 0) continue;
    if (!reader.take(byte)) return false;
    if (byte == 1) return true;
    if (byte != 0xFF) return false;
  }
  return false;
}

// Skips a level of PAD SPACE: FORMATS.md, MariaDB's columns.
bool skipPadded(PartReader& reader, std::string_view pad) {
  for (bool isPad = false; reader.takeUnit(pad, isPad);) {
    if (!isPad) continue;
    uint8_t mark = 0;
    if (!reader.take(mark)) return false;
    if (mark == 2) return true;
    uint8_t length = 0;
    if ((mark != 1 && mark != 3) || !reader.take(length)) return false;
    if (length == (mark == 1 ? 0xFF : 0) && !reader.skip(sizeof(uint32_t))) return false;
  }
  return false;
}

bool skipLevels(PartReader& reader, std::string_view levels) {
  if (levels.empty()) return false;
  while (!levels.empty()) {
    const size_t unitBytes = static_cast<uint8_t>(levels.front());
    if (unitBytes > levels.size() - 1) return false;
    const std::string_view pad = levels.substr(1, unitBytes);
    levels.remove_prefix(1 + unitBytes);
    if (!(pad.empty() ? skipEscaped(reader) : skipPadded(reader, pad))) return false;
  }
  return true;
}

bool skipValue(PartReader& reader, const RowLayout& layout, const KeyPart& part) {
  if (part.isOpaque) return skipLevels(reader, part.levels);
  const uint32_t widthBytes = layout.widthBytes(part.column);
  return widthBytes == 0 ? skipEscaped(reader) : reader.skip(widthBytes);
}

}  // namespace

std::optional<size_t> partBytes(const RowLayout& layout, const KeyPart& part, std::string_view key) {
  PartReader reader(key, part.isDescending);
  if (layout.isNullable(part.column)) {
    uint8_t mark = 0;
    if (!reader.take(mark)) return std::nullopt;
    if (mark == nullMark) return reader.position();
  }
  if (!skipValue(reader, layout, part)) return std::nullopt;
  return reader.position();
}

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

bool keyGivesBack(ColumnKind kind) { return kind != ColumnKind::FLOAT && kind != ColumnKind::DOUBLE; }

bool takeKeyParts(const RowLayout& layout, std::span<const KeyPart> parts, std::span<char>& key,
                  std::vector<ColumnValue>& values) {
  return std::all_of(parts.begin(), parts.end(),
                     [&](const KeyPart& part) { return takePart(layout, part, key, values); });
}

}  // namespace vamos
