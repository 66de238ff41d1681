#include "channel/fresh_bytes.hpp"

#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace vamos {
namespace {

uint64_t nanosecondsOf(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

#if defined(__x86_64__)
__attribute__((target("rdrnd"))) uint64_t readRandomNumber() {
  unsigned long long number = 0;
  _rdrand64_step(&number);
  return number;
}

// Asks CPUID, leaf 1 (Intel's manual).
bool hasRandomNumbers() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_RDRND) != 0;
}

// Returns 0 where the processor has no such number.
uint64_t processorsNumber() {
  static const bool hasNumbers = hasRandomNumbers();
  return hasNumbers ? readRandomNumber() : 0;
}
#else
uint64_t processorsNumber() { return 0; }
#endif

// The finalizer of SplitMix64: every bit of the input changes half of the output's.
uint64_t mix(uint64_t value) {
  value += 0x9E37'79B9'7F4A'7C15;
  value = (value ^ (value >> 30)) * 0xBF58'476D'1CE4'E5B9;
  value = (value ^ (value >> 27)) * 0x94D0'49BB'1331'11EB;
  return value ^ (value >> 31);
}

uint64_t freshNumber() {
  static std::atomic<uint64_t> calls{0};
  uint64_t number = mix(calls.fetch_add(1, std::memory_order_relaxed));
  number = mix(number ^ nanosecondsOf(CLOCK_REALTIME));
  number = mix(number ^ nanosecondsOf(CLOCK_MONOTONIC));
  return number ^ processorsNumber();
}

}  // namespace

std::string freshBytes(size_t count) {
  std::string bytes(count, '\0');
  // So few bytes come immediately and whole, unless the system has just started.
  for (size_t done = 0; done < count;) {
    const ssize_t more = getrandom(bytes.data() + done, count - done, 0);
    if (more > 0) done += static_cast<size_t>(more);
  }
  for (size_t at = 0; at < count; at += sizeof(uint64_t)) {
    const size_t length = std::min(sizeof(uint64_t), count - at);
    uint64_t part = 0;
    std::memcpy(&part, bytes.data() + at, length);
    part ^= freshNumber();
    std::memcpy(bytes.data() + at, &part, length);
  }
  return bytes;
}

}  // namespace vamos
