#pragma once

#include <cstdint>
#include <vector>

#include "client/call.hpp"
#include "client/in_flight.hpp"

namespace vamos::client {

// Calls that wait to be sent, in order of issue.
class CallQueue {
 public:
  bool isEmpty() const { return calls_.empty(); }
  // Bytes that its calls count; those that are done count until the next batch is taken.
  uint64_t bytes() const { return bytes_; }
  // Whether any call may not wait for others to share its frame.
  bool isUrgent() const;
  const std::vector<CallPointer>& calls() const { return calls_; }

  void push(CallPointer call);
  // Takes what goes into one frame. A call for which the window has no room holds back its own stream only,
  // so that a small COMMIT gets past large calls.
  void takeBatch(uint64_t maxBytes, const InFlight& inFlight, std::vector<CallPointer>& batch);
  // Takes all calls out; the caller puts those back that stay.
  std::vector<CallPointer> takeAll();

 private:
  std::vector<CallPointer> calls_;
  uint64_t bytes_ = 0;
  size_t sweepCount_ = kFirstSweep;
  static constexpr size_t kFirstSweep = 1024;
};

}  // namespace vamos::client
