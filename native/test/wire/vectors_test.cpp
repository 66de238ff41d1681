#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <charconv>
#include <fstream>
#include <map>
#include <sstream>

#include "engine/program/program.hpp"
#include "wire/batch.hpp"
#include "wire/crc32c.hpp"
#include "wire/key.hpp"
#include "wire/row.hpp"

// The vectors that TypeScript's readers and writers are tested with, too; test/vectors/cases.ts says what
// stands in each line.
using namespace vamos;

namespace {

using Fields = std::vector<std::string>;

Fields split(const std::string& text, char separator) {
  Fields fields;
  std::istringstream stream(text);
  for (std::string field; std::getline(stream, field, separator);) fields.push_back(field);
  return fields;
}

uint32_t number(const std::string& text, int base = 10) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  REQUIRE((error == std::errc() && end == text.data() + text.size()));
  return value;
}

std::string bytes(const std::string& hex) {
  std::string result;
  if (hex == "-") return result;
  REQUIRE(hex.size() % 2 == 0);
  for (size_t i = 0; i < hex.size(); i += 2)
    result.push_back(static_cast<char>(number(hex.substr(i, 2), 16)));
  return result;
}

// KIND[:WIDTH][?]
Column column(std::string text) {
  static const std::map<std::string, ColumnKind> kinds{
      {"INT8", ColumnKind::INT8},     {"INT16", ColumnKind::INT16},   {"INT32", ColumnKind::INT32},
      {"INT64", ColumnKind::INT64},   {"UINT8", ColumnKind::UINT8},   {"UINT16", ColumnKind::UINT16},
      {"UINT32", ColumnKind::UINT32}, {"UINT64", ColumnKind::UINT64}, {"FLOAT", ColumnKind::FLOAT},
      {"DOUBLE", ColumnKind::DOUBLE}, {"FIXED", ColumnKind::FIXED},   {"BYTES", ColumnKind::BYTES},
      {"BLOB", ColumnKind::BLOB}};
  const bool isNullable = text.back() == '?';
  if (isNullable) text.pop_back();
  const Fields parts = split(text, ':');
  REQUIRE(kinds.contains(parts[0]));
  return {static_cast<uint32_t>(kinds.at(parts[0])), parts.size() > 1 ? number(parts[1]) : 0, isNullable};
}

std::optional<RowLayout> layoutOf(const std::string& text) {
  std::vector<Column> columns;
  for (const std::string& each : split(text, ',')) columns.push_back(column(each));
  return RowLayout::make(columns);
}

// The lines of this kind, without it.
std::vector<Fields> lines(const std::string& kind) {
  std::ifstream file(VAMOS_VECTORS);
  std::vector<Fields> result;
  for (std::string line; std::getline(file, line);) {
    Fields fields = split(line, ' ');
    if (fields.empty() || fields[0] != kind) continue;
    result.emplace_back(fields.begin() + 1, fields.end());
  }
  REQUIRE_MESSAGE(!result.empty(), "no line '" << kind << "' in " << VAMOS_VECTORS);
  return result;
}

std::string row(size_t line) { return bytes(lines("row").at(line).at(1)); }

void checkNew(Reader& reader, size_t line, std::string& copy) {
  NewRow read;
  REQUIRE(readNewRow(reader, 1, read));
  CHECK(read.row == row(line));
  appendNewRow(copy, read);
}

void checkOld(Reader& reader, size_t line, std::string& copy) {
  OldRow read;
  REQUIRE(readOldRow(reader, 1, read));
  const std::string expected = row(line);
  CHECK(read.fingerprint == crc32c(expected.data(), expected.size()));
  appendOldRow(copy, read);
}

}  // namespace

