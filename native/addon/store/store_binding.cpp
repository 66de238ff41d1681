#include "addon/store/store_binding.hpp"

#include <algorithm>
#include <utility>

#include "addon/store/store_values.hpp"
#include "store/transactions/messages.hpp"
#include "store/upkeep/repair.hpp"

namespace vamos {
namespace {

using engine::StoreError;
using store::Answer;
using store::Event;

Napi::Value openStore(const Napi::CallbackInfo& info) {
  auto* constructor = info.Env().GetInstanceData<Napi::FunctionReference>();
  return constructor->New({info[0], info[1], info[2]});
}

// (path, acceptLoss)
Napi::Value repairStore(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    store::StoreOptions options;
    options.path = info[0].As<Napi::String>().Utf8Value();
    const store::RepairReport report = store::repair(options, boolean(info[1]));
    Napi::Object result = Napi::Object::New(env);
    result.Set("damage", Napi::String::New(env, report.damage));
    result.Set("lostRecords", toNumber(env, report.lost.records));
    result.Set("lostCommits", toNumber(env, report.lost.commits));
    result.Set("lostBytes", toNumber(env, report.lost.bytes));
    result.Set("isIncomplete", Napi::Boolean::New(env, report.lost.isIncomplete));
    Napi::Array parts = Napi::Array::New(env, report.parts.size());
    for (uint32_t i = 0; i < report.parts.size(); i++) {
      Napi::Object part = Napi::Object::New(env);
      part.Set("file", Napi::String::New(env, report.parts[i].name.fileName()));
      part.Set("fromByte", toNumber(env, report.parts[i].fromBytes));
      parts.Set(i, part);
    }
    result.Set("parts", parts);
    result.Set("keptIn", Napi::String::New(env, report.keptIn));
    return result;
  } catch (const StoreError& error) {
    throw toError(env, error);
  }
}

}  // namespace

void initStore(Napi::Env env, Napi::Object exports) {
  auto* constructor = new Napi::FunctionReference(Napi::Persistent(StoreBinding::define(env)));
  env.SetInstanceData(constructor);
  exports.Set("openStore", Napi::Function::New(env, openStore, "openStore"));
  exports.Set("repairStore", Napi::Function::New(env, repairStore, "repairStore"));
}

Napi::Function StoreBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeStore",
                     {InstanceMethod<&StoreBinding::defineTable>("defineTable"),
                      InstanceMethod<&StoreBinding::dropTable>("dropTable"),
                      InstanceMethod<&StoreBinding::begin>("begin"),
                      InstanceMethod<&StoreBinding::beginShared>("beginShared"),
                      InstanceMethod<&StoreBinding::beginStatement>("beginStatement"),
                      InstanceMethod<&StoreBinding::write>("write"),
                      InstanceMethod<&StoreBinding::get>("get"),
                      InstanceMethod<&StoreBinding::answerGets>("answerGets"),
                      InstanceMethod<&StoreBinding::openCursor>("openCursor"),
                      InstanceMethod<&StoreBinding::fetch>("fetch"),
                      InstanceMethod<&StoreBinding::closeCursor>("closeCursor"),
                      InstanceMethod<&StoreBinding::change>("change"),
                      InstanceMethod<&StoreBinding::unlock>("unlock"),
                      InstanceMethod<&StoreBinding::end>("end"),
                      InstanceMethod<&StoreBinding::setXid>("setXid"),
                      InstanceMethod<&StoreBinding::prepared>("prepared"),
                      InstanceMethod<&StoreBinding::numberCommit>("numberCommit"),
                      InstanceMethod<&StoreBinding::lastCommit>("lastCommit"),
                      InstanceMethod<&StoreBinding::forgetCommits>("forgetCommits"),
                      InstanceMethod<&StoreBinding::rollback>("rollback"),
                      InstanceMethod<&StoreBinding::setSavepoint>("setSavepoint"),
                      InstanceMethod<&StoreBinding::rollbackToSavepoint>("rollbackToSavepoint"),
                      InstanceMethod<&StoreBinding::releaseSavepoint>("releaseSavepoint"),
                      InstanceMethod<&StoreBinding::cancel>("cancel"),
                      InstanceMethod<&StoreBinding::writeBlob>("writeBlob"),
                      InstanceMethod<&StoreBinding::adoptBlob>("adoptBlob"),
                      InstanceMethod<&StoreBinding::removeBlob>("removeBlob"),
                      InstanceMethod<&StoreBinding::discardBlob>("discardBlob"),
                      InstanceMethod<&StoreBinding::readBlob>("readBlob"),
                      InstanceMethod<&StoreBinding::putRecords>("putRecords"),
                      InstanceMethod<&StoreBinding::getRecords>("getRecords"),
                      InstanceMethod<&StoreBinding::holdFiles>("holdFiles"),
                      InstanceMethod<&StoreBinding::releaseFiles>("releaseFiles"),
                      InstanceMethod<&StoreBinding::openVerification>("openVerification"),
                      InstanceMethod<&StoreBinding::verify>("verify"),
                      InstanceMethod<&StoreBinding::closeVerification>("closeVerification"),
                      InstanceMethod<&StoreBinding::estimate>("estimate"),
                      InstanceMethod<&StoreBinding::estimateRange>("estimateRange"),
                      InstanceMethod<&StoreBinding::sample>("sample"),
                      InstanceMethod<&StoreBinding::statistics>("statistics"),
                      InstanceMethod<&StoreBinding::close>("close")});
}

