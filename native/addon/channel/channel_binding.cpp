#include "channel_binding.hpp"

#include <cstring>

#include "javascript.hpp"

namespace vamos {
namespace {

// In an entry of a batch. Kinds of frames are one byte.
constexpr uint32_t kNewPeerEntry = 0x100;
constexpr uint32_t kUnreadableEntry = 0x101;
constexpr uint32_t kLargeFlag = 0x200;
// A body from here on is handed over where it was read to; below, a copy costs less than a buffer of its own.
constexpr size_t kLargeBytes = 16 << 10;

}  // namespace

Napi::Function ChannelBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeChannel",
                     {
                         InstanceMethod<&ChannelBinding::send>("send"),
                         InstanceMethod<&ChannelBinding::pause>("pause"),
                         InstanceMethod<&ChannelBinding::resume>("resume"),
                         InstanceMethod<&ChannelBinding::close>("close"),
                         InstanceMethod<&ChannelBinding::destroy>("destroy"),
                         InstanceMethod<&ChannelBinding::bufferedBytes>("bufferedBytes"),
                         InstanceMethod<&ChannelBinding::counters>("counters"),
                     });
}

ChannelBinding::ChannelBinding(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Descriptor descriptor(info[0].As<Napi::Number>().Int32Value());
  const FrameReaderOptions options{
      .maxBodyBytes = info[1].As<Napi::Number>().Uint32Value(),
      .resync = static_cast<Resync>(info[2].As<Napi::Number>().Uint32Value()),
  };
  onFrames_ = Napi::Persistent(info[3].As<Napi::Function>());
  onDrain_ = Napi::Persistent(info[4].As<Napi::Function>());
  onEnd_ = Napi::Persistent(info[5].As<Napi::Function>());
  stream_ = std::make_unique<FrameStream>(std::move(descriptor), options, *this);
  try {
    watch_ = Watch::open(info.Env(), stream_->descriptor(), *this);
  } catch (const ChannelError& error) {
    throw toJavaScript(info.Env(), error);
  }
  // An open channel lives, whether or not JavaScript still knows it.
  Ref();
}

ChannelBinding::~ChannelBinding() {
  if (watch_ != nullptr) watch_->close();
}

Napi::Value ChannelBinding::send(const Napi::CallbackInfo& info) {
  if (!isOpen() || isClosing_) return Napi::Number::New(info.Env(), 0);
  const uint32_t kind = info[0].As<Napi::Number>().Uint32Value();
  auto body = info[1].As<Napi::Uint8Array>();
  stream_->send(static_cast<uint8_t>(kind), {body.Data(), body.ByteLength()});
  settle();
  return Napi::Number::New(info.Env(), static_cast<double>(stream_->writer().bufferedBytes()));
}

void ChannelBinding::pause(const Napi::CallbackInfo&) {
  isReading_ = false;
  settle();
}

void ChannelBinding::resume(const Napi::CallbackInfo&) {
  isReading_ = !isClosing_;
  settle();
}

void ChannelBinding::close(const Napi::CallbackInfo&) {
  isClosing_ = true;
  isReading_ = false;
  settle();
}

void ChannelBinding::destroy(const Napi::CallbackInfo&) { release(); }

Napi::Value ChannelBinding::bufferedBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), isOpen() ? static_cast<double>(stream_->writer().bufferedBytes()) : 0);
}

Napi::Value ChannelBinding::counters(const Napi::CallbackInfo& info) {
  takeCounters();
  auto result = Napi::Array::New(info.Env(), std::size(counters_));
  for (uint32_t i = 0; i < std::size(counters_); i++) result.Set(i, counters_[i]);
  return result;
}

void ChannelBinding::takeCounters() {
  if (!isOpen()) return;
  const FrameWriter& writer = stream_->writer();
  const double values[] = {
      static_cast<double>(writer.framesSent()), framesReceived_,
      static_cast<double>(writer.bytesSent()),  static_cast<double>(stream_->bytesReceived()),
      static_cast<double>(writer.writeCalls()), static_cast<double>(stream_->readCalls()),
  };
  std::copy(std::begin(values), std::end(values), std::begin(counters_));
}

void ChannelBinding::onFrame(uint8_t kind, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]> owned) {
  framesReceived_++;
  const bool isLarge = owned != nullptr && body.size() >= kLargeBytes;
  batchEntries_.push_back(kind | (isLarge ? kLargeFlag : 0));
  batchEntries_.push_back(static_cast<uint32_t>(body.size()));
  if (isLarge) {
    batchLargeBodies_.push_back({.bytes = std::move(owned), .size = body.size()});
  } else {
    batchBodies_.insert(batchBodies_.end(), body.begin(), body.end());
  }
}

void ChannelBinding::onNewPeer() {
  batchEntries_.push_back(kNewPeerEntry);
  batchEntries_.push_back(0);
}

