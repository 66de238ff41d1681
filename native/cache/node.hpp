#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string_view>

namespace vamos::cache {

// Commits are known by their sequence numbers, which rise. What is known "since" one holds from that commit
// on, until something newer says otherwise.
constexpr uint64_t never = std::numeric_limits<uint64_t>::max();
// A moment after all commits.
constexpr uint64_t latest = never - 1;

// What glibc's allocator takes for so many bytes.
constexpr uint64_t allocatedBytes(uint64_t bytes) {
  constexpr uint64_t header = sizeof(size_t);
  constexpr uint64_t unit = 2 * sizeof(size_t);
  const uint64_t rounded = (bytes + header + unit - 1) / unit * unit;
  return rounded < 2 * unit ? 2 * unit : rounded;
}

enum class State : uint8_t {
  VALUE,
  ABSENT,
  UNKNOWN,  // the commit changed the key, and what it left there is not in the cache
};

// Destroys what was made with bytes behind it.
struct DestroyWithBytes {
  template <typename Type>
  void operator()(Type* object) const {
    object->~Type();
    ::operator delete(object);
  }
};

// What a commit left at a key. The value's bytes stand behind the object.
class Version {
 public:
  using Pointer = std::unique_ptr<Version, DestroyWithBytes>;

  static Pointer make(uint64_t since, State state, std::string_view value = {}) {
    void* place = ::operator new(sizeof(Version) + value.size());
    Pointer version(new (place) Version(since, state, static_cast<uint32_t>(value.size())));
    if (!value.empty()) std::memcpy(reinterpret_cast<char*>(version.get() + 1), value.data(), value.size());
    return version;
  }
  static uint64_t bytesOf(size_t valueBytes) { return allocatedBytes(sizeof(Version) + valueBytes); }

  std::string_view value() const { return {reinterpret_cast<const char*>(this + 1), valueBytes_}; }
  uint64_t bytes() const { return bytesOf(valueBytes_); }

  uint64_t since;
  Pointer older;
  State state;

 private:
  Version(uint64_t since, State state, uint32_t valueBytes)
      : since(since), state(state), valueBytes_(valueBytes) {}

  const uint32_t valueBytes_;
};

// A key with its versions, or a boundary: a place between keys where what is known of the gap changes. The
// key's bytes stand behind the object.
class Node {
 public:
  using Pointer = std::unique_ptr<Node, DestroyWithBytes>;
  static constexpr uint8_t mostUses = 3;

  static Pointer make(std::string_view key, uint64_t gapSince) {
    void* place = ::operator new(sizeof(Node) + key.size());
    Pointer node(new (place) Node(gapSince, static_cast<uint32_t>(key.size())));
    if (!key.empty()) std::memcpy(reinterpret_cast<char*>(node.get() + 1), key.data(), key.size());
    return node;
  }
  static uint64_t bytesOf(size_t keyBytes) { return allocatedBytes(sizeof(Node) + keyBytes); }

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), keyBytes_}; }
  bool isBoundary() const { return newest == nullptr; }
  // With its versions.
  uint64_t bytes() const {
    uint64_t sum = bytesOf(keyBytes_);
    for (const Version* version = newest.get(); version != nullptr; version = version->older.get()) {
      sum += version->bytes();
    }
    return sum;
  }
  // What was there at that moment; nothing: that is not known.
  const Version* versionAt(uint64_t at) const {
    const Version* version = newest.get();
    while (version != nullptr && version->since > at) version = version->older.get();
    const bool isUnknown =
        version == nullptr || version->state == State::UNKNOWN || (isPending && version == newest.get());
    return isUnknown ? nullptr : version;
  }
  void use() {
    if (uses < mostUses) uses++;
  }

  // From this commit on nothing was between this node and the next one. A boundary's gap begins with its own
  // key, another node's behind it.
  uint64_t gapSince;
  Version::Pointer newest;  // nothing: a boundary
  uint8_t uses = 0;         // reads since the eviction last came by, to some number
  // A commit that is being written made the newest version, so no read may be told of it yet.
  bool isPending = false;

 private:
  Node(uint64_t gapSince, uint32_t keyBytes) : gapSince(gapSince), keyBytes_(keyBytes) {}

  const uint32_t keyBytes_;
};

}  // namespace vamos::cache