StoreBinding::StoreBinding(const Info& info)
    : Napi::ObjectWrap<StoreBinding>(info), messages_(std::make_shared<store::Messages>()) {
  const Napi::Env env = info.Env();
  onEvents_ = Napi::Persistent(info[1].As<Napi::Function>());
  if (info[2].IsFunction()) onMessages_ = Napi::Persistent(info[2].As<Napi::Function>());
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "vamos.store"), 0, 1,
                                      nullptr, nullptr, this, &StoreBinding::onNotified, &notify_);
  if (status != napi_ok) throw Napi::Error::New(env, "no thread-safe function for the store's events");
  napi_unref_threadsafe_function(env, notify_);
  const auto notify = [notify = notify_] {
    napi_call_threadsafe_function(notify, nullptr, napi_tsfn_nonblocking);
  };
  store::StoreOptions options = storeOptions(info[0].As<Napi::Object>());
  options.messages = messages_;
  try {
    store_ = std::make_unique<store::Store>(options, notify);
  } catch (const StoreError& error) {
    releaseEvents();
    deliverMessages(env);
    throw toError(env, error);
  }
  deliverMessages(env);
  messages_->onNew(notify);
  napi_add_env_cleanup_hook(env, &StoreBinding::onEnvironmentEnd, this);
  Ref();
}

StoreBinding::~StoreBinding() { store_.reset(); }

// Before Node takes the thread-safe function away: its threads must not call it after.
void StoreBinding::onEnvironmentEnd(void* binding) {
  auto* self = static_cast<StoreBinding*>(binding);
  self->messages_->onNew({});
  if (!self->isClosing_) self->store_.reset();
}

void StoreBinding::releaseEvents() {
  napi_release_threadsafe_function(std::exchange(notify_, nullptr), napi_tsfn_abort);
}

template <typename Call>
auto StoreBinding::use(Napi::Env env, Call call) {
  try {
    if (!isOpen()) throw StoreError{ErrorCode::HOST_STOPPING, "the store is closed"};
    return call(*store_);
  } catch (const StoreError& error) {
    throw toError(env, error);
  }
}

void StoreBinding::addWaiting(Napi::Env env, size_t operations) {
  if (operations > 0 && waiting_ == 0) napi_ref_threadsafe_function(env, notify_);
  waiting_ += operations;
}

Napi::Value StoreBinding::toJavaScript(Napi::Env env, Answer answer) {
  if (answer.operation == 0) return toObject(env, std::move(answer.outcome));
  addWaiting(env, 1);
  return toNumber(env, answer.operation);
}

void StoreBinding::onNotified(napi_env environment, napi_value, void* context, void*) {
  if (environment == nullptr) return;  // it is being torn down
  auto* self = static_cast<StoreBinding*>(context);
  if (!self->isOpen()) return;
  const Napi::Env env(environment);
  const Napi::HandleScope scope(env);
  try {
    self->deliverMessages(env);
    self->deliver(env, self->store_->takeEvents());
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  }
}

