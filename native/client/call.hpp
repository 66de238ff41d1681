#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "client/signal.hpp"

namespace vamos::client {

// The body of a reply: a copy of its own, or a view into the frame that it came with, which it keeps.
struct Body {
  std::string own;
  std::shared_ptr<const uint8_t[]> frame;
  std::string_view inFrame;

  std::string_view view() const { return frame ? inFrame : std::string_view(own); }
};

// One call from issue to answer; done exactly once. All but what never changes is guarded by the client's
// mutex until it is done, and then its owner's.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(uint32_t stream, std::vector<Request> chain, const CallOptions& options, bool isLater);

  const uint32_t stream;
  const uint32_t epoch;  // 0: of any session
  const bool isCommit;
  const bool isLater;
  const TimePoint issuedAt;
  const TimePoint deadline;
  // What its requests count in the host's window and in a frame.
  const uint64_t bytes;
  const uint32_t requestCount;

  std::vector<Request> requests;  // given away when they are sent
  std::vector<uint32_t> ids;      // once they are sent

  bool isSent() const { return !ids.empty(); }
  // What the host is told: 0 for none.
  uint32_t remainingMs(TimePoint now) const;

  // True if this ends it.
  bool succeed(size_t index, Body body);
  bool fail(Failure failure, size_t index = 0);
  // Its session ended, whose bytes these are. With SESSION_STALE a commit that was not sent may have been
  // sent before this guest's memory was rolled back.
  bool lose(const Failure& cause, std::string_view session);

  bool isDone = false;
  Failure failure;
  size_t failedIndex = 0;
  std::vector<Body> bodies;

  // Of the thread that waits for it, or for it to be sent.
  Signal signal;
  static constexpr size_t kNotWaiting = SIZE_MAX;
  size_t waiterIndex = kNotWaiting;
  bool waitsForRoom = false;

 private:
  uint32_t unanswered_;
};

}  // namespace vamos::client
