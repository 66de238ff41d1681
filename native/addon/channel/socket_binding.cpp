#include "socket_binding.hpp"

#include <string>
#include <utility>

#include "javascript.hpp"

namespace vamos {
namespace {

// How long a listener rests when it can't accept (no descriptors left).
constexpr uint64_t kAcceptRestMs = 100;
constexpr int kAcceptsPerTurn = 64;

// Waits for one connection to be made; lives until then.
class VsockConnection final : private Watcher {
 public:
  VsockConnection(Napi::Env env, Descriptor socket, std::string name, Napi::Function done)
      : env_(env),
        socket_(std::move(socket)),
        name_(std::move(name)),
        done_(Napi::Persistent(done)),
        watch_(Watch::open(env, socket_.get(), *this)) {
    watch_->poll(UV_WRITABLE);
  }

 private:
  void onPoll(int) override {
    watch_->close();
    try {
      finishConnect(socket_, name_);
      finish(ErrorCode::OK, "");
    } catch (const ChannelError& error) {
      finish(error.code, error.what());
    }
  }

  void onTimer() override {}
  void onTeardown() override { delete this; }

  void finish(ErrorCode code, const std::string& message) {
    const Napi::HandleScope scope(env_);
    const int descriptor = code == ErrorCode::OK ? socket_.get() : -1;
    const bool isTaken =
        callFromLoop(env_, done_,
                     {Napi::Number::New(env_, static_cast<uint32_t>(code)), Napi::String::New(env_, message),
                      Napi::Number::New(env_, descriptor)});
    if (isTaken && descriptor >= 0) socket_.release();
    delete this;
  }

  Napi::Env env_;
  Descriptor socket_;
  std::string name_;
  Napi::FunctionReference done_;
  Watch* watch_;
};

}  // namespace

void connectVsock(const Napi::CallbackInfo& info) {
  const uint32_t cid = info[0].As<Napi::Number>().Uint32Value();
  const uint32_t port = info[1].As<Napi::Number>().Uint32Value();
  try {
    new VsockConnection(info.Env(), beginConnectVsock(cid, port),
                        "vsock:" + std::to_string(cid) + ":" + std::to_string(port),
                        info[2].As<Napi::Function>());
  } catch (const ChannelError& error) {
    throw toJavaScript(info.Env(), error);
  }
}

Napi::Function ListenerBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeListener", {InstanceMethod<&ListenerBinding::close>("close")});
}

ListenerBinding::ListenerBinding(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      socket_(info[0].As<Napi::Number>().Int32Value()),
      cid_(info[1].As<Napi::Number>().Uint32Value()),
      onConnection_(Napi::Persistent(info[2].As<Napi::Function>())) {
  try {
    watch_ = Watch::open(info.Env(), socket_.get(), *this);
  } catch (const ChannelError& error) {
    throw toJavaScript(info.Env(), error);
  }
  Ref();
  watch_->poll(UV_READABLE);
}

ListenerBinding::~ListenerBinding() {
  if (watch_ != nullptr) watch_->close();
}

void ListenerBinding::close(const Napi::CallbackInfo&) {
  if (watch_ == nullptr) return;
  watch_->close();
  watch_ = nullptr;
  socket_ = {};
  onConnection_.Reset();
  Unref();
}

void ListenerBinding::onPoll(int) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  // Keeps this object while JavaScript may close it.
  [[maybe_unused]] const Napi::Object self = Value();
  for (int i = 0; i < kAcceptsPerTurn && watch_ != nullptr; i++) {
    Descriptor connection;
    try {
      connection = acceptFrom(socket_, cid_);
    } catch (const ChannelError&) {
      watch_->poll(0);
      watch_->setTimer(Watch::nowMs() + kAcceptRestMs);
      return;
    }
    if (!connection.isOpen()) return;
    if (!callFromLoop(env, onConnection_, {Napi::Number::New(env, connection.get())})) return;
    connection.release();
  }
}

void ListenerBinding::onTimer() { watch_->poll(UV_READABLE); }

void ListenerBinding::onTeardown() {
  watch_ = nullptr;
  socket_ = {};
}

}  // namespace vamos
