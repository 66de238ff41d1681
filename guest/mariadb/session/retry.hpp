#pragma once

#include <chrono>
#include <cstdint>

#include "client/client.hpp"

namespace vamos::mariadb {

// How often a request is sent that may be made again: a session may be lost again meanwhile.
constexpr int ATTEMPTS = 4;

// Its session ended with no answer.
inline bool isLost(const client::Failure& failure) {
  return failure.code == ErrorCode::SESSION_LOST || failure.code == ErrorCode::OUTCOME_UNKNOWN;
}

// Nobody waited for the answer, and the session goes on.
inline bool isGivenUp(const client::Failure& failure) {
  return failure.code == ErrorCode::CANCELLED || failure.code == ErrorCode::DEADLINE_EXCEEDED;
}

// Of the steady clock.
inline uint64_t nowMs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace vamos::mariadb
