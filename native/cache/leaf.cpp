#include "cache/leaf.hpp"

#include <algorithm>

namespace vamos::cache {
namespace {

// Links of a std::map's node, and of a std::list's.
constexpr size_t linkBytes = 4 * sizeof(void*);

// What is known of a gap when a node at its end goes, and the gap behind the node is joined to it.
uint64_t joinedGap(uint64_t gapBefore, const Node& node) {
  if (node.isBoundary()) return std::max(gapBefore, node.gapSince);
  const Version& newest = *node.newest;
  // Something is there, or may be.
  if (newest.state != State::ABSENT) return never;
  // Until that commit something was there.
  return std::max({gapBefore, node.gapSince, newest.since});
}

}  // namespace

size_t Leaf::lowerBound(std::string_view key) const {
  const auto found = std::lower_bound(
      nodes.begin(), nodes.end(), key,
      [](const Node::Pointer& node, std::string_view wanted) { return node->key() < wanted; });
  return static_cast<size_t>(found - nodes.begin());
}

uint64_t Leaf::bytesOf(size_t lowBytes, size_t capacity) {
  const uint64_t ownBytes = allocatedBytes(linkBytes + sizeof(std::string) + sizeof(Leaf));
  // Short texts stand in the objects themselves; twice: in the leaf and in the directory.
  const uint64_t textBytes = lowBytes > 15 ? 2 * allocatedBytes(lowBytes + 1) : 0;
  return ownBytes + textBytes + allocatedBytes(capacity * sizeof(Node::Pointer)) + allocatedBytes(linkBytes);
}

Leaf::Evicted Leaf::evict(bool alsoUsed) {
  Evicted evicted;
  size_t kept = 0;
  for (size_t i = 0; i < nodes.size(); i++) {
    Node& node = *nodes[i];
    const uint64_t before = node.bytes();
    if (node.isPending || (!alsoUsed && node.uses > 0)) {
      if (node.uses > 0) node.uses--;
      if (!node.isPending) node.newest->older.reset();
      evicted.bytes += before - node.bytes();
      if (kept != i) nodes[kept] = std::move(nodes[i]);
      kept++;
      continue;
    }
    uint64_t& gap = gapBefore(kept);
    gap = joinedGap(gap, node);
    if (!node.isBoundary()) {
      evicted.entries++;
      evicted.lostSince = std::max(evicted.lostSince, node.newest->since);
    }
    evicted.bytes += before;
    nodes[i].reset();
  }
  nodes.resize(kept);
  return evicted;
}

}  // namespace vamos::cache
