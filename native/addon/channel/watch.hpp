#pragma once

#include <node_api.h>
#include <uv.h>

#include <cstdint>
#include <optional>

namespace vamos {

// What a Watch tells. Its calls come from the event loop, never from within a call to the Watch.
class Watcher {
 public:
  // events: UV_READABLE, UV_WRITABLE; both where the descriptor has an error, which the next read or write
  // tells.
  virtual void onPoll(int events) = 0;
  virtual void onTimer() = 0;
  // The environment (the process, a worker thread) ends: the Watch is closed, and JavaScript must not be
  // called.
  virtual void onTeardown() = 0;

 protected:
  ~Watcher() = default;
};

// A descriptor and a timer on the event loop of one environment. The one place that knows how long libuv's
// handles must live: until the loop has closed them, also when the environment ends first.
class Watch {
 public:
  // The descriptor stays the caller's. Throws ChannelError where it can't be polled.
  static Watch* open(napi_env env, int descriptor, Watcher& watcher);

  // 0 stops.
  void poll(int events);
  // At this time of nowMs(); nothing stops it.
  void setTimer(std::optional<uint64_t> atMs);
  // Nothing is called any more; the descriptor may be closed. Deletes the Watch when the loop is done with
  // it.
  void close();

  static uint64_t nowMs() { return uv_hrtime() / 1'000'000; }

 private:
  Watch() = default;
  ~Watch() = default;
  void onHandleClosed();

  Watcher* watcher_ = nullptr;
  uv_poll_t poll_{};
  uv_timer_t timer_{};
  int polledEvents_ = 0;
  int openHandles_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace vamos
