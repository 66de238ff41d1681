#include "cache/space.hpp"

#include <algorithm>
#include <utility>

namespace vamos::cache {
namespace {

// Versions of a key, at most: one read at a moment before them is not answered.
constexpr size_t maxVersions = 8;

// Whether no key fits between the two.
bool isJustBehind(std::string_view position, std::string_view key) {
  return position.size() == key.size() + 1 && position.back() == '\0' && position.starts_with(key);
}

// Keeps as many versions as a key may have. Returns the bytes of the others.
uint64_t trim(Node& node) {
  Version* last = node.newest.get();
  for (size_t count = 1; count < maxVersions && last != nullptr; count++) last = last->older.get();
  if (last == nullptr || last->older == nullptr) return 0;
  const uint64_t before = node.bytes();
  last->older.reset();
  return before - node.bytes();
}

}  // namespace

uint64_t bytesForKey(size_t keyBytes, size_t leafNodes) {
  // A version of its own, and one that says that nothing was there before. It may split a leaf.
  return Node::bytesOf(keyBytes) + 2 * Version::bytesOf(0) + Leaf::bytesOf(keyBytes, leafNodes + 1);
}

Found Space::get(std::string_view key, uint64_t at, std::string& value) {
  if (isClosed || leaves_.empty()) return Found::UNKNOWN;
  Leaf& leaf = leafOf(key)->second;
  const size_t index = leaf.lowerBound(key);
  if (!leaf.hasKeyAt(index, key)) return leaf.gapBefore(index) <= at ? Found::ABSENT : Found::UNKNOWN;
  Node& node = *leaf.nodes[index];
  if (node.isBoundary()) return node.gapSince <= at ? Found::ABSENT : Found::UNKNOWN;
  node.use();
  const Version* version = node.versionAt(at);
  if (version == nullptr) return Found::UNKNOWN;
  if (version->state == State::ABSENT) return Found::ABSENT;
  value.assign(version->value());
  return Found::ROW;
}

Found Space::next(std::string_view from, std::string_view high, uint64_t at, size_t maxCount,
                  Entries& entries) {
  if (isClosed || leaves_.empty()) return Found::UNKNOWN;
  auto leaf = leafOf(from);
  size_t index = leaf->second.lowerBound(from);
  // Nothing lies between the place and a node that stands there.
  bool isGapKnown = leaf->second.gapBefore(index) <= at || leaf->second.hasKeyAt(index, from);
  while (true) {
    if (index == leaf->second.nodes.size()) {
      if (!isGapKnown) return Found::UNKNOWN;
      if (++leaf == leaves_.end() || leaf->first >= high) return Found::ABSENT;
      index = 0;
      isGapKnown = leaf->second.headSince <= at;
      continue;
    }
    Node& node = *leaf->second.nodes[index++];
    if (!isGapKnown) return Found::UNKNOWN;
    if (node.key() >= high) return Found::ABSENT;
    isGapKnown = node.gapSince <= at;
    if (node.isBoundary()) continue;
    node.use();
    const Version* version = node.versionAt(at);
    if (version == nullptr) return Found::UNKNOWN;
    if (version->state == State::ABSENT) continue;
    entries.add(node.key(), version->value());
    if (entries.isFull(maxCount)) return Found::ROW;
  }
}

Found Space::previous(std::string_view before, std::string_view low, uint64_t at, size_t maxCount,
                      Entries& entries) {
  if (isClosed || leaves_.empty()) return Found::UNKNOWN;
  auto leaf = leafOf(before);
  size_t index = leaf->second.lowerBound(before);
  while (true) {
    const bool isGapKnown = leaf->second.gapBefore(index) <= at;
    if (index == 0) {
      // Nothing lies between the leaf's lowest key and itself.
      if (!isGapKnown && leaf->first < before) return Found::UNKNOWN;
      if (leaf->first <= low || leaf == leaves_.begin()) return Found::ABSENT;
      before = leaf->first;
      --leaf;
      index = leaf->second.nodes.size();
      continue;
    }
    Node& node = *leaf->second.nodes[--index];
    if (!isGapKnown && (node.isBoundary() || !isJustBehind(before, node.key()))) return Found::UNKNOWN;
    if (node.key() < low) return Found::ABSENT;
    before = node.key();
    if (node.isBoundary()) continue;
    node.use();
    const Version* version = node.versionAt(at);
    if (version == nullptr) return Found::UNKNOWN;
    if (version->state == State::ABSENT) continue;
    entries.add(node.key(), version->value());
    if (entries.isFull(maxCount)) return Found::ROW;
  }
}

bool Space::fill(std::string_view key, uint64_t asOf, State state, std::string_view value) {
  return put(key, asOf, state, value);
}

bool Space::fill(std::string_view low, std::string_view high, uint64_t asOf, const Entries& entries) {
  ensureBoundary(low, asOf);
  // Where the next space begins there is nothing to bound.
  if (high.starts_with(low_)) ensureBoundary(high, asOf);
  for (size_t i = 0; i < entries.count(); i++) {
    const std::string& value = entries[i].value;
    const bool fits = value.size() <= Entries::maxBytes;
    const State state = fits ? State::VALUE : State::UNKNOWN;
    if (!put(entries[i].key, asOf, state, fits ? std::string_view(value) : std::string_view())) return false;
  }
  return learnGaps(low, high, asOf, entries);
}

// Where the node has something newer, that stays.
bool Space::put(std::string_view key, uint64_t asOf, State state, std::string_view value) {
  Node& node = entry(key);
  if (node.newest == nullptr) {
    // It was known that nothing is there.
    if (node.gapSince != never && state != State::ABSENT) return false;
  } else {
    const Version& newest = *node.newest;
    if (node.isPending || newest.since > asOf) return true;
    if (newest.state != State::UNKNOWN) {
      return state == State::UNKNOWN || (newest.state == state && newest.value() == value);
    }
    // What lay here before asOf is not known: older versions may not show in its place.
    memory_.usedBytes -= node.bytes() - Node::bytesOf(key.size());
  }
  node.newest = Version::make(asOf, state, value);
  memory_.usedBytes += node.newest->bytes();
  return true;
}

// Dates the gaps between the ends of what was read.
bool Space::learnGaps(std::string_view low, std::string_view high, uint64_t asOf, const Entries& entries) {
  auto leaf = leafOf(low);
  size_t index = leaf->second.lowerBound(low);
  if (!leaf->second.hasKeyAt(index, low)) {
    uint64_t& gap = leaf->second.gapBefore(index);
    gap = std::min(gap, asOf);
  }
  size_t fetched = 0;
  while (true) {
    if (index == leaf->second.nodes.size()) {
      if (++leaf == leaves_.end() || leaf->first >= high) return true;
      leaf->second.headSince = std::min(leaf->second.headSince, asOf);
      index = 0;
      continue;
    }
    Node& node = *leaf->second.nodes[index++];
    if (node.key() >= high) return true;
    if (!node.isBoundary()) {
      if (fetched < entries.count() && entries[fetched].key == node.key()) {
        fetched++;
      } else if (!node.isPending && node.newest->since <= asOf && node.newest->state == State::VALUE) {
        return false;
      }
      if (isJustBehind(high, node.key())) return true;
    }
    node.gapSince = std::min(node.gapSince, asOf);
  }
}

// What is then learned of one side doesn't count for the other.
void Space::ensureBoundary(std::string_view key, uint64_t asOf) {
  Leaf& leaf = leafFor(key);
  const size_t index = leaf.lowerBound(key);
  if (leaf.hasKeyAt(index, key) || (index == 0 && leaf.low == key)) return;
  // What is learned makes no difference: both sides are known for longer.
  if (leaf.gapBefore(index) <= asOf) return;
  if (index > 0 && !leaf.nodes[index - 1]->isBoundary() && isJustBehind(key, leaf.nodes[index - 1]->key())) {
    return;
  }
  insert(key);
}

Node& Space::change(std::string_view key, uint64_t since, State state, std::string_view value) {
  Node& node = entry(key);
  if (node.isPending) {
    // The same commit changes the key once more.
    memory_.usedBytes -= node.newest->bytes();
    node.newest = std::move(node.newest->older);
  } else if (node.newest == nullptr && node.gapSince != never) {
    node.newest = Version::make(node.gapSince, State::ABSENT);
    memory_.usedBytes += node.newest->bytes();
  }
  Version::Pointer version = Version::make(since, state, value);
  memory_.usedBytes += version->bytes();
  version->older = std::move(node.newest);
  node.newest = std::move(version);
  node.isPending = true;
  memory_.usedBytes -= trim(node);
  return node;
}

// The node of a key, which has no version where it was not there, or was a boundary.
Node& Space::entry(std::string_view key) {
  Leaf& leaf = leafFor(key);
  const size_t index = leaf.lowerBound(key);
  return leaf.hasKeyAt(index, key) ? *leaf.nodes[index] : insert(key);
}

// A node that splits a gap in two: of both is known what was known of the gap.
Node& Space::insert(std::string_view key) {
  Leaf* leaf = &leafFor(key);
  if (leaf->isFull()) {
    split(*leaf);
    leaf = &leafFor(key);
  }
  const size_t index = leaf->lowerBound(key);
  Node::Pointer node = Node::make(key, leaf->gapBefore(index));
  memory_.usedBytes += Node::bytesOf(key.size());
  const auto place = leaf->nodes.begin() + static_cast<std::ptrdiff_t>(index);
  return **leaf->nodes.insert(place, std::move(node));
}

void Space::split(Leaf& leaf) {
  const size_t middle = leaf.nodes.size() / 2;
  // Nothing lies between its lowest key and its first node, which is that key's.
  Leaf& right = addLeaf(std::string(leaf.nodes[middle]->key()), 0);
  for (size_t i = middle; i < leaf.nodes.size(); i++) right.nodes.push_back(std::move(leaf.nodes[i]));
  leaf.nodes.resize(middle);
}

uint64_t Space::evict(Leaf& leaf, bool alsoUsed) {
  const Leaf::Evicted evicted = leaf.evict(alsoUsed || isForgotten);
  memory_.usedBytes -= evicted.bytes;
  lostSince = std::max(lostSince, evicted.lostSince);
  const auto place = leaves_.find(leaf.low);
  if (place != leaves_.begin() &&
      std::prev(place)->second.nodes.size() + leaf.nodes.size() <= memory_.leafNodes / 2) {
    joinLeft(place);
  } else if (leaf.nodes.empty() && leaves_.size() == 1) {
    removeLeaf(leaf);
  }
  return evicted.entries;
}

void Space::joinLeft(Leaves::iterator leaf) {
  Leaf& right = leaf->second;
  Leaf& left = std::prev(leaf)->second;
  left.lastGap() = std::max(left.lastGap(), right.headSince);
  for (Node::Pointer& node : right.nodes) left.nodes.push_back(std::move(node));
  right.nodes.clear();
  removeLeaf(right);
}

Space::~Space() {
  for (auto& [low, leaf] : leaves_) {
    for (const Node::Pointer& node : leaf.nodes) memory_.usedBytes -= node->bytes();
    leaf.nodes.clear();
  }
  while (!leaves_.empty()) removeLeaf(leaves_.begin()->second);
}

Space::Leaves::iterator Space::leafOf(std::string_view key) {
  const auto behind = leaves_.upper_bound(key);
  return behind == leaves_.begin() ? behind : std::prev(behind);
}

Leaf& Space::leafFor(std::string_view key) {
  return leaves_.empty() ? addLeaf(low_, never) : leafOf(key)->second;
}

Leaf& Space::addLeaf(std::string low, uint64_t headSince) {
  const auto [place, isNew] = leaves_.try_emplace(low, *this, low, headSince, memory_.leafNodes);
  Leaf& leaf = place->second;
  // Behind all others.
  leaf.place = memory_.order.insert(memory_.hand, &leaf);
  memory_.usedBytes += leaf.bytes();
  return leaf;
}

void Space::removeLeaf(Leaf& leaf) {
  if (memory_.hand == leaf.place) ++memory_.hand;
  memory_.order.erase(leaf.place);
  memory_.usedBytes -= leaf.bytes();
  leaves_.erase(leaves_.find(leaf.low));
}

uint64_t Space::countBytes() const {
  uint64_t sum = 0;
  for (const auto& [low, leaf] : leaves_) {
    sum += leaf.bytes();
    for (const Node::Pointer& node : leaf.nodes) sum += node->bytes();
  }
  return sum;
}

bool Space::isInOrder() const {
  std::string_view last;
  for (const auto& [low, leaf] : leaves_) {
    if (low < last || low != leaf.low || leaf.nodes.size() > memory_.leafNodes) return false;
    last = low;
    bool isFirst = true;
    for (const Node::Pointer& node : leaf.nodes) {
      if (node->key() < last || (!isFirst && node->key() == last)) return false;
      last = node->key();
      isFirst = false;
    }
  }
  return true;
}

}  // namespace vamos::cache
