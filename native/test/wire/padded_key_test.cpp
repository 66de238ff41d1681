#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "mariadb/format/padded_key.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "wire/key.hpp"

using vamos::mariadb::appendEscaped;
using vamos::mariadb::appendPaddedKey;

namespace {

int sign(int value) { return (value > 0) - (value < 0); }

// As the collations say it: unit by unit, the shorter one followed by pads for ever.
int comparePadded(const std::string& left, const std::string& right, const std::string& pad) {
  for (size_t at = 0; at < std::max(left.size(), right.size()); at += pad.size()) {
    const std::string a = at < left.size() ? left.substr(at, pad.size()) : pad;
    const std::string b = at < right.size() ? right.substr(at, pad.size()) : pad;
    if (const int order = a.compare(b)) return sign(order);
  }
  return 0;
}

std::string paddedKey(const std::string& weights, const std::string& pad) {
  std::string key;
  appendPaddedKey(weights, reinterpret_cast<const uint8_t*>(pad.data()), pad.size(), key);
  return key;
}

std::string randomWeights(std::mt19937& random, const std::vector<std::string>& units,
                          const std::string& pad) {
  std::string weights;
  for (uint32_t runs = random() % 4; runs > 0; runs--) {
    for (uint32_t count = random() % 4; count > 0; count--) weights += pad;
    for (uint32_t count = random() % 3; count > 0; count--) weights += units[random() % units.size()];
  }
  return weights;
}

void checkOrder(const std::vector<std::string>& units, const std::string& pad) {
  std::mt19937 random(20);
  for (int round = 0; round < 100'000; round++) {
    const std::string left = randomWeights(random, units, pad);
    const std::string right = randomWeights(random, units, pad);
    const std::string leftKey = paddedKey(left, pad);
    const std::string rightKey = paddedKey(right, pad);
    INFO("round ", round);
    REQUIRE(sign(leftKey.compare(rightKey)) == comparePadded(left, right, pad));
    if (leftKey != rightKey) {
      REQUIRE_FALSE(leftKey.starts_with(rightKey));
      REQUIRE_FALSE(rightKey.starts_with(leftKey));
    }
  }
}

}  // namespace

TEST_CASE("padded keys sort as weights followed by pads for ever, and none begins with another") {
  checkOrder({"\x1f", "\x21", "\x01", "\x02", "\x03", "\xff", std::string(1, '\0'), "\x20"}, "\x20");
  checkOrder({std::string("\0\x1f", 2), std::string("\0\x41", 2), std::string("\x20\0", 2), "\x02\x02"},
             std::string("\0\x20", 2));
}

TEST_CASE("runs of any length sort by what follows them") {
  const std::string pad = " ";
  for (const size_t length : {1, 2, 253, 254, 255, 256, 300, 70'000}) {
    const std::string run(length, ' ');
    CHECK(paddedKey("a" + run, pad) == paddedKey("a", pad));
    CHECK(paddedKey("a" + run + "\t", pad) < paddedKey("a" + run + " \t", pad));
    CHECK(paddedKey("a" + run + "\t", pad) < paddedKey("a", pad));
    CHECK(paddedKey("a" + run + "b", pad) > paddedKey("a" + run + " b", pad));
    CHECK(paddedKey("a" + run + "b", pad) > paddedKey("a", pad));
  }
}

TEST_CASE("escaped keys sort as their bytes, and none begins with another") {
  std::mt19937 random(21);
  const std::string bytes("\0\x01\xfe\xff", 4);
  const auto make = [&] {
    std::string text;
    for (uint32_t count = random() % 5; count > 0; count--) text += bytes[random() % bytes.size()];
    return text;
  };
  for (int round = 0; round < 100'000; round++) {
    const std::string left = make();
    const std::string right = make();
    std::string leftKey;
    std::string rightKey;
    appendEscaped(left, leftKey);
    appendEscaped(right, rightKey);
    REQUIRE(sign(leftKey.compare(rightKey)) == sign(left.compare(right)));
    if (left != right) REQUIRE_FALSE(leftKey.starts_with(rightKey));
  }
}

TEST_CASE("a host finds where weights end by the levels that it is told") {
  std::mt19937 random(4);
  const std::vector<vamos::Column> columns{{static_cast<uint32_t>(vamos::ColumnKind::BYTES), 0}};
  const vamos::RowLayout layout = *vamos::RowLayout::make(columns);
  for (const std::string& pad : {std::string(" "), std::string("\x02\x09"), std::string("\0\0\x20", 3)}) {
    const std::string low(pad.size(), '\1');
    const std::string high(pad.size(), '\xF0');
    const std::string levels = static_cast<char>(pad.size()) + pad + std::string(1, '\0');
    for (int round = 0; round < 2000; round++) {
      std::string weights = randomWeights(random, {low, high}, pad);
      if (round % 50 == 0) {
        for (int i = 0; i < 300; i++) weights.insert(0, pad);
      }
      std::string key = paddedKey(weights, pad);
      appendEscaped(randomWeights(random, {std::string(1, '\0'), "a"}, "b"), key);
      const bool isDescending = round % 2 == 0;
      const size_t bytes = key.size();
      key += "behind";
      if (isDescending) {
        for (char& byte : key) byte = static_cast<char>(~byte);
      }
      REQUIRE(vamos::partBytes(layout, {0, isDescending, true, levels}, key) == bytes);
    }
  }
}
