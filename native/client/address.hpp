#pragma once

#include <atomic>
#include <string>

#include "channel/descriptor.hpp"
#include "client/signal.hpp"
#include "wire/frame.hpp"

namespace vamos::client {

struct OpenChannel {
  Descriptor descriptor;
  Resync resync = Resync::Never;
};

// Opens the connector's end of an address (unix:PATH, virtio-serial:NAME, vsock:CID:PORT), in one attempt,
// which is given up with CHANNEL_ABSENT at the deadline or soon after isStopping. Throws ChannelError.
OpenChannel openChannel(const std::string& address, TimePoint deadline, const std::atomic<bool>& isStopping);

}  // namespace vamos::client
