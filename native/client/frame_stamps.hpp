#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "channel/fresh_bytes.hpp"

namespace vamos::client {

// The stamps of a session's last request frames. One of them is the stamp of the last frame that the host has
// received, or the memory of this guest was rolled back: then the host has received frames that this guest,
// as it is now, never sent.
class FrameStamps {
 public:
  // All of them; the newest is the last.
  const std::vector<uint32_t>& all() const { return stamps_; }

  // Makes the stamp for the next frame. The host has received all frames but the last `maxFramesInFlight`.
  uint32_t next(uint32_t maxFramesInFlight) {
    uint32_t stamp = 0;
    while (stamp == 0) std::memcpy(&stamp, freshBytes(sizeof stamp).data(), sizeof stamp);
    if (stamps_.size() > maxFramesInFlight) stamps_.erase(stamps_.begin(), stamps_.end() - maxFramesInFlight);
    stamps_.push_back(stamp);
    return stamp;
  }

  // Whether this may be the stamp of the last frame that the host has; 0: an earlier version of the host says
  // none.
  bool mayBeLast(uint32_t stamp) const {
    return stamp == 0 || std::find(stamps_.begin(), stamps_.end(), stamp) != stamps_.end();
  }

  // The host has begun another connection: from then on it takes the newest frame for the last one that came.
  void keepNewest() {
    if (stamps_.size() > 1) stamps_.erase(stamps_.begin(), stamps_.end() - 1);
  }

 private:
  std::vector<uint32_t> stamps_;
};

}  // namespace vamos::client
