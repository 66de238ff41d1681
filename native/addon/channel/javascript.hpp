#pragma once

#include <napi.h>

#include <initializer_list>

#include "channel/descriptor.hpp"

namespace vamos {

// An Error whose `code` is a number of ErrorCode.
inline Napi::Error toJavaScript(Napi::Env env, const ChannelError& error) {
  Napi::Error result = Napi::Error::New(env, error.what());
  result.Set("code", Napi::Number::New(env, static_cast<uint32_t>(error.code)));
  return result;
}

// Calls JavaScript from the event loop. What it throws goes where what any callback throws goes:
// 'uncaughtException'. Returns false where the environment runs no JavaScript any more (a worker thread that
// is being stopped).
inline bool callFromLoop(Napi::Env env, const Napi::FunctionReference& callback,
                         std::initializer_list<napi_value> arguments) {
  napi_value result;
  const napi_status status = napi_make_callback(env, nullptr, env.Global(), callback.Value(),
                                                arguments.size(), arguments.begin(), &result);
  if (status == napi_ok) return true;
  napi_value error;
  if (status != napi_pending_exception || napi_get_and_clear_last_exception(env, &error) != napi_ok)
    return false;
  return napi_fatal_exception(env, error) == napi_ok;
}

}  // namespace vamos
