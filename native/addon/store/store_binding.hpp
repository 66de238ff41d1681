#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace vamos {

// Adds openStore and repairStore of host/modules/tables/binding.ts to the addon.
void initStore(Napi::Env env, Napi::Object exports);

// The NativeStore of binding.ts. An open store keeps itself; it keeps the process running only while
// operations are under way.
class StoreBinding : public Napi::ObjectWrap<StoreBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  // (options, onEvents, onMessages)
  explicit StoreBinding(const Napi::CallbackInfo& info);
  ~StoreBinding() override;

 private:
  class Closing;
  using Info = Napi::CallbackInfo;

  void defineTable(const Info& info);
  void dropTable(const Info& info);
  Napi::Value begin(const Info& info);
  Napi::Value beginShared(const Info& info);
  void beginStatement(const Info& info);
  Napi::Value write(const Info& info);
  Napi::Value get(const Info& info);
  Napi::Value answerGets(const Info& info);
  Napi::Value openCursor(const Info& info);
  Napi::Value fetch(const Info& info);
  void closeCursor(const Info& info);
  Napi::Value change(const Info& info);
  void unlock(const Info& info);
  Napi::Value end(const Info& info);
  void setXid(const Info& info);
  Napi::Value prepared(const Info& info);
  void numberCommit(const Info& info);
  Napi::Value lastCommit(const Info& info);
  void forgetCommits(const Info& info);
  void rollback(const Info& info);
  void setSavepoint(const Info& info);
  void rollbackToSavepoint(const Info& info);
  void releaseSavepoint(const Info& info);
  void cancel(const Info& info);
  Napi::Value writeBlob(const Info& info);
  void adoptBlob(const Info& info);
  void removeBlob(const Info& info);
  void discardBlob(const Info& info);
  Napi::Value readBlob(const Info& info);
  Napi::Value putRecords(const Info& info);
  Napi::Value getRecords(const Info& info);
  Napi::Value holdFiles(const Info& info);
  Napi::Value releaseFiles(const Info& info);
  Napi::Value openVerification(const Info& info);
  Napi::Value verify(const Info& info);
  void closeVerification(const Info& info);
  Napi::Value estimate(const Info& info);
  Napi::Value estimateRange(const Info& info);
  Napi::Value sample(const Info& info);
  Napi::Value statistics(const Info& info);
  Napi::Value close(const Info& info);

  // Runs call(store); a StoreError becomes a JavaScript error, and so does a store that is closed.
  template <typename Call>
  auto use(Napi::Env env, Call call);
  bool isOpen() const { return store_ && !isClosing_; }
  Napi::Value toJavaScript(Napi::Env env, store::Answer answer);
  void addWaiting(Napi::Env env, size_t operations);
  void deliver(Napi::Env env, std::vector<store::Event> events);
  void deliverMessages(Napi::Env env);
  void releaseEvents();
  static void onNotified(napi_env env, napi_value callback, void* context, void* data);
  static void onEnvironmentEnd(void* binding);

  const std::shared_ptr<store::Messages> messages_;
  std::unique_ptr<store::Store> store_;
  Napi::FunctionReference onEvents_;
  Napi::FunctionReference onMessages_;
  napi_threadsafe_function notify_ = nullptr;
  size_t waiting_ = 0;  // operations whose outcome JavaScript waits for
  bool isClosing_ = false;
};

}  // namespace vamos
