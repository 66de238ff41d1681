#pragma once

#include <napi.h>

#include "channel/descriptor.hpp"

namespace vamos {

// An Error whose `code` is a number of ErrorCode.
inline Napi::Error toJavaScript(Napi::Env env, const ChannelError& error) {
  Napi::Error result = Napi::Error::New(env, error.what());
  result.Set("code", Napi::Number::New(env, static_cast<uint32_t>(error.code)));
  return result;
}

}  // namespace vamos
