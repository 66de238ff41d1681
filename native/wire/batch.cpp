#include "wire/batch.hpp"

namespace vamos {
namespace {

constexpr uint8_t hasNullFlag = 1;

bool readEntries(Reader& reader, size_t indexCount, std::vector<Entry>& entries) {
  entries.resize(indexCount);
  for (Entry& entry : entries) {
    const uint8_t flags = reader.u8();
    if ((flags & ~hasNullFlag) != 0) return false;
    entry.hasNull = (flags & hasNullFlag) != 0;
    entry.key = reader.lengthPrefixed(maxKeyBytes);
    entry.covered = reader.lengthPrefixed(maxRowBytes);
    if (reader.failed()) return false;
  }
  return indexCount == 0 || !entries[0].hasNull;
}

}  // namespace

bool readNewRow(Reader& reader, size_t indexCount, NewRow& row) {
  row.row = reader.lengthPrefixed(maxRowBytes);
  return readEntries(reader, indexCount, row.entries);
}

bool readOldRow(Reader& reader, size_t indexCount, OldRow& row) {
  row.fingerprint = reader.u32();
  return readEntries(reader, indexCount, row.entries);
}

bool readKey(Reader& reader, std::string_view& key) {
  key = reader.lengthPrefixed(maxKeyBytes);
  return !reader.failed();
}

void appendEntry(std::string& batch, const Entry& entry) {
  batch.push_back(static_cast<char>(entry.hasNull ? hasNullFlag : 0));
  appendLengthPrefixed(batch, entry.key);
  appendLengthPrefixed(batch, entry.covered);
}

void appendNewRow(std::string& batch, const NewRow& row) {
  appendLengthPrefixed(batch, row.row);
  for (const Entry& entry : row.entries) appendEntry(batch, entry);
}

void appendOldRow(std::string& batch, const OldRow& row) {
  appendU32(batch, row.fingerprint);
  for (const Entry& entry : row.entries) appendEntry(batch, entry);
}

}  // namespace vamos
