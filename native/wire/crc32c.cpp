#include "wire/crc32c.hpp"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace vamos {
namespace {

using Table = std::array<std::array<uint32_t, 256>, 8>;

constexpr Table makeTable() {
  constexpr uint32_t reversedPolynomial = 0x82F63B78;
  Table table{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) != 0 ? reversedPolynomial : 0);
    table[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (size_t slice = 1; slice < 8; slice++) {
      const uint32_t previous = table[slice - 1][byte];
      table[slice][byte] = (previous >> 8) ^ table[0][previous & 0xFF];
    }
  }
  return table;
}

constexpr Table table = makeTable();

// Takes eight bytes a step, for processors without the instruction.
uint32_t portable(const uint8_t* data, size_t lengthBytes, uint32_t crc) {
  if constexpr (std::endian::native == std::endian::little) {
    for (; lengthBytes >= 8; data += 8, lengthBytes -= 8) {
      uint64_t word;
      std::memcpy(&word, data, 8);
      word ^= crc;
      crc = 0;
      for (size_t i = 0; i < 8; i++) crc ^= table[7 - i][(word >> (8 * i)) & 0xFF];
    }
  }
  for (; lengthBytes > 0; data++, lengthBytes--) crc = (crc >> 8) ^ table[0][(crc ^ *data) & 0xFF];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t withInstruction(const uint8_t* data, size_t lengthBytes,
                                                           uint32_t crc) {
  uint64_t wide = crc;
  for (; lengthBytes >= 8; data += 8, lengthBytes -= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; lengthBytes > 0; data++, lengthBytes--) crc = _mm_crc32_u8(crc, *data);
  return crc;
}
#endif

}  // namespace

uint32_t crc32c(const void* data, size_t lengthBytes, uint32_t before) {
  const auto* bytes = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
  static const bool hasInstruction = __builtin_cpu_supports("sse4.2");
  if (hasInstruction) return ~withInstruction(bytes, lengthBytes, ~before);
#endif
  return ~portable(bytes, lengthBytes, ~before);
}

}  // namespace vamos
