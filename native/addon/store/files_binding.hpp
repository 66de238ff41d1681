#pragma once

#include <napi.h>

namespace vamos {

// Adds the functions of host/modules/files/binding.ts to the addon.
void initFiles(Napi::Env env, Napi::Object exports);

}  // namespace vamos
