#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "client/signal.hpp"

namespace vamos::client {

// The body of a reply: a copy, or a view into the frame with which it came and which it keeps.
struct Body {
  std::string own;
  std::shared_ptr<const uint8_t[]> frame;
  std::string_view inFrame;

  std::string_view view() const { return frame ? inFrame : std::string_view(own); }
};

// One call from issue to answer; it is done exactly once. The client's mutex guards all but what never
// changes until it is done; then it is its owner's.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(uint32_t stream, std::vector<Request> chain, const CallOptions& options, bool isLater);

  const uint32_t stream;
  const uint32_t epoch;  // 0: a call of any session
  const bool isCommit;
  const bool isLater;
  const TimePoint issuedAt;
  const TimePoint deadline;
  // Bytes that its requests count in the host's window and in a frame.
  const uint64_t bytes;
  const uint32_t requestCount;

  std::vector<Request> requests;  // moved away when they are sent
  std::vector<uint32_t> ids;      // set when they are sent

  bool isSent() const { return !ids.empty(); }
  // The time left that the host is told of; 0: there is no deadline.
  uint32_t remainingMs(TimePoint now) const;

  // Takes the answer to a request. Returns true if this ends the call.
  bool succeed(size_t index, Body body);
  bool fail(Failure failure, size_t index = 0);
  // Fails the call because its session ended, whose bytes these are. With SESSION_STALE a commit that was not
  // sent may have been sent before this guest's memory was rolled back.
  bool lose(const Failure& cause, std::string_view session);

  bool isDone = false;
  Failure failure;
  size_t failedIndex = 0;
  std::vector<Body> bodies;

  // Wakes the thread that waits for the call, or for it to be sent.
  Signal signal;
  static constexpr size_t kNotWaiting = SIZE_MAX;
  size_t waiterIndex = kNotWaiting;
  bool waitsForRoom = false;

 private:
  uint32_t unanswered_;
};

}  // namespace vamos::client