void StoreBinding::deliver(Napi::Env env, std::vector<Event> events) {
  if (events.empty()) return;
  Napi::Array array = Napi::Array::New(env, events.size());
  size_t ended = 0;
  for (uint32_t i = 0; i < events.size(); i++) {
    Event& event = events[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("operation", toNumber(env, event.operation));
    object.Set("parked", Napi::Boolean::New(env, event.parked));
    if (!event.parked) {
      object.Set("outcome", toObject(env, std::move(event.outcome)));
      if (event.operation != 0) ended++;
    }
    array.Set(i, object);
  }
  waiting_ -= ended;
  if (ended > 0 && waiting_ == 0 && notify_ != nullptr) napi_unref_threadsafe_function(env, notify_);
  onEvents_.Call({array});
}

void StoreBinding::deliverMessages(Napi::Env env) {
  const std::vector<store::Message> messages = messages_->take();
  if (messages.empty() || onMessages_.IsEmpty()) return;
  Napi::Array array = Napi::Array::New(env, messages.size());
  for (uint32_t i = 0; i < messages.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("isError", Napi::Boolean::New(env, messages[i].isError));
    object.Set("text", Napi::String::New(env, messages[i].text));
    array.Set(i, object);
  }
  onMessages_.Call({array});
}

void StoreBinding::defineTable(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.defineTable(tableLayout(info[0].As<Napi::Object>())); });
}

void StoreBinding::dropTable(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.dropTable(u32(info[0])); });
}

Napi::Value StoreBinding::begin(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toNumber(info.Env(),
                    store.begin(enumOf<wire::Isolation>(info[0]), boolean(info[1]), boolean(info[2])));
  });
}

Napi::Value StoreBinding::beginShared(const Info& info) {
  return use(info.Env(), [&](store::Store& store) { return toNumber(info.Env(), store.beginShared()); });
}

Napi::Value StoreBinding::write(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(
        info.Env(), store.write(u64(info[0]), u32(info[1]), enumOf<wire::WriteKind>(info[2]),
                                bytesOf(info[3]), enumOf<wire::Wait>(info[4]), enumOf<wire::Lock>(info[5])));
  });
}

Napi::Value StoreBinding::get(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.get(u64(info[0]), u32(info[1]), u32(info[2]), bytesOf(info[3]),
                                              enumOf<wire::Lock>(info[4]), enumOf<wire::Wait>(info[5]),
                                              numbersOf(info[6]), boolean(info[7]), optionalView(info[8])));
  });
}

Napi::Value StoreBinding::answerGets(const Info& info) {
  return use(info.Env(), [&](store::Store& store) -> Napi::Value {
    const std::string_view frame = bytesOf(info[0]);
    auto entries = info[1].As<Napi::Float64Array>();
    constexpr size_t fields = 5;
    std::vector<store::GetCall> calls(entries.ElementLength() / fields);
    for (size_t i = 0; i < calls.size(); i++) {
      const double* entry = entries.Data() + i * fields;
      const auto offset = std::min(static_cast<size_t>(entry[3]), frame.size());
      calls[i].id = static_cast<uint32_t>(entry[0]);
      calls[i].transaction = static_cast<uint64_t>(entry[1]);
      calls[i].table = static_cast<uint32_t>(entry[2]);
      calls[i].body = frame.substr(offset, static_cast<size_t>(entry[4]));
    }
    std::string replies;
    store.answerGets(calls, u32(info[2]), replies);
    for (size_t i = 0; i < calls.size(); i++) {
      entries[i * fields] = static_cast<double>(calls[i].replyBytes);
      entries[i * fields + 1] = static_cast<double>(calls[i].keys);
    }
    return toBytes(info.Env(), std::move(replies));
  });
}

void StoreBinding::beginStatement(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.beginStatement(u64(info[0])); });
}

Napi::Value StoreBinding::openCursor(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toNumber(info.Env(), store.openCursor(u64(info[0]), cursorOptions(info[1].As<Napi::Object>())));
  });
}

Napi::Value StoreBinding::fetch(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.fetch(u64(info[0]), u64(info[1])));
  });
}

void StoreBinding::closeCursor(const Info& info) {
  if (isOpen()) store_->closeCursor(u64(info[0]));
}

Napi::Value StoreBinding::change(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.change(u64(info[0]), changeOptions(info[1].As<Napi::Object>())));
  });
}

