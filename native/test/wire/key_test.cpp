#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "wire/key.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>

#include "test/engine/program_code.hpp"

using namespace vamos;
using namespace vamos::test;

namespace {

constexpr std::array kinds{
    ColumnKind::INT8,  ColumnKind::INT16,  ColumnKind::INT32,  ColumnKind::INT64,
    ColumnKind::UINT8, ColumnKind::UINT16, ColumnKind::UINT32, ColumnKind::UINT64,
    ColumnKind::FLOAT, ColumnKind::DOUBLE, ColumnKind::FIXED,  ColumnKind::BYTES,
};

std::mt19937 dice(2026);

bool chance(uint32_t oneIn) { return dice() % oneIn == 0; }

// Bytes that keys treat in ways of their own come often.
std::string randomBytes(size_t count) {
  static constexpr std::array<unsigned char, 6> special{0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF};
  std::string bytes;
  for (size_t i = 0; i < count; i++) {
    bytes.push_back(static_cast<char>(chance(2) ? special[dice() % special.size()] : dice() % 256));
  }
  return bytes;
}

// A table, an index of it and a row.
struct Sample {
  std::vector<Column> columns;
  std::vector<Cell> cells;
  std::vector<KeyPart> parts;

  Sample() {
    const size_t count = 1 + dice() % 12;
    for (size_t i = 0; i < count; i++) {
      const ColumnKind kind = kinds[dice() % kinds.size()];
      const uint32_t width = kind == ColumnKind::FIXED ? 1 + dice() % 9 : 0;
      columns.push_back({static_cast<uint32_t>(kind), width, chance(2)});
    }
    const RowLayout layout = *RowLayout::make(columns);
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t width = layout.widthBytes(i);
      Cell cell{std::nullopt, width};
      if (!columns[i].isNullable || !chance(3)) cell.bytes = randomBytes(width != 0 ? width : dice() % 6);
      cells.push_back(std::move(cell));
      if (chance(2)) parts.push_back({i, chance(2)});
    }
    std::shuffle(parts.begin(), parts.end(), dice);
  }
};

}  // namespace

TEST_CASE("a key gives back what its row has, of all kinds but floats") {
  for (int round = 0; round < 20'000; round++) {
    const Sample sample;
    const RowLayout layout = *RowLayout::make(sample.columns);
    const std::string row = rowOf(sample.cells);
    REQUIRE(layout.isValid(row));
    std::string key;
    appendKey(layout, row, sample.parts, key);
    key += "what follows";
    std::span<char> rest(key);
    std::vector<ColumnValue> values;
    REQUIRE(takeKeyParts(layout, sample.parts, rest, values));
    REQUIRE(std::string_view(rest.data(), rest.size()) == "what follows");

    std::vector<Cell> known;
    for (const Cell& cell : sample.cells)
      known.push_back({cell.widthBytes != 0 ? std::string(cell.widthBytes, '\0') : "", cell.widthBytes});
    size_t count = 0;
    for (const KeyPart& part : sample.parts) {
      if (!keyGivesBack(layout.kind(part.column))) continue;
      known[part.column] = sample.cells[part.column];
      count++;
    }
    REQUIRE(values.size() == count);
    REQUIRE(layout.change(layout.emptyRow(), values) == rowOf(known));
  }
}

TEST_CASE("bytes that are no key are refused, or have no other key") {
  uint32_t refused = 0;
  for (int round = 0; round < 20'000; round++) {
    Sample sample;
    std::erase_if(sample.parts, [&](const KeyPart& part) {
      return !keyGivesBack(static_cast<ColumnKind>(sample.columns[part.column].kind));
    });
    const RowLayout layout = *RowLayout::make(sample.columns);
    std::string key;
    appendKey(layout, rowOf(sample.cells), sample.parts, key);
    if (key.empty()) continue;
    if (chance(2)) {
      key.resize(dice() % key.size());
    } else {
      key[dice() % key.size()] = randomBytes(1)[0];
    }
    std::string taken = key;
    std::span<char> rest(taken);
    std::vector<ColumnValue> values;
    if (!takeKeyParts(layout, sample.parts, rest, values)) {
      refused++;
      continue;
    }
    std::string again;
    appendKey(layout, layout.change(layout.emptyRow(), values), sample.parts, again);
    REQUIRE(again == key.substr(0, key.size() - rest.size()));
  }
  CHECK(refused > 0);
}

TEST_CASE("no key gives back a float, for it has lost the sign of zero") {
  const std::vector<Column> columns{{static_cast<uint32_t>(ColumnKind::DOUBLE), 0},
                                    {static_cast<uint32_t>(ColumnKind::INT8), 0}};
  const RowLayout layout = *RowLayout::make(columns);
  const std::array<KeyPart, 2> parts{{{0}, {1}}};
  std::string plus;
  std::string minus;
  appendKey(layout, rowOf({{fixed(0.0), 8}, {"\x05", 1}}), parts, plus);
  appendKey(layout, rowOf({{fixed(-0.0), 8}, {"\x05", 1}}), parts, minus);
  CHECK(plus == minus);
  std::span<char> rest(plus);
  std::vector<ColumnValue> values;
  CHECK(takeKeyParts(layout, parts, rest, values));
  REQUIRE(values.size() == 1);
  CHECK(values[0].column == 1);
  CHECK(values[0].bytes == "\x05");
}

TEST_CASE("a part's bytes end where the next part's begin, as far as that is known") {
  for (int round = 0; round < 2000; round++) {
    const Sample sample;
    const RowLayout layout = *RowLayout::make(sample.columns);
    std::string key;
    for (const KeyPart& part : sample.parts) {
      const size_t before = key.size();
      appendKey(layout, rowOf(sample.cells), {&part, 1}, key);
      const std::string behind = key.substr(before) + randomBytes(5);
      REQUIRE(partBytes(layout, part, behind) == key.size() - before);
      REQUIRE_FALSE(partBytes(layout, part, std::string_view(behind).substr(0, key.size() - before - 1)));
    }
  }
  const std::vector<Column> columns{{static_cast<uint32_t>(ColumnKind::BYTES), 0}};
  const RowLayout layout = *RowLayout::make(columns);
  CHECK_FALSE(partBytes(layout, {0, false, true, ""}, std::string("a\0\1", 3)));
  CHECK(partBytes(layout, {0, false, true, std::string("\0", 1)}, std::string("a\0\1b", 4)) == 3);
}
