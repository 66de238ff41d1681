#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "client/call.hpp"
#include "wire/session_messages.hpp"

namespace vamos::client {

// What one session has sent and what is not answered: the numbers of its requests, its window, its frames in
// flight.
class InFlight {
 public:
  InFlight() = default;
  explicit InFlight(const wire::Welcome& limits);

  uint32_t maxFrames() const { return maxFramesInFlight_; }
  bool maySend() const { return framesInFlight_ < maxFramesInFlight_; }
  // No frame has a request that is neither answered nor reported parked.
  bool isQuiet() const { return framesInFlight_ == 0; }
  // Whether the window has room. Large calls leave its last eighth to small ones, such as a COMMIT.
  bool hasRoom(uint64_t batchBytes, uint64_t callBytes) const;
  size_t requestCount() const { return slots_.size() - freeIds_.size(); }

  // Gives numbers to the requests of calls that go as one frame, which is in flight until each of them is
  // answered or reported parked.
  void add(const std::vector<CallPointer>& batch);

  struct Answered {
    CallPointer call;  // nothing: no such request is open
    size_t index = 0;  // the request's place in the call
  };
  Answered settle(uint32_t id);
  // Notes that a request waits. Returns false if no such request is open, or it was reported before.
  bool park(uint32_t id);
  bool isOpen(uint32_t id, const Call& call) const;
  // Takes the calls of all open requests; a call may be there several times.
  std::vector<CallPointer> takeAll();

 private:
  struct Slot {
    CallPointer call;
    uint32_t index = 0;
    uint64_t bytes = 0;
    std::shared_ptr<uint32_t> unsettledInFrame;
    bool isParked = false;
  };

  Slot* find(uint32_t id);
  void settleInFrame(Slot& slot);

  uint64_t requestWindowBytes_ = 0;
  uint32_t maxFramesInFlight_ = 0;
  uint32_t framesInFlight_ = 0;
  uint64_t unansweredBytes_ = 0;
  std::vector<Slot> slots_;  // slots of request ids 1, 2, …
  std::vector<uint32_t> freeIds_;
};

}  // namespace vamos::client
