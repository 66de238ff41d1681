#pragma once

namespace vamos::files {

// 0, or what errno said.
using Errno = int;

}  // namespace vamos::files
