#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace vamos {

static_assert(std::endian::native == std::endian::little, "wire integers are little-endian");

// Reads bytes that any program may have sent. No read goes past the end: the first that would makes `failed`
// true, and from then on all reads give zeros and empty strings. The views point into the bytes given.
class Reader {
 public:
  explicit Reader(std::string_view bytes, size_t offset = 0) : bytes_(bytes), offset_(offset) {
    if (offset_ > bytes_.size()) fail();
  }

  uint8_t u8() { return integer<uint8_t>(); }
  uint32_t u32() { return integer<uint32_t>(); }
  uint64_t u64() { return integer<uint64_t>(); }

  std::string_view take(size_t lengthBytes) {
    if (lengthBytes > bytes_.size() - offset_) {
      fail();
      return {};
    }
    const std::string_view taken = bytes_.substr(offset_, lengthBytes);
    offset_ += lengthBytes;
    return taken;
  }

  // Reads a u32 length, then that many bytes; a length over the limit fails.
  std::string_view lengthPrefixed(size_t limitBytes) {
    const uint32_t lengthBytes = u32();
    if (lengthBytes > limitBytes) fail();
    return failed_ ? std::string_view{} : take(lengthBytes);
  }

  bool failed() const { return failed_; }
  bool atEnd() const { return offset_ == bytes_.size(); }
  size_t offset() const { return offset_; }

 private:
  template <typename Integer>
  Integer integer() {
    Integer value = 0;
    const std::string_view bytes = take(sizeof(Integer));
    if (!failed_) std::memcpy(&value, bytes.data(), sizeof(Integer));
    return value;
  }

  void fail() {
    failed_ = true;
    offset_ = bytes_.size();
  }

  std::string_view bytes_;
  size_t offset_;
  bool failed_ = false;
};

inline void appendU32(std::string& out, uint32_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline void appendU64(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline void appendLengthPrefixed(std::string& out, std::string_view bytes) {
  appendU32(out, static_cast<uint32_t>(bytes.size()));
  out.append(bytes);
}

}  // namespace vamos
