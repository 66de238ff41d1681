#include "addon/store/store_values.hpp"

#include <utility>

namespace vamos {
namespace {

// Smaller results are copied into JavaScript's own memory, which costs less than giving ours away.
constexpr size_t copiedResultBytes = 16 << 10;

}  // namespace

using engine::CursorOptions;
using engine::Outcome;
using engine::StoreError;

Napi::Error toError(Napi::Env env, const StoreError& error) {
  Napi::Error result = Napi::Error::New(env, error.message);
  result.Set("code", Napi::Number::New(env, static_cast<uint32_t>(error.code)));
  return result;
}

std::string_view bytesOf(const Napi::Value& value) {
  auto array = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(array.Data()), array.ByteLength()};
}

std::string_view optionalView(const Napi::Value& value) {
  return value.IsUndefined() || value.IsNull() ? std::string_view{} : bytesOf(value);
}

std::optional<std::string> optionalBytes(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsNull()) return std::nullopt;
  return std::string(bytesOf(value));
}

uint32_t u32(const Napi::Value& value) { return value.As<Napi::Number>().Uint32Value(); }

uint64_t u64(const Napi::Value& value) {
  const int64_t number = value.As<Napi::Number>().Int64Value();
  return number < 0 ? 0 : static_cast<uint64_t>(number);
}

bool boolean(const Napi::Value& value) { return value.ToBoolean().Value(); }

std::vector<uint32_t> numbersOf(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<uint32_t> numbers(array.Length());
  for (uint32_t i = 0; i < numbers.size(); i++) numbers[i] = u32(array.Get(i));
  return numbers;
}

Napi::Value toNumber(Napi::Env env, uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Value toBytes(Napi::Env env, std::string bytes) {
  if (bytes.size() <= copiedResultBytes) return Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size());
  auto* kept = new std::string(std::move(bytes));
  return Napi::Buffer<char>::New(
      env, kept->data(), kept->size(), [](Napi::Env, char*, std::string* owner) { delete owner; }, kept);
}

Napi::Object toObject(Napi::Env env, Outcome outcome) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", Napi::Number::New(env, static_cast<uint32_t>(outcome.code)));
  if (!outcome.ok()) {
    object.Set("message", Napi::String::New(env, outcome.message));
    if (!outcome.detail.empty()) object.Set("detail", toBytes(env, std::move(outcome.detail)));
    return object;
  }
  if (!outcome.result.empty()) object.Set("result", toBytes(env, std::move(outcome.result)));
  if (outcome.count > 0) object.Set("count", toNumber(env, outcome.count));
  if (outcome.changed > 0) object.Set("changed", toNumber(env, outcome.changed));
  if (outcome.atEnd) object.Set("atEnd", Napi::Boolean::New(env, true));
  if (outcome.lastUnlocked) object.Set("lastUnlocked", Napi::Boolean::New(env, true));
  if (outcome.standsAlone) object.Set("standsAlone", Napi::Boolean::New(env, true));
  return object;
}

namespace {

void setBounds(CursorOptions& options, const Napi::Object& object) {
  options.lower = optionalBytes(object.Get("lower"));
  options.upper = optionalBytes(object.Get("upper"));
  options.lowerExclusive = boolean(object.Get("lowerExclusive"));
  options.upperExclusive = boolean(object.Get("upperExclusive"));
}

}  // namespace

CursorOptions boundsOf(const Napi::Value& value) {
  CursorOptions options;
  if (value.IsObject()) setBounds(options, value.As<Napi::Object>());
  return options;
}

