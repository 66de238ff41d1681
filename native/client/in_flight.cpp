#include "client/in_flight.hpp"

#include <utility>

namespace vamos::client {
InFlight::InFlight(const wire::Welcome& limits)
    : requestWindowBytes_(limits.requestWindowBytes), maxFramesInFlight_(limits.maxFramesInFlight) {}

bool InFlight::hasRoom(uint64_t batchBytes, uint64_t callBytes) const {
  const uint64_t used = unansweredBytes_ + batchBytes;
  const uint64_t window =
      callBytes <= smallCallBytes ? requestWindowBytes_ : requestWindowBytes_ - requestWindowBytes_ / 8;
  return used == 0 || used + callBytes <= window;
}

void InFlight::add(const std::vector<CallPointer>& batch) {
  const auto unsettled = std::make_shared<uint32_t>(0);
  for (const CallPointer& call : batch) {
    call->ids.reserve(call->requests.size());
    for (const Request& request : call->requests) {
      if (freeIds_.empty()) {
        slots_.emplace_back();
        freeIds_.push_back(static_cast<uint32_t>(slots_.size()));
      }
      const uint32_t id = freeIds_.back();
      freeIds_.pop_back();
      const uint64_t bytes = request.body.size() + overheadBytes;
      slots_[id - 1] = {call, static_cast<uint32_t>(call->ids.size()), bytes, unsettled, false};
      unansweredBytes_ += bytes;
      call->ids.push_back(id);
      ++*unsettled;
    }
  }
  framesInFlight_++;
}

InFlight::Answered InFlight::settle(uint32_t id) {
  Slot* slot = find(id);
  if (slot == nullptr) return {};
  unansweredBytes_ -= slot->bytes;
  if (!slot->isParked) settleInFrame(*slot);
  Answered answered{std::move(slot->call), slot->index};
  *slot = {};
  freeIds_.push_back(id);
  return answered;
}

bool InFlight::park(uint32_t id) {
  Slot* slot = find(id);
  if (slot == nullptr || slot->isParked) return false;
  slot->isParked = true;
  settleInFrame(*slot);
  return true;
}

bool InFlight::isOpen(uint32_t id, const Call& call) const {
  return id >= 1 && id <= slots_.size() && slots_[id - 1].call.get() == &call;
}

std::vector<CallPointer> InFlight::takeAll() {
  std::vector<CallPointer> calls;
  for (Slot& slot : slots_) {
    if (slot.call) calls.push_back(std::move(slot.call));
  }
  slots_.clear();
  freeIds_.clear();
  framesInFlight_ = 0;
  unansweredBytes_ = 0;
  return calls;
}

InFlight::Slot* InFlight::find(uint32_t id) {
  if (id == 0 || id > slots_.size() || !slots_[id - 1].call) return nullptr;
  return &slots_[id - 1];
}

void InFlight::settleInFrame(Slot& slot) {
  if (--*slot.unsettledInFrame == 0) framesInFlight_--;
}

}  // namespace vamos::client