void StoreBinding::unlock(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.unlock(u64(info[0]), u32(info[1]), bytesOf(info[2])); });
}

Napi::Value StoreBinding::end(const Info& info) {
  return use(info.Env(), [&](store::Store& store) -> Napi::Value {
    const auto array = info[1].As<Napi::Array>();
    std::vector<uint64_t> transactions(array.Length());
    for (uint32_t i = 0; i < transactions.size(); i++) transactions[i] = u64(array.Get(i));
    const std::vector<uint64_t> operations =
        store.end(enumOf<wire::Ending>(info[0]), transactions, enumOf<wire::Durability>(info[2]));
    addWaiting(info.Env(), operations.size());
    Napi::Array result = Napi::Array::New(info.Env(), operations.size());
    for (uint32_t i = 0; i < operations.size(); i++) result.Set(i, toNumber(info.Env(), operations[i]));
    return result;
  });
}

void StoreBinding::setXid(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.setXid(u64(info[0]), std::string(bytesOf(info[1]))); });
}

Napi::Value StoreBinding::prepared(const Info& info) {
  return use(info.Env(), [&](store::Store& store) -> Napi::Value {
    const std::vector<store::PreparedTransaction> prepared = store.prepared();
    Napi::Array result = Napi::Array::New(info.Env(), prepared.size());
    for (uint32_t i = 0; i < prepared.size(); i++) {
      Napi::Object object = Napi::Object::New(info.Env());
      object.Set("xid", toBytes(info.Env(), prepared[i].xid));
      object.Set("transaction", toNumber(info.Env(), prepared[i].transaction));
      Napi::Array spaces = Napi::Array::New(info.Env());
      for (const auto& [space, added] : prepared[i].addedKeys) {
        Napi::Object item = Napi::Object::New(info.Env());
        item.Set("space", Napi::Number::New(info.Env(), space));
        item.Set("added", Napi::Number::New(info.Env(), static_cast<double>(added)));
        spaces.Set(spaces.Length(), item);
      }
      object.Set("spaces", spaces);
      result.Set(i, object);
    }
    return result;
  });
}

void StoreBinding::numberCommit(const Info& info) {
  use(info.Env(), [&](store::Store& store) {
    store.numberCommit(u64(info[0]), bytesOf(info[1]), {u64(info[2]), std::string(bytesOf(info[3]))});
  });
}

Napi::Value StoreBinding::lastCommit(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    const store::CommitMark mark = store.lastCommit(bytesOf(info[0]));
    auto result = Napi::Object::New(info.Env());
    result.Set("number", toNumber(info.Env(), mark.number));
    result.Set("token", Napi::Buffer<char>::Copy(info.Env(), mark.token.data(), mark.token.size()));
    return result;
  });
}

void StoreBinding::forgetCommits(const Info& info) {
  if (isOpen()) store_->forgetCommits(bytesOf(info[0]));
}

void StoreBinding::rollback(const Info& info) {
  if (isOpen()) store_->rollback(u64(info[0]));
}

void StoreBinding::setSavepoint(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.setSavepoint(u64(info[0])); });
}

void StoreBinding::rollbackToSavepoint(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.rollbackToSavepoint(u64(info[0])); });
}

void StoreBinding::releaseSavepoint(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.releaseSavepoint(u64(info[0])); });
}

void StoreBinding::cancel(const Info& info) {
  if (isOpen()) store_->cancel(u64(info[0]), static_cast<ErrorCode>(u32(info[1])));
}

Napi::Value StoreBinding::writeBlob(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.writeBlob(u64(info[0]), u64(info[1]), bytesOf(info[2])));
  });
}

void StoreBinding::adoptBlob(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.adoptBlob(u64(info[0]), u64(info[1])); });
}

void StoreBinding::removeBlob(const Info& info) {
  use(info.Env(), [&](store::Store& store) { store.removeBlob(u64(info[0]), u64(info[1])); });
}

void StoreBinding::discardBlob(const Info& info) {
  if (isOpen()) store_->discardBlob(u64(info[0]));
}

Napi::Value StoreBinding::readBlob(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.readBlob(u64(info[0]), u64(info[1]), u64(info[2]), u64(info[3])));
  });
}

