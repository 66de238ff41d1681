#include "store/transactions/messages.hpp"

#include <array>
#include <cstdio>
#include <utility>

namespace vamos::store {

namespace {

constexpr size_t maxInMinute = 100;
constexpr size_t maxTextBytes = 2000;

}  // namespace

void Messages::add(bool isError, std::string text) {
  {
    const std::lock_guard guard(mutex_);
    const Clock::time_point now = Clock::now();
    if (inMinute_ == 0 || now - minuteStart_ >= std::chrono::minutes(1)) {
      minuteStart_ = now;
      inMinute_ = 0;
      if (leftOut_ > 0) {
        messages_.push_back({false, std::to_string(leftOut_) + " more messages of RocksDB were left out"});
        leftOut_ = 0;
      }
    }
    if (++inMinute_ > maxInMinute) {
      leftOut_++;
      return;
    }
    if (text.size() > maxTextBytes) text.resize(maxTextBytes);
    messages_.push_back({isError, std::move(text)});
    if (std::exchange(isTold_, true)) return;
  }
  const std::lock_guard guard(callMutex_);
  if (onNew_) onNew_();
}

std::vector<Message> Messages::take() {
  const std::lock_guard guard(mutex_);
  isTold_ = false;
  return std::exchange(messages_, {});
}

void Messages::onNew(std::function<void()> call) {
  const std::lock_guard guard(callMutex_);
  onNew_ = std::move(call);
}

void Messages::Logv(rocksdb::InfoLogLevel level, const char* format, va_list values) {
  if (level < rocksdb::WARN_LEVEL || level > rocksdb::FATAL_LEVEL) return;
  std::array<char, maxTextBytes> text{};
  const int written = std::vsnprintf(text.data(), text.size(), format, values);
  if (written > 0) add(level > rocksdb::WARN_LEVEL, text.data());
}

}  // namespace vamos::store
