// The cache beside a store that is a history: every state after every commit. Commits, fills and reads happen
// in steps, mixed at random, and what the cache says is compared with the history. The keys are few, so that
// all of this meets.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cache/cache.hpp"
#include "engine/keys.hpp"

using namespace vamos::cache;

namespace {

using State = std::map<std::string, std::string, std::less<>>;

constexpr uint32_t stepCount = 400;
constexpr uint32_t spaceCount = 2;
constexpr uint64_t mostLimitBytes = 24 << 10;

std::string spaceKey(uint32_t space) { return vamos::engine::spaceKey(1 + space); }

class Model {
 public:
  explicit Model(uint32_t seed)
      : dice_(seed), leafNodes_(3 + below(4)), cache_(mostLimitBytes, leafNodes_), states_{{0, {}}} {
    for (uint32_t space = 0; space < spaceCount; space++) {
      // Some follow one another without a gap.
      for (const char* key : {"a", "b", "c", "d"}) {
        keys_.push_back(spaceKey(space) + key);
        if (chance(3)) keys_.push_back(keys_.back() + '\0');
      }
    }
    setLimit();
  }

  void run() {
    for (uint32_t step = 0; step < stepCount; step++) {
      INFO("step ", step);
      act();
      const Cache::Counts counts = cache_.counts();
      REQUIRE(counts.usedBytes <= limitBytes_);
      REQUIRE(counts.contradictions == 0);
      if (step % 16 == 0) REQUIRE(cache_.isSound());
    }
  }

  uint64_t known = 0;
  uint64_t unknown = 0;
  Cache::Counts counts() const { return cache_.counts(); }

 private:
  struct Fill {
    uint64_t asOf;
    bool isAtSnapshot;
    bool isRange;
    std::string low;
    std::string high;
    std::optional<State> read;
  };
  enum class Stage { NONE, ANNOUNCING, WRITTEN };

  uint32_t below(uint32_t limit) { return dice_() % limit; }
  bool chance(uint32_t of) { return below(of) == 0; }
  const std::string& anyKey() { return keys_[below(static_cast<uint32_t>(keys_.size()))]; }
  uint64_t sequence() const { return states_.rbegin()->first; }
  const State& stateAt(uint64_t at) const { return std::prev(states_.upper_bound(at))->second; }
  // One of the last commits.
  uint64_t anySnapshot() {
    auto state = std::prev(states_.end());
    while (state != states_.begin() && !chance(4)) --state;
    return state->first;
  }

  void act() {
    switch (below(12)) {
      case 0:
      case 1:
        return goOnWithCommit();
      case 2:
      case 3:
        return startFill();
      case 4:
      case 5:
        return readFill();
      case 6:
      case 7:
        return endFill();
      case 8:
        if (chance(10)) setLimit();
        return;
      case 9:
        return get();
      default:
        return walk();
    }
  }

  void setLimit() {
    limitBytes_ = chance(8) ? below(2000) : 2000 + below(mostLimitBytes - 2000);
    cache_.setLimitBytes(limitBytes_);
    // What a commit has announced stays until it is settled.
    if (stage_ != Stage::NONE) limitBytes_ = mostLimitBytes;
  }

  void goOnWithCommit() {
    switch (stage_) {
      case Stage::NONE:
        before_ = sequence();
        next_ = states_.rbegin()->second;
        changed_ = 0;
        isRemoval_ = chance(40);
        cache_.begin(before_, chance(30) ? mostLimitBytes : 100);
        stage_ = Stage::ANNOUNCING;
        return isRemoval_ ? announceRemoval() : announce();
      case Stage::ANNOUNCING:
        if (!isRemoval_ && chance(3)) return announce();
        if (chance(100)) {
          cache_.abandon();
          stage_ = Stage::NONE;
          return;
        }
        states_[before_ + changed_] = next_;
        stage_ = Stage::WRITTEN;
        return;
      case Stage::WRITTEN:
        cache_.end(before_ + changed_);
        stage_ = Stage::NONE;
        // Others write what is not cached.
        if (chance(4)) states_[sequence() + 1 + below(3)] = next_;
        return;
    }
  }
  void announce() {
    const std::string& key = anyKey();
    changed_++;
    if (chance(2)) {
      next_.erase(key);
      cache_.change(key, nullptr);
      return;
    }
    const size_t bytes = chance(40) ? Entries::maxBytes + 1 : below(40);
    std::string& value = next_[key];
    value = std::to_string(before_ + changed_) + std::string(bytes, '.');
    const std::string_view view = value;
    cache_.change(key, &view);
  }
  void announceRemoval() {
    const std::string space = spaceKey(below(spaceCount));
    changed_++;
    std::erase_if(next_, [&](const auto& entry) { return entry.first.starts_with(space); });
    cache_.changeSpace(space);
  }

