// Rows, keys and projections from bytes that anyone may have sent: nothing reads past them, and what was read
// writes back to the same bytes.
#include <cstdlib>
#include <vector>

#include "wire/batch.hpp"
#include "wire/row.hpp"

namespace {

using namespace vamos;

void check(bool holds) {
  if (!holds) std::abort();
}

void tryRow(std::string_view row) {
  static const std::vector<Column> columns{{static_cast<uint32_t>(ColumnKind::INT32), 0},
                                           {static_cast<uint32_t>(ColumnKind::BYTES), 0},
                                           {static_cast<uint32_t>(ColumnKind::FIXED), 5},
                                           {static_cast<uint32_t>(ColumnKind::BLOB), 0}};
  static const RowLayout layout = *RowLayout::make(columns);
  std::string projected;
  check(layout.project(row, std::vector<uint32_t>{3, 0, 1}, projected) == layout.isValid(row));
  std::string whole;
  if (layout.project(row, std::vector<uint32_t>{0, 1, 2, 3}, whole)) check(whole.substr(1) == row.substr(1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t indexCount = 1 + data[0] % 4;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);

  Reader inserts(input);
  NewRow row;
  size_t start = 0;
  while (!inserts.atEnd() && readNewRow(inserts, indexCount, row)) {
    std::string again;
    appendNewRow(again, row);
    check(again == input.substr(start, inserts.offset() - start));
    start = inserts.offset();
    tryRow(row.row);
  }
  Reader deletes(input);
  OldRow old;
  while (!deletes.atEnd() && readOldRow(deletes, indexCount, old)) {
  }
  Reader keys(input);
  std::string_view key;
  while (!keys.atEnd() && readKey(keys, key)) check(key.size() <= maxKeyBytes);
  tryRow(input);
  return 0;
}