void ChannelBinding::onUnreadable() {
  batchEntries_.push_back(kUnreadableEntry);
  batchEntries_.push_back(0);
}

void ChannelBinding::onPoll(int events) {
  const Napi::HandleScope scope(Env());
  // Keeps this object while JavaScript may close it.
  [[maybe_unused]] const Napi::Object self = Value();
  if ((events & UV_WRITABLE) != 0) flush();
  if (isOpen() && isReading_ && (events & UV_READABLE) != 0) readAndDeliver();
  settle();
}

void ChannelBinding::onTimer() {
  const Napi::HandleScope scope(Env());
  // Keeps this object while JavaScript may close it.
  [[maybe_unused]] const Napi::Object self = Value();
  if (isClosing_ && (!stream_->wantsFlush() || stream_->hasWriteFailed())) return end(ErrorCode::OK, "");
  if (!stream_->end()) {
    // What the peer sent before it stopped taking anything.
    if (stream_->hasWriteFailed() && isReading_) readAndDeliver();
    if (!isOpen()) return;
    stream_->checkTime(Watch::nowMs());
    deliverBatch();
    if (!isOpen()) return;
  }
  if (stream_->end()) {
    const ChannelError error = *stream_->end();
    return end(error.code, error.what());
  }
  if (stream_->hasWriteFailed()) {
    const ChannelError error = stream_->writeFailure();
    return end(error.code, error.what());
  }
  settle();
}

void ChannelBinding::onTeardown() {
  watch_ = nullptr;
  stream_.reset();
}

void ChannelBinding::readAndDeliver() {
  stream_->read(Watch::nowMs());
  deliverBatch();
}

void ChannelBinding::deliverBatch() {
  if (batchEntries_.empty() || !isOpen()) return;
  try {
    const auto [batch, count, large] = makeBatch();
    callFromLoop(Env(), onFrames_, {batch, count, large});
  } catch (const Napi::Error&) {
    // A worker thread that is being stopped makes no objects any more.
    clearBatch();
  }
}

std::array<napi_value, 3> ChannelBinding::makeBatch() {
  const Napi::Env env = Env();
  const size_t entryBytes = batchEntries_.size() * sizeof(uint32_t);
  auto batch = Napi::ArrayBuffer::New(env, entryBytes + batchBodies_.size());
  auto* bytes = static_cast<uint8_t*>(batch.Data());
  std::memcpy(bytes, batchEntries_.data(), entryBytes);
  if (!batchBodies_.empty()) std::memcpy(bytes + entryBytes, batchBodies_.data(), batchBodies_.size());
  auto large = Napi::Array::New(env, batchLargeBodies_.size());
  for (uint32_t i = 0; i < batchLargeBodies_.size(); i++) {
    LargeBody& body = batchLargeBodies_[i];
    large.Set(i, Napi::ArrayBuffer::New(env, body.bytes.get(), body.size,
                                        [](Napi::Env, void* data) { delete[] static_cast<uint8_t*>(data); }));
    body.bytes.release();
  }
  const size_t frameCount = batchEntries_.size() / 2;
  const auto count = Napi::Number::New(env, static_cast<double>(frameCount));
  clearBatch();
  return {batch, count, large};
}

void ChannelBinding::clearBatch() {
  batchEntries_.clear();
  batchBodies_.clear();
  batchLargeBodies_.clear();
}

void ChannelBinding::flush() {
  if (!stream_->wantsFlush()) return;
  stream_->flush();
  if (stream_->wantsFlush() || stream_->hasWriteFailed() || isClosing_) return;
  callFromLoop(Env(), onDrain_, {});
}

void ChannelBinding::settle() {
  if (!isOpen()) return;
  const bool isOver = stream_->end() || stream_->hasWriteFailed() || (isClosing_ && !stream_->wantsFlush());
  watch_->setTimer(isOver ? 0 : stream_->nextCheckMs());
  const bool canRead = isReading_ && !isOver;
  watch_->poll((canRead ? UV_READABLE : 0) | (stream_->wantsFlush() ? UV_WRITABLE : 0));
}

void ChannelBinding::end(ErrorCode code, const std::string& message) {
  const Napi::Env env = Env();
  const Napi::FunctionReference onEnd = std::move(onEnd_);
  release();
  callFromLoop(env, onEnd,
               {Napi::Number::New(env, static_cast<uint32_t>(code)), Napi::String::New(env, message)});
}

void ChannelBinding::release() {
  if (!isOpen()) return;
  takeCounters();
  watch_->close();
  watch_ = nullptr;
  stream_.reset();
  // Callbacks know the channel's JavaScript, which knows this object: none of them would ever be collected.
  onFrames_.Reset();
  onDrain_.Reset();
  onEnd_.Reset();
  Unref();
}

}  // namespace vamos
