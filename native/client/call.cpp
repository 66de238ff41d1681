#include "client/call.hpp"

#include <algorithm>
#include <utility>

#include "wire/session_messages.hpp"

namespace vamos::client {
namespace {

uint64_t bytesOf(const std::vector<Request>& requests) {
  uint64_t bytes = 0;
  for (const Request& request : requests) bytes += request.body.size() + overheadBytes;
  return bytes;
}

TimePoint deadlineOf(TimePoint now, uint32_t timeoutMs) {
  return timeoutMs == 0 ? kNever
                        : now + std::chrono::milliseconds(std::min<uint64_t>(timeoutMs, maxTimeoutMs));
}

}  // namespace

Call::Call(uint32_t stream, std::vector<Request> chain, const CallOptions& options, bool isLater)
    : stream(stream),
      epoch(options.epoch),
      isCommit(options.isCommit),
      isLater(isLater),
      issuedAt(Clock::now()),
      deadline(deadlineOf(issuedAt, options.timeoutMs)),
      bytes(bytesOf(chain)),
      requestCount(static_cast<uint32_t>(chain.size())),
      requests(std::move(chain)),
      bodies(requests.size()),
      unanswered_(requestCount) {}

uint32_t Call::remainingMs(TimePoint now) const {
  if (deadline == kNever) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<uint32_t>(std::max<int64_t>(1, left));
}

bool Call::succeed(size_t index, Body body) {
  if (isDone) return false;
  bodies[index] = std::move(body);
  isDone = --unanswered_ == 0;
  return isDone;
}

bool Call::fail(Failure reason, size_t index) {
  if (isDone) return false;
  failure = std::move(reason);
  failedIndex = index;
  isDone = true;
  return true;
}

bool Call::lose(const Failure& cause, std::string_view session) {
  const std::string why = cause.message.empty() ? "" : ": " + cause.message;
  const char* when = isSent() ? "before the answer came" : "before the call was sent";
  const std::string message = std::string("the session ended ") + when + why;
  const bool mayBeDone = isCommit && (isSent() || cause.code == ErrorCode::SESSION_STALE);
  if (mayBeDone) return fail({ErrorCode::OUTCOME_UNKNOWN, message, std::string(session)});
  return fail({ErrorCode::SESSION_LOST, message});
}

std::string_view replyBody(const CallPointer& call, size_t index) {
  return index < call->bodies.size() ? call->bodies[index].view() : std::string_view();
}

const Failure& failureOf(const CallPointer& call) { return call->failure; }

size_t failedIndex(const CallPointer& call) { return call->failedIndex; }

}  // namespace vamos::client
