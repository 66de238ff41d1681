#pragma once

namespace vamos::files {

// The result of a call: 0, or the errno.
using Errno = int;

}  // namespace vamos::files