  void startFill() {
    if (fills_.size() >= 3) return;
    const std::string space = spaceKey(below(spaceCount));
    Fill fill{sequence(), chance(2), chance(2), anyKey(), {}, {}};
    if (fill.isAtSnapshot) fill.asOf = anySnapshot();
    if (fill.isRange) {
      fill.low = position(space);
      fill.high = position(space);
      if (fill.low > fill.high) std::swap(fill.low, fill.high);
      if (chance(4) || fill.low == fill.high) fill.high = vamos::engine::prefixSuccessor(space);
      if (chance(4)) fill.low = space;
    }
    fills_.push_back(std::move(fill));
  }
  // A key, or the place behind it, or before it.
  std::string position(const std::string& space) {
    std::string key = space + anyKey().substr(space.size());
    switch (below(3)) {
      case 0:
        return key;
      case 1:
        return key + '\0';
      default:
        key.back()--;
        return key + 'z';
    }
  }
  void readFill() {
    for (Fill& fill : fills_) {
      if (!fill.read && chance(2)) fill.read = stateAt(fill.isAtSnapshot ? fill.asOf : sequence());
    }
  }
  void endFill() {
    for (auto fill = fills_.begin(); fill != fills_.end(); ++fill) {
      if (!fill->read || chance(2)) continue;
      if (fill->isRange) {
        Entries entries;
        for (auto entry = fill->read->lower_bound(fill->low);
             entry != fill->read->end() && entry->first < fill->high; ++entry) {
          entries.add(entry->first, entry->second);
        }
        cache_.fill(fill->low, fill->high, fill->asOf, entries);
      } else {
        const auto found = fill->read->find(fill->low);
        const bool isThere = found != fill->read->end();
        cache_.fill(fill->low, fill->asOf, isThere ? Found::ROW : Found::ABSENT,
                    isThere ? std::string_view(found->second) : std::string_view());
      }
      fills_.erase(fill);
      return;
    }
  }

  void count(Found found) { (found == Found::UNKNOWN ? unknown : known)++; }

  void get() {
    const std::string& key = anyKey();
    const bool isLatest = chance(3);
    const uint64_t at = isLatest ? latest : anySnapshot();
    std::string value;
    const Found found = cache_.get(key, at, value);
    count(found);
    if (found == Found::UNKNOWN) return;
    const State& state = stateAt(at);
    const auto expected = state.find(key);
    CAPTURE(key.substr(4));
    CAPTURE(at);
    REQUIRE((found == Found::ROW) == (expected != state.end()));
    if (found == Found::ROW) REQUIRE(value == expected->second);
  }

  void walk() {
    const std::string space = spaceKey(below(spaceCount));
    std::string low = position(space);
    std::string high = position(space);
    if (low > high) std::swap(low, high);
    if (chance(3)) low = space;
    if (chance(3) || low == high) high = vamos::engine::prefixSuccessor(space);
    const bool isReverse = chance(2);
    const uint64_t at = chance(3) ? latest : anySnapshot();
    const State& state = stateAt(at);
    std::vector<std::string> expected;
    for (auto entry = state.lower_bound(low); entry != state.end() && entry->first < high; ++entry) {
      expected.push_back(entry->first + "=" + entry->second);
    }
    if (isReverse) std::reverse(expected.begin(), expected.end());
    Entries entries;
    const size_t most = 1 + below(4);
    const Found behind =
        isReverse ? cache_.previous(high, low, at, most, entries) : cache_.next(low, high, at, most, entries);
    count(behind);
    CAPTURE(isReverse);
    CAPTURE(at);
    CAPTURE(low.substr(4));
    CAPTURE(high.substr(4));
    REQUIRE(entries.count() <= expected.size());
    for (size_t i = 0; i < entries.count(); i++) {
      REQUIRE(entries[i].key + "=" + entries[i].value == expected[i]);
    }
    if (behind == Found::ABSENT) REQUIRE(entries.count() == expected.size());
  }

  std::mt19937 dice_;
  const size_t leafNodes_;
  Cache cache_;
  uint64_t limitBytes_ = mostLimitBytes;
  std::vector<std::string> keys_;
  std::map<uint64_t, State> states_;  // by the last number of their commits
  std::vector<Fill> fills_;
  Stage stage_ = Stage::NONE;
  uint64_t before_ = 0;
  State next_;
  uint64_t changed_ = 0;
  bool isRemoval_ = false;
};

// VAMOS_MODEL_RUNS: more of them.
uint32_t runs() {
  const char* text = std::getenv("VAMOS_MODEL_RUNS");
  return text == nullptr ? 3000 : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

}  // namespace

TEST_CASE("what the cache knows is what the history says") {
  uint64_t known = 0;
  uint64_t unknown = 0;
  uint64_t lateFills = 0;
  uint64_t evictions = 0;
  for (uint32_t seed = 1; seed <= runs(); seed++) {
    CAPTURE(seed);
    Model model(seed);
    model.run();
    known += model.known;
    unknown += model.unknown;
    lateFills += model.counts().lateFills;
    evictions += model.counts().evictions;
  }
  MESSAGE(known, " answers, ", unknown, " not known, ", lateFills, " late fills, ", evictions, " evictions");
  // Else the walk is not about much.
  CHECK(known > runs() * 20);
  CHECK(unknown > runs() * 20);
  CHECK(lateFills > runs() / 2);
  CHECK(evictions > runs() / 2);
}
