#include "engine/keys.hpp"

#include <bit>
#include <cstring>

namespace vamos::engine {
namespace {

constexpr uint32_t inKeyFlag = 0x80000000;

}  // namespace

void appendBigEndian32(std::string& out, uint32_t value) { appendU32(out, __builtin_bswap32(value)); }
void appendBigEndian64(std::string& out, uint64_t value) { appendU64(out, __builtin_bswap64(value)); }

uint32_t bigEndian32(std::string_view bytes) { return __builtin_bswap32(Reader(bytes).u32()); }
uint64_t bigEndian64(std::string_view bytes) { return __builtin_bswap64(Reader(bytes).u64()); }

std::string spaceKey(uint32_t space, std::string_view key) {
  std::string result;
  result.reserve(4 + key.size());
  appendBigEndian32(result, space);
  result.append(key);
  return result;
}

std::string recordKey(RecordKind kind, std::string_view key) {
  std::string result = spaceKey(recordSpace);
  result.push_back(static_cast<char>(kind));
  result.append(key);
  return result;
}

std::string recordKey32(RecordKind kind, uint32_t number) {
  std::string result = recordKey(kind);
  appendBigEndian32(result, number);
  return result;
}

std::string recordKey64(RecordKind kind, uint64_t number) {
  std::string result = recordKey(kind);
  appendBigEndian64(result, number);
  return result;
}

std::string chunkKey(uint64_t blob, uint64_t offset) {
  std::string result = spaceKey(blobSpace);
  appendBigEndian64(result, blob);
  appendBigEndian64(result, offset);
  return result;
}

std::string prefixSuccessor(std::string key) {
  while (!key.empty() && key.back() == '\xFF') key.pop_back();
  // Never empty here: no space in use has all bits set.
  if (!key.empty()) key.back() = static_cast<char>(static_cast<uint8_t>(key.back()) + 1);
  return key;
}

KeyRange prefixRange(std::string prefix) {
  std::string high = prefixSuccessor(prefix);
  return {std::move(prefix), std::move(high)};
}

KeyRange boundsRange(uint32_t space, const CursorOptions& options) {
  KeyRange range = prefixRange(spaceKey(space));
  if (options.lower) {
    range.low = spaceKey(space, *options.lower);
    if (options.lowerExclusive) range.low = prefixSuccessor(std::move(range.low));
  }
  if (options.upper) {
    range.high = spaceKey(space, *options.upper);
    if (!options.upperExclusive) range.high = prefixSuccessor(std::move(range.high));
  }
  return range;
}

std::string entryKey(const IndexLayout& index, const Entry& entry, std::string_view primaryKey) {
  std::string key = spaceKey(index.space, entry.key);
  if (!isUniqueEntry(index, entry)) key.append(primaryKey);
  return key;
}

std::string entryValue(const IndexLayout& index, const Entry& entry, std::string_view primaryKey) {
  std::string value;
  const bool inKey = !isUniqueEntry(index, entry);
  appendU32(value, static_cast<uint32_t>(primaryKey.size()) | (inKey ? inKeyFlag : 0));
  if (!inKey) value.append(primaryKey);
  value.append(entry.covered);
  return value;
}

bool entryPrimaryKey(std::string_view key, std::string_view value, std::string_view& primaryKey) {
  Reader reader(value);
  const uint32_t head = reader.u32();
  const uint32_t lengthBytes = head & ~inKeyFlag;
  if (reader.failed()) return false;
  if ((head & inKeyFlag) == 0) {
    primaryKey = reader.take(lengthBytes);
    return !reader.failed();
  }
  if (key.size() < 4 + static_cast<size_t>(lengthBytes)) return false;
  primaryKey = key.substr(key.size() - lengthBytes);
  return true;
}

}  // namespace vamos::engine
