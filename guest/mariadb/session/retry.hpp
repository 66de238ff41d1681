#pragma once

#include <chrono>
#include <cstdint>

namespace vamos::mariadb {

// How often a request is sent, at most, if its session is lost each time.
constexpr int maxAttempts = 4;

// The time of the steady clock.
inline uint64_t nowMs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace vamos::mariadb