TEST_CASE("rows of the vectors are valid, have their fingerprints and give their projections") {
  for (const Fields& fields : lines("row")) {
    CAPTURE(fields[0]);
    const std::optional<RowLayout> layout = layoutOf(fields[0]);
    REQUIRE(layout);
    const std::string packed = bytes(fields[1]);
    CHECK(layout->isValid(packed));
    CHECK_FALSE(layout->isValid(packed + '\0'));
    for (size_t length = 0; length < packed.size(); length++)
      CHECK_FALSE(layout->isValid(packed.substr(0, length)));
    CHECK(crc32c(packed.data(), packed.size()) == number(fields[2], 16));
    std::vector<uint32_t> projection;
    for (const std::string& text : split(fields[3], ',')) projection.push_back(number(text));
    std::string projected = "before";
    REQUIRE(layout->project(packed, projection, projected));
    CHECK(projected == "before" + bytes(fields[4]));
  }
}

TEST_CASE("write batches of the vectors read as their rows and are written the same") {
  for (const std::string kind : {"insert", "update", "delete"}) {
    CAPTURE(kind);
    const Fields fields = lines(kind).at(0);
    const std::string batch = bytes(fields.at(1));
    const uint32_t rows = number(fields.at(0));
    Reader reader(batch);
    std::string copy;
    for (uint32_t i = 0; i < rows; i++) {
      if (kind != "insert") checkOld(reader, i, copy);
      // The update makes the second row of the first.
      if (kind != "delete") checkNew(reader, kind == "update" ? 1 : i, copy);
    }
    CHECK(reader.atEnd());
    CHECK(copy == batch);
  }
}

TEST_CASE("the key batch of the vectors has the keys of the insert") {
  const Fields fields = lines("keys").at(0);
  const std::string batch = bytes(fields.at(1));
  const std::string inserted = bytes(lines("insert").at(0).at(1));
  Reader reader(batch);
  Reader rows(inserted);
  for (uint32_t i = 0; i < number(fields.at(0)); i++) {
    std::string_view key;
    NewRow read;
    REQUIRE((readKey(reader, key) && readNewRow(rows, 1, read)));
    CHECK(key == read.entries[0].key);
  }
  CHECK(reader.atEnd());
}

TEST_CASE("the keys of the vectors are made of their rows, and give back their columns") {
  for (const Fields& fields : lines("key")) {
    CAPTURE(fields[0]);
    std::vector<KeyPart> parts;
    std::string columns;
    for (const std::string& text : split(fields[0], ',')) {
      const bool isDescending = text.front() == '-';
      parts.push_back({static_cast<uint32_t>(parts.size()), isDescending, false});
      columns += (columns.empty() ? "" : ",") + text.substr(isDescending ? 1 : 0);
    }
    const std::optional<RowLayout> layout = layoutOf(columns);
    REQUIRE(layout);
    const std::string row = bytes(fields[1]);
    REQUIRE(layout->isValid(row));
    bool isAnyNull = false;
    for (const KeyPart& part : parts) isAnyNull = isAnyNull || RowLayout::isNull(row, part.column);
    std::string key = "before";
    CHECK(appendKey(*layout, row, parts, key) == isAnyNull);
    CHECK(key == "before" + bytes(fields[2]));
    std::string made = bytes(fields[2]);
    std::span<char> rest(made);
    std::vector<ColumnValue> values;
    CHECK(takeKeyParts(*layout, parts, rest, values));
    CHECK(rest.empty());
    for (const ColumnValue& value : values) {
      CHECK(value.isNull == RowLayout::isNull(row, value.column));
      if (!value.isNull) CHECK(value.bytes == layout->value(row, value.column));
    }
  }
}

TEST_CASE("programs of the vectors are programs, and true where they are to be") {
  for (const Fields& fields : lines("program")) {
    CAPTURE(fields[2]);
    const std::optional<RowLayout> layout = layoutOf(fields[0]);
    REQUIRE(layout);
    const std::string row = bytes(fields[1]);
    REQUIRE(layout->isValid(row));
    std::string refusal;
    const std::optional<engine::Program> program =
        engine::Program::makeFilter(*layout, bytes(fields[2]), refusal);
    REQUIRE_MESSAGE(program, refusal);
    CHECK(program->isTrue(row) == (fields[3] == "true"));
  }
}
