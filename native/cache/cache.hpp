#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/space.hpp"
#include "engine/keys.hpp"

namespace vamos::cache {

// Whether the key is of a space whose keys are cached: of a table's index.
inline bool isCached(std::string_view key) {
  const uint32_t space = engine::bigEndian32(key);
  return space >= engine::firstTableSpace && space <= engine::lastTableSpace;
}

// Keys and values of a store in memory, in order, with their last versions and with what is known of the gaps
// between them. What it answers is what the store has; what it doesn't know is UNKNOWN, and whoever reads it
// in the store then fills it in.
//
// Each commit is announced before it is written, and settled when its sequence number is known. Meanwhile
// what it changes is UNKNOWN, but to snapshots from before it. So a snapshot may be taken at any time, and a
// reader that finds an announced key in the store or not is right in both cases.
//
// A fill may come late: what it brings is dated by a commit that was there before it was read, and whatever
// the cache knows of a later one wins. That needs each key that was changed since to be here still. Where one
// was evicted, or never came in, the fill is thrown away.
//
// May be called from any thread.
class Cache {
 public:
  struct Counts {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t evictions = 0;  // entries that went
    uint64_t usedBytes = 0;
    // Fills that were thrown away.
    uint64_t lateFills = 0;
    // Fills that said another thing than the cache, which only a fault brings about. The cache then forgets
    // all of their space.
    uint64_t contradictions = 0;
  };

  explicit Cache(uint64_t limitBytes, size_t leafNodes = 64)
      : leafNodes_(leafNodes), memory_(leafNodes), limitBytes_(limitBytes) {}
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // What was at a key after the commit `at`, or is there now: `latest`.
  Found get(std::string_view key, uint64_t at, std::string& value);
  // The entries of a range from a key on, or from before a key on backwards, as Space has them.
  Found next(std::string_view from, std::string_view high, uint64_t at, size_t maxCount, Entries& entries);
  Found previous(std::string_view before, std::string_view low, uint64_t at, size_t maxCount,
                 Entries& entries);

  // Takes what was read in the store: at the snapshot asOf, or without one when asOf was already committed.
  void fill(std::string_view key, uint64_t asOf, Found found, std::string_view value);
  // Takes all entries of a range within one space.
  void fill(std::string_view low, std::string_view high, uint64_t asOf, const Entries& entries);
  // Whether this many bytes can come in without an eviction.
  bool hasRoom(uint64_t bytes) const;

  // One commit at a time is announced, before it is written. Its number will be above `last`, which no other
  // write may take meanwhile; it writes so many bytes in all.
  void begin(uint64_t last, uint64_t writtenBytes);
  void change(std::string_view key, const std::string_view* value);
  // It may change anything in a space.
  void changeSpace(std::string_view spaceKey);
  // It was written, and has this number.
  void end(uint64_t sequence);
  // It failed, and whether any of it was written is not known.
  void abandon();

  void setLimitBytes(uint64_t bytes);
  Counts counts() const;
  // Whether all stands in order, and usedBytes is what is there.
  bool isSound() const;

 private:
  // Nothing: none of it is known.
  Space* find(std::string_view key);
  // Makes it where it is not there; the room for it is reserved.
  Space& space(std::string_view key);
  bool mayFill(const Space& space, uint64_t asOf);
  void check(std::string_view key, bool fits);
  bool reserve(uint64_t bytes);
  void close(std::string_view key);
  void forget(uint32_t space);
  void evict(Leaf& leaf, bool alsoUsed);
  void openAll(uint64_t lostSince);

  const size_t leafNodes_;
  mutable std::mutex mutex_;
  Memory memory_;
  uint64_t limitBytes_;
  std::unordered_map<uint32_t, std::unique_ptr<Space>> spaces_;
  std::vector<std::unique_ptr<Space>> forgotten_;
  // As Space::lostSince, for all spaces together, since a space that lost something may be gone itself.
  uint64_t lostSince_ = 0;
  // As Space::isClosed, for all spaces together: there was no room for the space that had to be closed.
  bool isClosed_ = false;
  Counts counts_;
  // What is announced.
  bool isAnnounced_ = false;
  uint64_t since_ = 0;
  uint64_t last_ = 0;  // the newest commit that was settled
  bool isLarge_ = false;
  std::vector<Node*> pending_;    // only the committing thread uses it
  std::vector<uint32_t> closed_;  // spaces
};

}  // namespace vamos::cache
