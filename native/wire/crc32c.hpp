#pragma once

#include <cstddef>
#include <cstdint>

namespace vamos {

// Returns the CRC-32C (Castagnoli) of some bytes. To go on from earlier bytes, give their result as `before`.
uint32_t crc32c(const void* data, size_t lengthBytes, uint32_t before = 0);

}  // namespace vamos
