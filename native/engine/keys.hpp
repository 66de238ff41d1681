#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/types.hpp"
#include "wire/batch.hpp"

// Keys and values as RocksDB holds them: src/protocol/FORMATS.md, section Store.
namespace vamos::engine {

constexpr uint32_t recordSpace = 0;
constexpr uint32_t blobSpace = 0xFFFFFFFE;
constexpr uint32_t firstTableSpace = 1;
constexpr uint32_t lastTableSpace = 0xFFFFFF00;

// First byte of a record's key in space 0.
enum class RecordKind : char {
  FORMAT = 'v',         // u32: version of the on-disk format
  CATALOGUE = 'c',      // the host module's own
  PENDING_BLOB = 'b',   // u64 big-endian: a blob that no committed row owns
  REMOVED_BLOB = 'r',   // u64 big-endian: a blob whose chunks can go
  REMOVED_SPACE = 'd',  // u32 big-endian: a space whose data can go
  LAST_COMMIT = 't'     // 16 bytes session, u32 big-endian stream: its last commit: number, time, order
};

// Keys k with low <= k < high.
struct KeyRange {
  std::string low;
  std::string high;

  bool isEmpty() const { return low >= high; }
  bool contains(std::string_view key) const { return low <= key && key < high; }
};

void appendBigEndian32(std::string& out, uint32_t value);
void appendBigEndian64(std::string& out, uint64_t value);
uint32_t bigEndian32(std::string_view bytes);
uint64_t bigEndian64(std::string_view bytes);

std::string spaceKey(uint32_t space, std::string_view key = {});
std::string recordKey(RecordKind kind, std::string_view key = {});
std::string recordKey32(RecordKind kind, uint32_t number);
std::string recordKey64(RecordKind kind, uint64_t number);
std::string chunkKey(uint64_t blob, uint64_t offset);

// The least key above every key that begins with this one.
std::string prefixSuccessor(std::string key);
KeyRange prefixRange(std::string prefix);
// The keys between the bounds of a cursor, which are those of OpenCursor in tables.proto.
KeyRange boundsRange(uint32_t space, const CursorOptions& options);

// Whether the entry's key alone names the row: then it stands without the primary key.
inline bool isUniqueEntry(const IndexLayout& index, const Entry& entry) {
  return index.isUnique && !entry.hasNull;
}
std::string entryKey(const IndexLayout& index, const Entry& entry, std::string_view primaryKey);
std::string entryValue(const IndexLayout& index, const Entry& entry, std::string_view primaryKey);
// The primary key that a secondary index's entry refers to; false if the bytes don't check.
bool entryPrimaryKey(std::string_view key, std::string_view value, std::string_view& primaryKey);

}  // namespace vamos::engine