CursorOptions cursorOptions(const Napi::Object& object) {
  CursorOptions options;
  options.table = u32(object.Get("table"));
  options.index = u32(object.Get("index"));
  setBounds(options, object);
  options.reverse = boolean(object.Get("reverse"));
  options.limitRows = u64(object.Get("limitRows"));
  if (const Napi::Value rows = object.Get("firstRows"); !rows.IsUndefined()) options.firstRows = u64(rows);
  options.lock = enumOf<wire::Lock>(object.Get("lock"));
  options.wait = enumOf<wire::Wait>(object.Get("wait"));
  options.columns = numbersOf(object.Get("columns"));
  options.withKeys = boolean(object.Get("withKeys"));
  options.semiConsistent = boolean(object.Get("semiConsistent"));
  options.filter = optionalView(object.Get("filter"));
  const auto aggregates = object.Get("aggregates").As<Napi::Array>();
  for (uint32_t i = 0; i < aggregates.Length(); i++) {
    const auto aggregate = aggregates.Get(i).As<Napi::Object>();
    options.aggregates.push_back({static_cast<wire::AggregateFunction>(u32(aggregate.Get("function"))),
                                  std::string(optionalView(aggregate.Get("value"))),
                                  boolean(aggregate.Get("isPadded"))});
  }
  return options;
}

engine::ChangeOptions changeOptions(const Napi::Object& object) {
  engine::ChangeOptions options;
  options.table = u32(object.Get("table"));
  options.index = u32(object.Get("index"));
  options.deletes = boolean(object.Get("deletes"));
  const auto assignments = object.Get("assignments").As<Napi::Array>();
  for (uint32_t i = 0; i < assignments.Length(); i++) {
    const auto assignment = assignments.Get(i).As<Napi::Object>();
    options.assignments.emplace_back(u32(assignment.Get("column")), bytesOf(assignment.Get("value")));
  }
  if (const Napi::Value keys = object.Get("keys"); !keys.IsUndefined()) options.keys = bytesOf(keys);
  const auto ranges = object.Get("ranges").As<Napi::Array>();
  for (uint32_t i = 0; i < ranges.Length(); i++) {
    setBounds(options.ranges.emplace_back(), ranges.Get(i).As<Napi::Object>());
  }
  options.reverse = boolean(object.Get("reverse"));
  options.filter = optionalView(object.Get("filter"));
  options.limitRows = u64(object.Get("limitRows"));
  options.wait = enumOf<wire::Wait>(object.Get("wait"));
  options.semiConsistent = boolean(object.Get("semiConsistent"));
  return options;
}

engine::TableLayout tableLayout(const Napi::Object& object) {
  engine::TableLayout layout;
  layout.table = u32(object.Get("table"));
  layout.isNew = boolean(object.Get("isNew"));
  const auto indexes = object.Get("indexes").As<Napi::Array>();
  for (uint32_t i = 0; i < indexes.Length(); i++) {
    const auto index = indexes.Get(i).As<Napi::Object>();
    engine::IndexLayout& added = layout.indexes.emplace_back();
    added.space = u32(index.Get("space"));
    added.isUnique = boolean(index.Get("isUnique"));
    const auto parts = index.Get("parts").As<Napi::Array>();
    for (uint32_t k = 0; k < parts.Length(); k++) {
      const auto part = parts.Get(k).As<Napi::Object>();
      added.parts.push_back({u32(part.Get("column")), boolean(part.Get("isDescending")),
                             boolean(part.Get("isOpaque")), std::string(bytesOf(part.Get("levels")))});
    }
  }
  const auto columns = object.Get("columns").As<Napi::Array>();
  for (uint32_t i = 0; i < columns.Length(); i++) {
    const auto column = columns.Get(i).As<Napi::Object>();
    layout.columns.push_back(
        {u32(column.Get("kind")), u32(column.Get("widthBytes")), boolean(column.Get("isNullable"))});
  }
  return layout;
}

store::StoreOptions storeOptions(const Napi::Object& object) {
  store::StoreOptions options;
  options.path = object.Get("path").As<Napi::String>().Utf8Value();
  options.blockCacheBytes = u64(object.Get("blockCacheBytes"));
  options.maxTransactionBytes = u64(object.Get("maxTransactionBytes"));
  options.threads = u32(object.Get("threads"));
  if (const Napi::Value bytes = object.Get("cacheBytes"); !bytes.IsUndefined()) {
    options.cacheBytes = u64(bytes);
  }
  if (const Napi::Value readOnly = object.Get("readOnly"); !readOnly.IsUndefined()) {
    options.readOnly = boolean(readOnly);
  }
  return options;
}

}  // namespace vamos
