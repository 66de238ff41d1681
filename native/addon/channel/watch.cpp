#include "watch.hpp"

#include "channel/descriptor.hpp"

namespace vamos {

Watch* Watch::open(napi_env env, int descriptor, Watcher& watcher) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  auto* watch = new Watch();
  watch->poll_.data = watch;
  watch->timer_.data = watch;
  if (const int error = uv_poll_init(loop, &watch->poll_, descriptor); error != 0) {
    delete watch;
    throw ChannelError(ErrorCode::CHANNEL_FAILED, std::string("polling the channel: ") + uv_strerror(error));
  }
  uv_timer_init(loop, &watch->timer_);
  watch->openHandles_ = 2;
  watch->watcher_ = &watcher;
  napi_add_async_cleanup_hook(
      env,
      [](napi_async_cleanup_hook_handle, void* data) {
        auto* self = static_cast<Watch*>(data);
        // Closed before, and only waiting for the loop?
        Watcher* watcher = self->watcher_;
        if (watcher == nullptr) return;
        self->close();
        watcher->onTeardown();
      },
      watch, &watch->hook_);
  return watch;
}

void Watch::poll(int events) {
  if (events == polledEvents_) return;
  polledEvents_ = events;
  if (events == 0) {
    uv_poll_stop(&poll_);
    return;
  }
  uv_poll_start(&poll_, events, [](uv_poll_t* handle, int status, int events) {
    auto* self = static_cast<Watch*>(handle->data);
    // libuv stops polling a descriptor with an error.
    if (status < 0) self->polledEvents_ = 0;
    self->watcher_->onPoll(status < 0 ? UV_READABLE | UV_WRITABLE : events);
  });
}

void Watch::setTimer(std::optional<uint64_t> atMs) {
  if (!atMs) {
    uv_timer_stop(&timer_);
    return;
  }
  const uint64_t now = nowMs();
  uv_timer_start(
      &timer_, [](uv_timer_t* handle) { static_cast<Watch*>(handle->data)->watcher_->onTimer(); },
      *atMs > now ? *atMs - now : 0, 0);
}

void Watch::close() {
  if (watcher_ == nullptr) return;
  watcher_ = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { static_cast<Watch*>(handle->data)->onHandleClosed(); });
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_),
           [](uv_handle_t* handle) { static_cast<Watch*>(handle->data)->onHandleClosed(); });
}

void Watch::onHandleClosed() {
  if (--openHandles_ > 0) return;
  napi_remove_async_cleanup_hook(hook_);
  delete this;
}

}  // namespace vamos
