#include "client/call_queue.hpp"

#include <algorithm>
#include <utility>

namespace vamos::client {

void CallQueue::push(CallPointer call) {
  bytes_ += call->bytes;
  calls_.push_back(std::move(call));
  if (calls_.size() < sweepCount_) return;
  // While nothing can be sent, calls that timed out must not pile up.
  for (CallPointer& waiting : takeAll()) {
    if (waiting->isDone) continue;
    bytes_ += waiting->bytes;
    calls_.push_back(std::move(waiting));
  }
  sweepCount_ = std::max(kFirstSweep, 2 * calls_.size());
}

bool CallQueue::isUrgent() const {
  return std::any_of(calls_.begin(), calls_.end(),
                     [](const CallPointer& call) { return !call->isDone && !call->isLater; });
}

void CallQueue::takeBatch(uint64_t maxBytes, const InFlight& inFlight, std::vector<CallPointer>& batch) {
  std::vector<uint32_t> heldStreams;
  uint64_t batchBytes = 0;
  size_t kept = 0;
  size_t next = 0;
  for (; next < calls_.size(); next++) {
    CallPointer& call = calls_[next];
    if (call->isDone) {
      bytes_ -= call->bytes;
      continue;
    }
    const bool isHeld = std::find(heldStreams.begin(), heldStreams.end(), call->stream) != heldStreams.end();
    if (isHeld || !inFlight.hasRoom(batchBytes, call->bytes)) {
      if (!isHeld) heldStreams.push_back(call->stream);
      if (kept != next) calls_[kept] = std::move(call);
      kept++;
      continue;
    }
    if (batchBytes + call->bytes > maxBytes) break;
    batchBytes += call->bytes;
    bytes_ -= call->bytes;
    batch.push_back(std::move(call));
  }
  calls_.erase(calls_.begin() + static_cast<ptrdiff_t>(kept), calls_.begin() + static_cast<ptrdiff_t>(next));
}

std::vector<CallPointer> CallQueue::takeAll() {
  bytes_ = 0;
  return std::exchange(calls_, {});
}

}  // namespace vamos::client
