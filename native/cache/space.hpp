#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cache/leaf.hpp"
#include "engine/source.hpp"

namespace vamos::cache {

using engine::Found;

// Entries in the order of their keys. The strings are reused.
class Entries {
 public:
  static constexpr size_t maxBytes = 32 << 10;

  struct Entry {
    std::string key;
    std::string value;
  };

  void clear() {
    count_ = 0;
    bytes_ = 0;
  }
  void add(std::string_view key, std::string_view value) {
    if (count_ == items_.size()) items_.emplace_back();
    items_[count_].key.assign(key);
    items_[count_++].value.assign(value);
    bytes_ += key.size() + value.size();
  }
  size_t count() const { return count_; }
  size_t bytes() const { return bytes_; }
  bool isFull(size_t maxCount) const { return count_ >= maxCount || bytes_ >= maxBytes; }
  const Entry& operator[](size_t index) const { return items_[index]; }

 private:
  std::vector<Entry> items_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

// What all spaces of a cache share.
struct Memory {
  explicit Memory(size_t leafNodes) : leafNodes(leafNodes), hand(order.end()) {}

  const size_t leafNodes;  // nodes of a leaf, at most
  uint64_t usedBytes = 0;
  // The order in which leaves are looked at for nodes to evict, round and round, and the leaf that comes
  // next.
  std::list<Leaf*> order;
  std::list<Leaf*>::iterator hand;
};

// Bytes that one more key takes, at most, beside its value.
uint64_t bytesForKey(size_t keyBytes, size_t leafNodes);

// What is cached of a space: its keys and what is known of the gaps between them. Keys are whole, with the
// space's bytes before them. A cache's mutex guards it.
class Space {
 public:
  Space(Memory& memory, std::string lowest) : memory_(memory), low_(std::move(lowest)) {}
  ~Space();
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  // What is at a key, as of the commit `at`.
  Found get(std::string_view key, uint64_t at, std::string& value);
  // Adds at most maxCount entries from a key on, up to the range's end; or from before a key on, backwards.
  // Returns what comes behind them. ROW: perhaps more. ABSENT: nothing more in the range. UNKNOWN: not known.
  Found next(std::string_view from, std::string_view high, uint64_t at, size_t maxCount, Entries& entries);
  Found previous(std::string_view before, std::string_view low, uint64_t at, size_t maxCount,
                 Entries& entries);

  // Learns what lay at a key, or in a range, after the commit asOf. Nothing that was changed since may have
  // been lost: the caller looks at lostSince. False: it contradicts what the space knows.
  bool fill(std::string_view key, uint64_t asOf, State state, std::string_view value);
  bool fill(std::string_view low, std::string_view high, uint64_t asOf, const Entries& entries);
  // Adds the version of a commit that is being written.
  Node& change(std::string_view key, uint64_t since, State state, std::string_view value);

  // Takes away what was not used lately in a leaf (alsoUsed: what was, too). Returns how many entries went.
  uint64_t evict(Leaf& leaf, bool alsoUsed);
  bool isEmpty() const { return leaves_.empty(); }
  // Counts the bytes of all leaves and nodes anew, to check the running sum.
  uint64_t countBytes() const;
  // Whether leaves and nodes are in order, and each node is in the leaf whose keys it belongs to.
  bool isInOrder() const;

  // The newest commit that changed something which is not here any more. What was read before it can't be
  // filled in.
  uint64_t lostSince = 0;
  // A write is under way of which the cache doesn't know what it changes here.
  bool isClosed = false;
  // It is forgotten, and goes leaf by leaf as room is needed.
  bool isForgotten = false;

 private:
  using Leaves = std::map<std::string, Leaf, std::less<>>;

  Leaves::iterator leafOf(std::string_view key);
  Leaf& leafFor(std::string_view key);
  Leaf& addLeaf(std::string low, uint64_t headSince);
  void removeLeaf(Leaf& leaf);
  void joinLeft(Leaves::iterator leaf);
  void split(Leaf& leaf);
  Node& insert(std::string_view key);
  Node& entry(std::string_view key);
  bool put(std::string_view key, uint64_t asOf, State state, std::string_view value);
  void ensureBoundary(std::string_view key, uint64_t asOf);
  bool learnGaps(std::string_view low, std::string_view high, uint64_t asOf, const Entries& entries);

  Memory& memory_;
  const std::string low_;
  Leaves leaves_;
};

}  // namespace vamos::cache
