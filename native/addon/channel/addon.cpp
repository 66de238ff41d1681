// vamos_channel.node: channels for JavaScript. src/channel/native.ts is its face.
#include <napi.h>

#include <string>

#include "channel/descriptor.hpp"
#include "channel/fresh_bytes.hpp"
#include "channel_binding.hpp"
#include "javascript.hpp"
#include "socket_binding.hpp"
#include "wire/crc32c.hpp"

namespace vamos {
namespace {

// A function that opens what a path names and returns its descriptor.
template <Descriptor (*Open)(const std::string&)>
Napi::Value openPath(const Napi::CallbackInfo& info) {
  try {
    return Napi::Number::New(info.Env(), Open(info[0].As<Napi::String>().Utf8Value()).release());
  } catch (const ChannelError& error) {
    throw toJavaScript(info.Env(), error);
  }
}

Napi::Value listenVsockPort(const Napi::CallbackInfo& info) {
  try {
    return Napi::Number::New(info.Env(), listenVsock(info[0].As<Napi::Number>().Uint32Value()).release());
  } catch (const ChannelError& error) {
    throw toJavaScript(info.Env(), error);
  }
}

Napi::Value checkBytes(const Napi::CallbackInfo& info) {
  auto bytes = info[0].As<Napi::Uint8Array>();
  const uint32_t before = info[1].As<Napi::Number>().Uint32Value();
  return Napi::Number::New(info.Env(), crc32c(bytes.Data(), bytes.ByteLength(), before));
}

Napi::Value makeFreshBytes(const Napi::CallbackInfo& info) {
  const std::string bytes = freshBytes(info[0].As<Napi::Number>().Uint32Value());
  return Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size());
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("crc32c", Napi::Function::New<checkBytes>(env, "crc32c"));
  exports.Set("freshBytes", Napi::Function::New<makeFreshBytes>(env, "freshBytes"));
  exports.Set("openPort", Napi::Function::New<openPath<openPort>>(env, "openPort"));
  exports.Set("connectUnix", Napi::Function::New<openPath<connectUnix>>(env, "connectUnix"));
  exports.Set("connectVsock", Napi::Function::New<connectVsock>(env, "connectVsock"));
  exports.Set("listenUnix", Napi::Function::New<openPath<listenUnix>>(env, "listenUnix"));
  exports.Set("listenVsock", Napi::Function::New<listenVsockPort>(env, "listenVsock"));
  exports.Set("NativeChannel", ChannelBinding::define(env));
  exports.Set("NativeListener", ListenerBinding::define(env));
  return exports;
}

NODE_API_MODULE(vamos_channel, initialise)

}  // namespace
}  // namespace vamos
