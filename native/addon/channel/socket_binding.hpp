#pragma once

#include <napi.h>

#include "channel/descriptor.hpp"
#include "watch.hpp"

namespace vamos {

// connectVsock(cid, port, done(code, message, descriptor)): not within the call where it has to wait.
void connectVsock(const Napi::CallbackInfo& info);

// Accepts connections: src/channel/native.ts says what it takes and calls.
class ListenerBinding final : public Napi::ObjectWrap<ListenerBinding>, public Watcher {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ListenerBinding(const Napi::CallbackInfo& info);
  ~ListenerBinding() override;

 private:
  void close(const Napi::CallbackInfo& info);

  void onPoll(int events) override;
  void onTimer() override;
  void onTeardown() override;

  Descriptor socket_;
  uint32_t cid_;
  Watch* watch_ = nullptr;
  Napi::FunctionReference onConnection_;
};

}  // namespace vamos