Napi::Value StoreBinding::putRecords(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    std::vector<store::Record> records;
    const auto array = info[0].As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); i++) {
      const auto object = array.Get(i).As<Napi::Object>();
      records.push_back(
          {object.Get("key").As<Napi::String>().Utf8Value(), optionalBytes(object.Get("value"))});
    }
    return toJavaScript(info.Env(), store.putRecords(records, boolean(info[1])));
  });
}

Napi::Value StoreBinding::getRecords(const Info& info) {
  return use(info.Env(), [&](store::Store& store) -> Napi::Value {
    std::vector<store::Record> records = store.getRecords(info[0].As<Napi::String>().Utf8Value());
    Napi::Array result = Napi::Array::New(info.Env(), records.size());
    for (uint32_t i = 0; i < records.size(); i++) {
      Napi::Object object = Napi::Object::New(info.Env());
      object.Set("key", Napi::String::New(info.Env(), records[i].key));
      object.Set("value", toBytes(info.Env(), std::move(*records[i].value)));
      result.Set(i, object);
    }
    return result;
  });
}

Napi::Value StoreBinding::holdFiles(const Info& info) {
  return use(info.Env(), [&](store::Store& store) { return toJavaScript(info.Env(), store.holdFiles()); });
}

Napi::Value StoreBinding::releaseFiles(const Info& info) {
  return use(info.Env(), [&](store::Store& store) { return toJavaScript(info.Env(), store.releaseFiles()); });
}

Napi::Value StoreBinding::openVerification(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toNumber(info.Env(), store.openVerification(numbersOf(info[0]), numbersOf(info[1])));
  });
}

Napi::Value StoreBinding::verify(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.verify(u64(info[0]), u64(info[1])));
  });
}

void StoreBinding::closeVerification(const Info& info) {
  if (isOpen()) store_->closeVerification(u64(info[0]));
}

Napi::Value StoreBinding::estimate(const Info& info) {
  return use(info.Env(), [&](store::Store& store) -> Napi::Value {
    const store::Estimate estimate = store.estimate(u32(info[0]));
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("rows", toNumber(info.Env(), estimate.rows));
    result.Set("bytes", toNumber(info.Env(), estimate.bytes));
    return result;
  });
}

Napi::Value StoreBinding::estimateRange(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.estimateRange(u32(info[0]), u32(info[1]), boundsOf(info[2])));
  });
}

Napi::Value StoreBinding::sample(const Info& info) {
  return use(info.Env(), [&](store::Store& store) {
    return toJavaScript(info.Env(), store.sample(u32(info[0]), u64(info[1])));
  });
}

Napi::Value StoreBinding::statistics(const Info& info) {
  return use(info.Env(), [&](store::Store& store) -> Napi::Value {
    Napi::Object result = Napi::Object::New(info.Env());
    store.statistics().forEach(
        [&](const char* name, uint64_t value) { result.Set(name, toNumber(info.Env(), value)); });
    return result;
  });
}

// Closes on one of Node's threads, for it waits for the disk; then the last events go out, and nothing after
// them.
class StoreBinding::Closing : public Napi::AsyncWorker {
 public:
  explicit Closing(StoreBinding& binding)
      : Napi::AsyncWorker(binding.Env(), "vamos.store.close"),
        binding_(binding),
        deferred_(Napi::Promise::Deferred::New(binding.Env())) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    binding_.store_->close();
    events_ = binding_.store_->takeEvents();
    binding_.store_.reset();
  }

  void OnOK() override {
    napi_remove_env_cleanup_hook(Env(), &StoreBinding::onEnvironmentEnd, &binding_);
    binding_.messages_->onNew({});
    binding_.releaseEvents();
    binding_.deliverMessages(Env());
    deferred_.Resolve(Env().Undefined());
    binding_.deliver(Env(), std::move(events_));
    binding_.Unref();
  }

 private:
  StoreBinding& binding_;
  Napi::Promise::Deferred deferred_;
  std::vector<Event> events_;
};

Napi::Value StoreBinding::close(const Info& info) {
  return use(info.Env(), [&](store::Store&) -> Napi::Value {
    isClosing_ = true;
    auto* closing = new Closing(*this);
    closing->Queue();
    return closing->promise();
  });
}

}  // namespace vamos
