#include "cache/cache.hpp"

#include <algorithm>

namespace vamos::cache {
namespace {

// A space with its place among the others.
constexpr uint64_t bytesForSpace = allocatedBytes(sizeof(Space)) + allocatedBytes(4 * sizeof(void*));
// A commit, or a fill, may take one part in so many of the cache.
constexpr uint64_t shareOfLimit = 4;
// Leaves that one call looks through for what was not used, before it takes what comes.
constexpr size_t gentleEvictions = 8;
// Nodes that are settled under one hold of the mutex.
constexpr size_t settledTogether = 64;

}  // namespace

Found Cache::get(std::string_view key, uint64_t at, std::string& value) {
  const std::lock_guard guard(mutex_);
  Space* space = find(key);
  const Found found = space == nullptr ? Found::UNKNOWN : space->get(key, at, value);
  (found == Found::UNKNOWN ? counts_.misses : counts_.hits)++;
  return found;
}

Found Cache::next(std::string_view from, std::string_view high, uint64_t at, size_t maxCount,
                  Entries& entries) {
  entries.clear();
  const std::lock_guard guard(mutex_);
  Space* space = find(from);
  const Found behind = space == nullptr ? Found::UNKNOWN : space->next(from, high, at, maxCount, entries);
  (behind == Found::UNKNOWN && entries.count() == 0 ? counts_.misses : counts_.hits)++;
  return behind;
}

Found Cache::previous(std::string_view before, std::string_view low, uint64_t at, size_t maxCount,
                      Entries& entries) {
  entries.clear();
  const std::lock_guard guard(mutex_);
  Space* space = find(low);
  const Found behind =
      space == nullptr ? Found::UNKNOWN : space->previous(before, low, at, maxCount, entries);
  (behind == Found::UNKNOWN && entries.count() == 0 ? counts_.misses : counts_.hits)++;
  return behind;
}

void Cache::fill(std::string_view key, uint64_t asOf, Found found, std::string_view value) {
  if (found == Found::UNKNOWN) return;
  const bool isSmall = value.size() <= Entries::maxBytes;
  const State state = found == Found::ABSENT ? State::ABSENT : isSmall ? State::VALUE : State::UNKNOWN;
  const std::string_view kept = isSmall ? value : std::string_view();
  const std::lock_guard guard(mutex_);
  if (!reserve(bytesForKey(key.size(), leafNodes_) + Version::bytesOf(kept.size()))) return;
  Space& target = space(key);
  if (mayFill(target, asOf)) check(key, target.fill(key, asOf, state, kept));
}

void Cache::fill(std::string_view low, std::string_view high, uint64_t asOf, const Entries& entries) {
  uint64_t bytes = bytesForKey(low.size(), leafNodes_) + bytesForKey(high.size(), leafNodes_);
  for (size_t i = 0; i < entries.count(); i++) {
    const size_t valueBytes = entries[i].value.size();
    bytes += bytesForKey(entries[i].key.size(), leafNodes_) +
             Version::bytesOf(valueBytes <= Entries::maxBytes ? valueBytes : 0);
  }
  const std::lock_guard guard(mutex_);
  if (bytes > limitBytes_ / shareOfLimit || !reserve(bytes)) return;
  Space& target = space(low);
  if (mayFill(target, asOf)) check(low, target.fill(low, high, asOf, entries));
}

bool Cache::hasRoom(uint64_t bytes) const {
  const std::lock_guard guard(mutex_);
  return memory_.usedBytes + bytes <= limitBytes_;
}

// Whether a fill of what was read at `asOf` may come in. Asked after the eviction that made room for it,
// since that may have taken away what was changed later.
bool Cache::mayFill(const Space& space, uint64_t asOf) {
  if (!isClosed_ && !space.isClosed && asOf >= space.lostSince && asOf >= lostSince_) return true;
  counts_.lateFills++;
  return false;
}

// A fill that contradicts the cache shows a fault, and which of the two is right is not known: forgets the
// whole space.
void Cache::check(std::string_view key, bool fits) {
  if (fits) return;
  counts_.contradictions++;
  close(key);
  if (!isAnnounced_) openAll(last_);
}

void Cache::begin(uint64_t last, uint64_t writtenBytes) {
  const std::lock_guard guard(mutex_);
  isAnnounced_ = true;
  since_ = last + 1;
  isLarge_ = writtenBytes > limitBytes_ / shareOfLimit;
}

void Cache::change(std::string_view key, const std::string_view* value) {
  const bool isSmall = value != nullptr && value->size() <= Entries::maxBytes;
  const State state = value == nullptr ? State::ABSENT : isSmall ? State::VALUE : State::UNKNOWN;
  const std::string_view kept = isSmall ? *value : std::string_view();
  const std::lock_guard guard(mutex_);
  // To look for room takes long where all that is cached is announced, so it is not done for each key.
  const Space* known = find(key);
  if (isClosed_ || (known != nullptr && known->isClosed)) return;
  if (isLarge_ || !reserve(bytesForKey(key.size(), leafNodes_) + Version::bytesOf(kept.size()))) {
    close(key);
    return;
  }
  Space& target = space(key);
  if (isClosed_ || target.isClosed) return;
  Node& node = target.change(key, since_, state, kept);
  if (pending_.empty() || pending_.back() != &node) pending_.push_back(&node);
}

void Cache::changeSpace(std::string_view spaceKey) {
  const std::lock_guard guard(mutex_);
  close(spaceKey);
}

void Cache::end(uint64_t sequence) {
  for (size_t i = 0; i < pending_.size();) {
    const std::lock_guard guard(mutex_);
    for (const size_t until = std::min(i + settledTogether, pending_.size()); i < until; i++) {
      pending_[i]->newest->since = sequence;
      pending_[i]->isPending = false;
    }
  }
  pending_.clear();
  const std::lock_guard guard(mutex_);
  isAnnounced_ = false;
  last_ = sequence;
  openAll(sequence);
}

void Cache::abandon() {
  const std::lock_guard guard(mutex_);
  for (Node* node : pending_) {
    node->newest->state = State::UNKNOWN;
    node->isPending = false;
  }
  pending_.clear();
  isAnnounced_ = false;
  openAll(latest);
}

void Cache::setLimitBytes(uint64_t bytes) {
  const std::lock_guard guard(mutex_);
  limitBytes_ = bytes;
  reserve(0);
}

Cache::Counts Cache::counts() const {
  const std::lock_guard guard(mutex_);
  Counts counts = counts_;
  counts.usedBytes = memory_.usedBytes;
  return counts;
}

bool Cache::isSound() const {
  const std::lock_guard guard(mutex_);
  uint64_t bytes = spaces_.size() * bytesForSpace;
  for (const auto& [number, space] : spaces_) {
    if (!space->isInOrder()) return false;
    bytes += space->countBytes();
  }
  for (const auto& space : forgotten_) bytes += space->countBytes() + bytesForSpace;
  return bytes == memory_.usedBytes;
}

Space* Cache::find(std::string_view key) {
  const auto found = isClosed_ ? spaces_.end() : spaces_.find(engine::bigEndian32(key));
  return found == spaces_.end() ? nullptr : found->second.get();
}

Space& Cache::space(std::string_view key) {
  std::unique_ptr<Space>& place = spaces_[engine::bigEndian32(key)];
  if (!place) {
    place = std::make_unique<Space>(memory_, std::string(key.substr(0, sizeof(uint32_t))));
    memory_.usedBytes += bytesForSpace;
  }
  return *place;
}

// Room for a space more, and so many bytes in it. Those who read wait for this, so it may not go over all
// leaves to find what was used the least.
bool Cache::reserve(uint64_t bytes) {
  const uint64_t wantedBytes = bytes + bytesForSpace;
  const auto isThere = [&] { return memory_.usedBytes + wantedBytes <= limitBytes_; };
  size_t looked = 0;
  const size_t most = gentleEvictions + 2 * memory_.order.size() + 2;
  while (!isThere() && looked < most && !memory_.order.empty()) {
    if (memory_.hand == memory_.order.end()) memory_.hand = memory_.order.begin();
    evict(**memory_.hand++, ++looked > gentleEvictions);
  }
  if (isThere()) return true;
  // What is left are empty spaces, and what is announced.
  std::vector<uint32_t> empty;
  for (const auto& [number, space] : spaces_) {
    if (space->isEmpty() && !space->isClosed) empty.push_back(number);
  }
  for (const uint32_t number : empty) forget(number);
  return isThere();
}

void Cache::evict(Leaf& leaf, bool alsoUsed) {
  Space& space = leaf.space;
  counts_.evictions += space.evict(leaf, alsoUsed);
  if (!space.isForgotten || !space.isEmpty()) return;
  std::erase_if(forgotten_, [&](const auto& one) { return one.get() == &space; });
  memory_.usedBytes -= bytesForSpace;
}

// Nothing of the space is known, or comes in, until the commit is settled.
void Cache::close(std::string_view key) {
  if (Space* known = find(key); known != nullptr || reserve(0)) {
    if (isClosed_) return;
    Space& target = space(key);
    if (!std::exchange(target.isClosed, true)) closed_.push_back(engine::bigEndian32(key));
  } else {
    isClosed_ = true;
  }
}

void Cache::openAll(uint64_t lostSince) {
  if (closed_.empty() && !isClosed_) return;
  for (const uint32_t number : closed_) forget(number);
  closed_.clear();
  while (std::exchange(isClosed_, false)) {
    while (!spaces_.empty()) forget(spaces_.begin()->first);
  }
  lostSince_ = std::max(lostSince_, lostSince);
}

// To free what may be many nodes would take long.
void Cache::forget(uint32_t space) {
  const auto found = spaces_.find(space);
  lostSince_ = std::max(lostSince_, found->second->lostSince);
  if (found->second->isEmpty()) {
    memory_.usedBytes -= bytesForSpace;
  } else {
    found->second->isForgotten = true;
    forgotten_.push_back(std::move(found->second));
  }
  spaces_.erase(found);
}

}  // namespace vamos::cache
