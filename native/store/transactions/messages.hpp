#pragma once

#include <rocksdb/env.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace vamos::store {

struct Message {
  bool isError = false;  // else a warning
  std::string text;
};

// What the store and RocksDB have to say to who looks after the host, in its log. Few enough to be read: of
// more than a hundred messages a minute the rest is counted.
class Messages : public rocksdb::Logger {
 public:
  Messages() : Logger(rocksdb::WARN_LEVEL) {}

  // From any thread.
  void add(bool isError, std::string text);
  // Returns the messages since the last call.
  std::vector<Message> take();
  // Called from any thread when there are some; once until they are taken. Nothing: no more calls.
  void onNew(std::function<void()> call);

  // RocksDB's: warnings and errors.
  using Logger::Logv;
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list values) override;
  void Logv(const char*, va_list) override {}

 private:
  using Clock = std::chrono::steady_clock;

  std::mutex mutex_;
  std::mutex callMutex_;
  std::function<void()> onNew_;
  std::vector<Message> messages_;
  bool isTold_ = false;
  Clock::time_point minuteStart_;
  size_t inMinute_ = 0;
  size_t leftOut_ = 0;
};

}  // namespace vamos::store
