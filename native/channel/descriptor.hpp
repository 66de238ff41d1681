// Opens the descriptors that channels run over. All are nonblocking and close-on-exec; all functions throw
// ChannelError.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "protocol/error_code.hpp"
#include "wire/descriptor.hpp"

namespace vamos {

class ChannelError : public std::runtime_error {
 public:
  ChannelError(ErrorCode code, const std::string& message) : std::runtime_error(message), code(code) {}
  // Makes an error with the code that fits `error`, an errno, and the text "`what`: its text".
  static ChannelError ofErrno(int error, const std::string& what);

  ErrorCode code;
};

// Opens a virtio-serial port in the guest: /dev/virtio-ports/NAME. A UNIX socket may stand in its place.
Descriptor openPort(const std::string& path);

Descriptor connectUnix(const std::string& path);

// Begins to connect to `cid` (2: the host, 1: this machine). Once the descriptor is writable, ask
// finishConnect.
Descriptor beginConnectVsock(uint32_t cid, uint32_t port);
void finishConnect(const Descriptor& socket, const std::string& what);

// Listens at a path. Replaces a socket file on which no process listens; CHANNEL_BUSY where one does. Only
// this user may connect.
Descriptor listenUnix(const std::string& path);
Descriptor listenVsock(uint32_t port);

inline constexpr uint32_t kAnyCid = UINT32_MAX;

// Accepts the next waiting connection, if any. A vsock listener accepts only connections from `cid`; others
// are turned away.
Descriptor acceptFrom(const Descriptor& listener, uint32_t cid);

}  // namespace vamos
