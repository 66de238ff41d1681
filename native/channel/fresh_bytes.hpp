#pragma once

#include <cstddef>
#include <string>

namespace vamos {

// Random bytes for names that must never come twice, not even in a guest whose memory was put back to an
// earlier state (a snapshot of QEMU). Such a guest's kernel may give the same random bytes again, so these
// are mixed with what no snapshot holds: the processor's own random numbers, where it has them, and the time
// to the nanosecond.
std::string freshBytes(size_t count);

}  // namespace vamos
