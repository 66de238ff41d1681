// vamos_store.node: the store and the files of a root, for JavaScript.
#include <napi.h>

#include "addon/store/files_binding.hpp"
#include "addon/store/store_binding.hpp"

namespace vamos {
namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  initStore(env, exports);
  initFiles(env, exports);
  return exports;
}

NODE_API_MODULE(vamos_store, initialise)

}  // namespace
}  // namespace vamos
