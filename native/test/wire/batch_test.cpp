#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "wire/batch.hpp"

#include <doctest/doctest.h>

#include "wire/row.hpp"

using namespace vamos;

namespace {

const NewRow newRow{"row bytes", {{"key", "", false}, {"second", "cov", true}}};

}  // namespace

TEST_CASE("rows come out of a batch as they went in") {
  std::string batch;
  appendNewRow(batch, newRow);
  appendOldRow(batch, {77, {{"old", "", false}, {"x", "", false}}});
  Reader reader(batch);
  NewRow read;
  REQUIRE(readNewRow(reader, 2, read));
  CHECK(read.row == "row bytes");
  CHECK(read.entries[0].key == "key");
  CHECK(read.entries[1].covered == "cov");
  CHECK(read.entries[1].hasNull);
  OldRow old;
  REQUIRE(readOldRow(reader, 2, old));
  CHECK(old.fingerprint == 77);
  CHECK(old.entries[0].key == "old");
  CHECK(reader.atEnd());
}

TEST_CASE("a batch cut anywhere is refused") {
  std::string batch;
  appendNewRow(batch, newRow);
  for (size_t length = 0; length < batch.size(); length++) {
    CAPTURE(length);
    const std::string cut = batch.substr(0, length);
    Reader reader(cut);
    NewRow read;
    CHECK_FALSE(readNewRow(reader, 2, read));
  }
}

TEST_CASE("lengths over the limits, unknown flags and a NULL in the primary key are refused") {
  const auto isRefused = [](const NewRow& row) {
    std::string batch;
    appendNewRow(batch, row);
    Reader reader(batch);
    NewRow read;
    return !readNewRow(reader, row.entries.size(), read);
  };
  const std::string longest(maxKeyBytes, 'k');
  const std::string tooLong(maxKeyBytes + 1, 'k');
  CHECK_FALSE(isRefused({"r", {{longest, "", false}}}));
  CHECK(isRefused({"r", {{tooLong, "", false}}}));
  CHECK(isRefused({"r", {{"k", "", true}}}));

  std::string batch;
  appendNewRow(batch, {"r", {{"k", "", false}}});
  batch[5] = 2;
  Reader reader(batch);
  NewRow read;
  CHECK_FALSE(readNewRow(reader, 1, read));
}

TEST_CASE("a length near the top of its range reads nothing") {
  std::string bytes;
  appendU32(bytes, 0xFFFFFFFF);
  bytes += "abc";
  Reader reader(bytes);
  CHECK(reader.lengthPrefixed(0xFFFFFFFF).empty());
  CHECK(reader.failed());
  CHECK(reader.u64() == 0);
}

TEST_CASE("a projection is the row of a table with just those columns") {
  const std::vector<Column> columns{{static_cast<uint32_t>(ColumnKind::UINT16), 0},
                                    {static_cast<uint32_t>(ColumnKind::BYTES), 0},
                                    {static_cast<uint32_t>(ColumnKind::FIXED), 3},
                                    {static_cast<uint32_t>(ColumnKind::BLOB), 0}};
  const RowLayout layout = *RowLayout::make(columns);
  std::string row{'\x02', '\x34', '\x12', 'f', 'i', 'x'};  // column 1 is NULL
  appendU32(row, 0);
  appendU32(row, 4);
  row += std::string("\0blo", 4);
  REQUIRE(layout.isValid(row));
  std::string out;
  const std::vector<uint32_t> some{3, 1, 0};
  REQUIRE(layout.project(row, some, out));
  std::string expected{'\x02', '\x34', '\x12'};
  appendU32(expected, 4);
  appendU32(expected, 4);
  expected += std::string("\0blo", 4);
  CHECK(out == expected);
}

TEST_CASE("rows whose offsets don't agree are not valid") {
  const std::vector<Column> columns{{static_cast<uint32_t>(ColumnKind::BYTES), 0},
                                    {static_cast<uint32_t>(ColumnKind::BYTES), 0}};
  const RowLayout layout = *RowLayout::make(columns);
  const auto make = [](uint32_t first, uint32_t second, const std::string& data) {
    std::string row(1, '\0');
    appendU32(row, first);
    appendU32(row, second);
    return row + data;
  };
  CHECK(layout.isValid(make(2, 5, "abcde")));
  CHECK_FALSE(layout.isValid(make(2, 4, "abcde")));
  CHECK_FALSE(layout.isValid(make(6, 5, "abcde")));
  CHECK_FALSE(layout.isValid(make(0, 0xFFFFFFFF, "abcde")));
  CHECK_FALSE(layout.isValid(std::string(8, '\0')));
  CHECK_FALSE(layout.isValid(""));
}

TEST_CASE("unknown kinds and widths over the limit make no layout") {
  CHECK_FALSE(RowLayout::make(std::vector<Column>{{13, 0}}));
  CHECK_FALSE(RowLayout::make(std::vector<Column>{{10, 0x80000000}}));
  CHECK_FALSE(RowLayout::make(std::vector<Column>(maxColumns + 1)));
}
