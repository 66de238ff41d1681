// Threads that read and fill the cache while another one commits. ThreadSanitizer watches it, too.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cache/cache.hpp"
#include "engine/keys.hpp"

using namespace vamos::cache;

namespace {

constexpr uint32_t keyCount = 40;
constexpr uint64_t commitCount = 4000;
constexpr uint64_t limitBytes = 5 << 10;
constexpr size_t leafNodes = 6;

std::string keyOf(uint32_t number) {
  std::string key = vamos::engine::spaceKey(1);
  vamos::engine::appendBigEndian32(key, number);
  return key;
}

// All versions of all keys.
class History {
 public:
  using Value = std::optional<std::string>;

  uint64_t sequence() const { return sequence_; }
  void put(uint64_t sequence, const std::map<uint32_t, Value>& changes) {
    const std::lock_guard guard(mutex_);
    for (const auto& [number, value] : changes) versions_[number][sequence] = value;
    sequence_ = sequence;
  }
  Value at(uint32_t number, uint64_t at) const {
    const std::lock_guard guard(mutex_);
    return find(number, at);
  }
  void read(uint32_t low, uint32_t high, uint64_t at, Entries& entries) const {
    const std::lock_guard guard(mutex_);
    entries.clear();
    for (uint32_t number = low; number < high; number++) {
      if (const Value value = find(number, at)) entries.add(keyOf(number), *value);
    }
  }

 private:
  Value find(uint32_t number, uint64_t at) const {
    const auto& versions = versions_[number];
    const auto later = versions.upper_bound(at);
    return later == versions.begin() ? std::nullopt : std::prev(later)->second;
  }

  mutable std::mutex mutex_;
  std::map<uint64_t, Value> versions_[keyCount];
  std::atomic<uint64_t> sequence_ = 0;
};

class Reader {
 public:
  Reader(Cache& cache, const History& history, uint32_t seed)
      : cache_(cache), history_(history), dice_(seed) {}

  // Returns whether the cache said what the history says.
  bool read() {
    const uint64_t at = history_.sequence() - std::min<uint64_t>(history_.sequence(), dice_() % 4);
    const bool isLatest = dice_() % 3 == 0;
    const uint32_t low = dice_() % keyCount;
    if (dice_() % 2 == 0) return get(low, at, isLatest);
    return walk(low, low + 1 + dice_() % (keyCount - low), at, isLatest);
  }
  uint64_t known = 0;

 private:
  bool get(uint32_t number, uint64_t at, bool isLatest) {
    std::string value;
    const Found found = cache_.get(keyOf(number), at, value);
    if (found == Found::UNKNOWN) {
      const History::Value read = history_.at(number, isLatest ? latest : at);
      cache_.fill(keyOf(number), at, read ? Found::ROW : Found::ABSENT, read.value_or(""));
      return true;
    }
    known++;
    const History::Value expected = history_.at(number, at);
    return found == Found::ROW ? expected == value : !expected;
  }
  bool walk(uint32_t low, uint32_t high, uint64_t at, bool isLatest) {
    const bool isReverse = dice_() % 2 == 0;
    const Found behind = isReverse ? cache_.previous(keyOf(high), keyOf(low), at, keyCount, found_)
                                   : cache_.next(keyOf(low), keyOf(high), at, keyCount, found_);
    if (behind == Found::UNKNOWN) {
      history_.read(low, high, isLatest ? latest : at, expected_);
      cache_.fill(keyOf(low), keyOf(high), at, expected_);
      return true;
    }
    known++;
    history_.read(low, high, at, expected_);
    if (found_.count() != expected_.count()) return false;
    for (size_t i = 0; i < found_.count(); i++) {
      const Entries::Entry& expected = expected_[isReverse ? found_.count() - 1 - i : i];
      if (found_[i].key != expected.key || found_[i].value != expected.value) return false;
    }
    return true;
  }

  Cache& cache_;
  const History& history_;
  std::mt19937 dice_;
  Entries found_;
  Entries expected_;
};

}  // namespace

TEST_CASE("threads that read beside commits see what the history says") {
  Cache cache(limitBytes, leafNodes);
  History history;
  std::atomic<bool> isOver = false;
  std::atomic<uint64_t> wrong = 0;
  std::atomic<uint64_t> known = 0;
  std::vector<std::thread> readers;
  for (uint32_t seed = 1; seed <= 3; seed++) {
    readers.emplace_back([&, seed] {
      Reader reader(cache, history, seed);
      while (!isOver) {
        if (!reader.read()) wrong++;
      }
      known += reader.known;
    });
  }
  std::mt19937 dice(4);
  for (uint64_t commit = 1; commit <= commitCount; commit++) {
    std::map<uint32_t, History::Value> changes;
    for (uint32_t i = 0; i < 1 + dice() % 3; i++) {
      History::Value value;
      if (dice() % 3 != 0) value = std::to_string(commit);
      changes[dice() % keyCount] = value;
    }
    cache.begin(history.sequence(), 0);
    for (const auto& [number, value] : changes) {
      const std::string_view view = value ? std::string_view(*value) : std::string_view();
      cache.change(keyOf(number), value ? &view : nullptr);
    }
    const uint64_t sequence = history.sequence() + changes.size();
    history.put(sequence, changes);
    cache.end(sequence);
    if (commit % 16 == 0) std::this_thread::yield();
  }
  isOver = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(known > 0);
  CHECK(cache.isSound());
  const Cache::Counts counts = cache.counts();
  CHECK(counts.contradictions == 0);
  CHECK(counts.evictions > 0);
  CHECK(counts.usedBytes <= limitBytes);
}
