#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace vamos::client {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
inline constexpr TimePoint kNever = TimePoint::max();

// Wakes one thread. The signal stays set until that thread has taken it, and costs a system call only if the
// thread sleeps.
class Signal {
 public:
  void set() {
    if (word_.exchange(kSet, std::memory_order_acq_rel) != kAsleep) return;
    syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  // Waits for the signal and takes it. Returns false if it was not set by then.
  bool waitUntil(TimePoint deadline) {
    while (true) {
      uint32_t seen = kSet;
      if (word_.compare_exchange_strong(seen, kClear, std::memory_order_acq_rel)) return true;
      if (Clock::now() >= deadline) return word_.exchange(kClear, std::memory_order_acq_rel) == kSet;
      seen = kClear;
      if (!word_.compare_exchange_strong(seen, kAsleep, std::memory_order_acq_rel) && seen == kSet) continue;
      sleep(deadline);
    }
  }

 private:
  static constexpr uint32_t kClear = 0;
  static constexpr uint32_t kSet = 1;
  static constexpr uint32_t kAsleep = 2;

  void sleep(TimePoint deadline) {
    using std::chrono::nanoseconds;
    const auto since = std::chrono::duration_cast<nanoseconds>(deadline.time_since_epoch());
    timespec until{};
    until.tv_sec = static_cast<time_t>(since.count() / 1'000'000'000);
    until.tv_nsec = static_cast<long>(since.count() % 1'000'000'000);
    // The bitset form takes a time of CLOCK_MONOTONIC, which is the steady clock's.
    syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, kAsleep, deadline == kNever ? nullptr : &until,
            nullptr, FUTEX_BITSET_MATCH_ANY);
  }

  std::atomic<uint32_t> word_{kClear};
};

}  // namespace vamos::client
