#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types.hpp"
#include "store/transactions/options.hpp"

// The values of host/modules/tables/binding.ts and the store's own.
namespace vamos {

Napi::Error toError(Napi::Env env, const engine::StoreError& error);
// The array's own memory.
std::string_view bytesOf(const Napi::Value& value);
// The same; empty where there is none.
std::string_view optionalView(const Napi::Value& value);
std::optional<std::string> optionalBytes(const Napi::Value& value);
uint32_t u32(const Napi::Value& value);
// Numbers outside the safe integers stand for none.
uint64_t u64(const Napi::Value& value);
bool boolean(const Napi::Value& value);
std::vector<uint32_t> numbersOf(const Napi::Value& value);
Napi::Value toNumber(Napi::Env env, uint64_t value);
Napi::Value toBytes(Napi::Env env, std::string bytes);
Napi::Object toObject(Napi::Env env, engine::Outcome outcome);
// No object: all of an index.
engine::CursorOptions boundsOf(const Napi::Value& value);
engine::CursorOptions cursorOptions(const Napi::Object& object);
// Its keys stand in the caller's memory.
engine::ChangeOptions changeOptions(const Napi::Object& object);
engine::TableLayout tableLayout(const Napi::Object& object);
store::StoreOptions storeOptions(const Napi::Object& object);

// A number of an enum of tables.proto.
template <typename Enum>
Enum enumOf(const Napi::Value& value) {
  const uint32_t number = u32(value);
  if (number > 2) throw engine::StoreError{ErrorCode::BAD_REQUEST, "no such isolation, lock, wait or kind"};
  return static_cast<Enum>(number);
}

}  // namespace vamos
