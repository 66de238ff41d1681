#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "wire/crc32c.hpp"

#include <doctest/doctest.h>

#include <string>

using vamos::crc32c;

TEST_CASE("CRC-32C gives the check values of RFC 3720") {
  CHECK(crc32c("123456789", 9) == 0xE3069283);
  const std::string zeros(32, '\0');
  CHECK(crc32c(zeros.data(), zeros.size()) == 0x8A9136AA);
  const std::string ones(32, '\xFF');
  CHECK(crc32c(ones.data(), ones.size()) == 0x62A8AB43);
}

TEST_CASE("CRC-32C goes on from earlier bytes at any cut") {
  std::string bytes;
  for (int i = 0; i < 100; i++) bytes.push_back(static_cast<char>(i * 37));
  const uint32_t whole = crc32c(bytes.data(), bytes.size());
  for (size_t cut = 0; cut <= bytes.size(); cut++) {
    const uint32_t first = crc32c(bytes.data(), cut);
    CHECK(crc32c(bytes.data() + cut, bytes.size() - cut, first) == whole);
  }
}
