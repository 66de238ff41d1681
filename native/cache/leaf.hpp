#pragma once

#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "cache/node.hpp"

namespace vamos::cache {

class Space;

// Neighbouring nodes of a space, from a lowest key on up to the lowest key of the next leaf. That key is a
// boundary, too, so what is known of a gap never reaches from one leaf into another.
class Leaf {
 public:
  Leaf(Space& space, std::string lowest, uint64_t headSince, size_t maxNodes)
      : space(space), low(std::move(lowest)), headSince(headSince) {
    nodes.reserve(maxNodes + 1);
  }

  // Returns the index of the first node at this key or behind it; nodes.size(): there is none.
  size_t lowerBound(std::string_view key) const;
  // What is known of the gap before the node of this number.
  uint64_t& gapBefore(size_t index) { return index == 0 ? headSince : nodes[index - 1]->gapSince; }
  uint64_t& lastGap() { return gapBefore(nodes.size()); }
  bool isFull() const { return nodes.size() + 1 >= nodes.capacity(); }
  bool hasKeyAt(size_t index, std::string_view key) const {
    return index < nodes.size() && nodes[index]->key() == key;
  }
  // The leaf's own bytes, without those of its nodes.
  uint64_t bytes() const { return bytesOf(low.size(), nodes.capacity()); }
  static uint64_t bytesOf(size_t lowBytes, size_t capacity);

  // Takes away the nodes that were not used in the last few calls (alsoUsed: the others, too), and the older
  // versions of those that stay.
  struct Evicted {
    uint64_t bytes = 0;
    uint64_t entries = 0;
    uint64_t lostSince = 0;  // the newest commit that changed an entry which went; 0: none went
  };
  Evicted evict(bool alsoUsed);

  Space& space;
  const std::string low;
  uint64_t headSince;  // as a node's gapSince: between `low` and the first node
  std::vector<Node::Pointer> nodes;
  std::list<Leaf*>::iterator place;  // in the order of eviction
};

}  // namespace vamos::cache
