#pragma once

#include <napi.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channel/frame_stream.hpp"
#include "watch.hpp"

namespace vamos {

// One end of a channel for JavaScript: src/channel/native.ts says what its methods take and what it calls.
class ChannelBinding final : public Napi::ObjectWrap<ChannelBinding>, public FrameReceiver, public Watcher {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ChannelBinding(const Napi::CallbackInfo& info);
  ~ChannelBinding() override;

 private:
  Napi::Value send(const Napi::CallbackInfo& info);
  void pause(const Napi::CallbackInfo& info);
  void resume(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);
  Napi::Value bufferedBytes(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);

  void onFrame(uint8_t kind, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]> owned) override;
  void onNewPeer() override;
  void onUnreadable() override;
  void onPoll(int events) override;
  void onTimer() override;
  void onTeardown() override;

  bool isOpen() const { return stream_ != nullptr; }
  void readAndDeliver();
  void deliverBatch();
  // What onFrames takes.
  std::array<napi_value, 3> makeBatch();
  void clearBatch();
  void flush();
  // After anything happened: polls for what is wanted now, or sees to it that onTimer() ends the channel.
  void settle();
  void end(ErrorCode code, const std::string& message);
  void release();
  void takeCounters();

  struct LargeBody {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size;
  };
  // Frames that came and were not handed over yet: u32 kind and u32 length each; the small bodies one after
  // another.
  std::vector<uint32_t> batchEntries_;
  std::vector<uint8_t> batchBodies_;
  std::vector<LargeBody> batchLargeBodies_;

  std::unique_ptr<FrameStream> stream_;
  Watch* watch_ = nullptr;
  Napi::FunctionReference onFrames_;
  Napi::FunctionReference onDrain_;
  Napi::FunctionReference onEnd_;
  bool isReading_ = false;
  bool isClosing_ = false;
  double framesReceived_ = 0;
  double counters_[6] = {};
};

}  // namespace vamos
