#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/limits.hpp"
#include "wire/bytes.hpp"

// Batches of rows and keys in the form in which they travel: src/protocol/FORMATS.md.
namespace vamos {

// A row's entry in one index. Views point into the batch.
struct Entry {
  std::string_view key;
  std::string_view covered;
  bool hasNull = false;  // The key has a NULL part, so it is not checked for uniqueness.
};

struct OldRow {
  uint32_t fingerprint = 0;  // CRC-32C of the row as the connector read it
  std::vector<Entry> entries;
};

struct NewRow {
  std::string_view row;
  std::vector<Entry> entries;
};

// Each function takes the next item from the reader, and returns false if its bytes break the format or a
// limit. The entries' storage is reused from call to call.
bool readNewRow(Reader& reader, size_t indexCount, NewRow& row);
bool readOldRow(Reader& reader, size_t indexCount, OldRow& row);
bool readKey(Reader& reader, std::string_view& key);

void appendEntry(std::string& batch, const Entry& entry);
void appendNewRow(std::string& batch, const NewRow& row);
void appendOldRow(std::string& batch, const OldRow& row);

}  // namespace vamos
