#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace vamos::mariadb {

// Appends a key of weights, for a comparison as if pad weights followed for ever (PAD SPACE): memcmp orders
// the keys in the same way. Weights and the pad have unitBytes each.
//
// A run of pads, and also the endless run at the end, becomes the pad's weight and a byte: 1, if what follows
// the run is smaller than the pad; 2, if it is the end; 3, if it is larger. After 1 and 3 comes the run's
// length. With 1 the string with the longer run is the larger one, and with 3 the smaller one (the length's
// bytes are inverted).
inline void appendPaddedKey(std::string_view weights, const uint8_t* pad, size_t unitBytes,
                            std::string& out) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(weights.data());
  const size_t end = weights.size() - weights.size() % unitBytes;
  const auto isPad = [&](size_t at) { return std::memcmp(bytes + at, pad, unitBytes) == 0; };
  const auto append = [&](const uint8_t* from, size_t lengthBytes) {
    out.append(reinterpret_cast<const char*>(from), lengthBytes);
  };
  for (size_t at = 0;;) {
    const size_t start = at;
    while (at < end && !isPad(at)) at += unitBytes;
    append(bytes + start, at - start);
    append(pad, unitBytes);
    const size_t run = at;
    while (at < end && isPad(at)) at += unitBytes;
    if (at == end) {
      out.push_back(2);
      return;
    }
    const bool isSmaller = std::memcmp(bytes + at, pad, unitBytes) < 0;
    out.push_back(isSmaller ? 1 : 3);
    // The length has one byte, or 0xFF and four bytes, so that a longer one is larger.
    const auto length = static_cast<uint32_t>((at - run) / unitBytes);
    const uint8_t inversion = isSmaller ? 0 : 0xFF;
    const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>((byte & 0xFF) ^ inversion)); };
    if (length < 0xFF) {
      push(length);
    } else {
      push(0xFF);
      for (int shift = 24; shift >= 0; shift -= 8) push(length >> shift);
    }
  }
}

// Appends bytes in the form that FORMATS.md calls BYTES.
inline void appendEscaped(std::string_view bytes, std::string& out) {
  for (size_t at = 0;;) {
    const size_t zero = bytes.find('\0', at);
    if (zero == std::string_view::npos) {
      out.append(bytes.substr(at));
      out.push_back(0);
      out.push_back(1);
      return;
    }
    out.append(bytes.substr(at, zero - at));
    out.push_back(0);
    out.push_back(static_cast<char>(0xFF));
    at = zero + 1;
  }
}

}  // namespace vamos::mariadb
