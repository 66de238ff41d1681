#include "channel/descriptor.hpp"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace vamos {
namespace {

constexpr int kBacklog = 64;
constexpr int kSocketFlags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

ErrorCode codeOfErrno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENXIO:
    case ENODEV:
    case ECONNREFUSED:
    case ECONNRESET:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EAFNOSUPPORT:
      return ErrorCode::CHANNEL_ABSENT;
    case EBUSY:
    case EADDRINUSE:
    case EAGAIN:  // a UNIX listener's backlog is full
      return ErrorCode::CHANNEL_BUSY;
    case EACCES:
    case EPERM:
      return ErrorCode::CHANNEL_DENIED;
    default:
      return ErrorCode::CHANNEL_FAILED;
  }
}

[[noreturn]] void throwErrno(const std::string& what) { throw ChannelError::ofErrno(errno, what); }

sockaddr_un unixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw ChannelError(ErrorCode::BAD_ADDRESS, path + ": the path of a UNIX socket has 1 to " +
                                                   std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

template <typename Address>
const sockaddr* generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Descriptor openSocket(int family, const std::string& what) {
  Descriptor socket(::socket(family, kSocketFlags, 0));
  if (!socket.isOpen()) throwErrno(what);
  return socket;
}

std::string nameOf(uint32_t cid, uint32_t port) {
  return "vsock:" + (cid == kAnyCid ? "any" : std::to_string(cid)) + ":" + std::to_string(port);
}

bool hasListener(const sockaddr_un& address, const std::string& path) {
  const Descriptor probe = openSocket(AF_UNIX, path);
  if (connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN) return true;
  if (errno == ECONNREFUSED || errno == ENOENT) return false;
  throwErrno(path);
}

}  // namespace

ChannelError ChannelError::ofErrno(int error, const std::string& what) {
  std::string message = what + ": " + std::strerror(error);
  if (error == EBUSY) message += " (a port has one opener at a time)";
  if (error == EAFNOSUPPORT) message += " (this kernel has no AF_VSOCK; try: modprobe vsock)";
  return {codeOfErrno(error), message};
}

Descriptor openPort(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) throwErrno(path);
  if (S_ISSOCK(status.st_mode)) return connectUnix(path);
  if (!S_ISCHR(status.st_mode)) {
    throw ChannelError(ErrorCode::BAD_ADDRESS, path + ": neither a virtio-serial port nor a UNIX socket");
  }
  Descriptor port(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!port.isOpen()) throwErrno(path);
  pollfd state{.fd = port.get(), .events = POLLIN, .revents = 0};
  if (poll(&state, 1, 0) > 0 && (state.revents & POLLHUP) != 0) {
    throw ChannelError(ErrorCode::CHANNEL_ABSENT, path + ": no host end is connected to this port");
  }
  return port;
}

Descriptor connectUnix(const std::string& path) {
  const sockaddr_un address = unixAddress(path);
  Descriptor socket = openSocket(AF_UNIX, path);
  if (connect(socket.get(), generic(address), sizeof address) != 0) throwErrno(path);
  return socket;
}

Descriptor beginConnectVsock(uint32_t cid, uint32_t port) {
  Descriptor socket = openSocket(AF_VSOCK, nameOf(cid, port));
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = cid;
  address.svm_port = port;
  if (connect(socket.get(), generic(address), sizeof address) != 0 && errno != EINPROGRESS) {
    throwErrno(nameOf(cid, port));
  }
  return socket;
}

void finishConnect(const Descriptor& socket, const std::string& what) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) throw ChannelError::ofErrno(error, what);
}

Descriptor listenUnix(const std::string& path) {
  const sockaddr_un address = unixAddress(path);
  // No other process may put a living socket file there between the look at an old one and its removal.
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const Descriptor lock(open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.isOpen() || flock(lock.get(), LOCK_EX) != 0) throwErrno(path);

  struct stat status;
  if (lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      throw ChannelError(ErrorCode::BAD_ADDRESS, path + ": there is a file that is not a socket");
    }
    if (hasListener(address, path)) {
      throw ChannelError(ErrorCode::CHANNEL_BUSY, path + ": another process listens there");
    }
    if (unlink(path.c_str()) != 0 && errno != ENOENT) throwErrno(path);
  }
  Descriptor socket = openSocket(AF_UNIX, path);
  // The file gets the socket's mode from its first moment.
  if (fchmod(socket.get(), 0600) != 0) throwErrno(path);
  if (bind(socket.get(), generic(address), sizeof address) != 0) throwErrno(path);
  if (listen(socket.get(), kBacklog) != 0) throwErrno(path);
  return socket;
}

Descriptor listenVsock(uint32_t port) {
  Descriptor socket = openSocket(AF_VSOCK, nameOf(kAnyCid, port));
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = port;
  if (bind(socket.get(), generic(address), sizeof address) != 0) throwErrno(nameOf(kAnyCid, port));
  if (listen(socket.get(), kBacklog) != 0) throwErrno(nameOf(kAnyCid, port));
  return socket;
}

Descriptor acceptFrom(const Descriptor& listener, uint32_t cid) {
  while (true) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    Descriptor socket(
        accept4(listener.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.isOpen()) {
      if (errno == EAGAIN) return {};
      if (errno == EINTR || errno == ECONNABORTED) continue;
      throwErrno("accepting a connection");
    }
    sockaddr_vm address;
    std::memcpy(&address, &peer, sizeof address);
    if (peer.ss_family == AF_VSOCK && cid != kAnyCid && address.svm_cid != cid) continue;
    return socket;
  }
}

}  // namespace vamos
