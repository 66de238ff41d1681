#include "client/address.hpp"

#include <poll.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace vamos::client {
namespace {

constexpr int kStopCheckMs = 50;

[[noreturn]] void refuse(const std::string& address, const std::string& why) {
  throw ChannelError(ErrorCode::BAD_ADDRESS, "channel address '" + address + "': " + why);
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == kAnyCid) return std::nullopt;
  return value;
}

Descriptor openVsock(const std::string& address, std::string_view target, TimePoint deadline,
                     const std::atomic<bool>& isStopping) {
  const size_t colon = target.find(':');
  const auto cid = number(target.substr(0, colon));
  const auto port = colon == std::string_view::npos ? std::nullopt : number(target.substr(colon + 1));
  if (!cid || !port) refuse(address, "expected vsock:CID:PORT with the other end's CID (the host is 2)");
  Descriptor socket = beginConnectVsock(*cid, *port);
  pollfd state{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  while (poll(&state, 1, kStopCheckMs) <= 0) {
    if (isStopping || Clock::now() >= deadline) {
      throw ChannelError(ErrorCode::CHANNEL_ABSENT, address + ": nobody answered in time");
    }
  }
  finishConnect(socket, address);
  return socket;
}

}  // namespace

OpenChannel openChannel(const std::string& address, TimePoint deadline, const std::atomic<bool>& isStopping) {
  const size_t colon = address.find(':');
  const std::string transport = address.substr(0, colon);
  const std::string target = colon == std::string::npos ? "" : address.substr(colon + 1);
  if (target.empty()) refuse(address, "expected unix:PATH, virtio-serial:NAME or vsock:CID:PORT");
  if (transport == "unix") return {connectUnix(target), Resync::Never};
  if (transport == "vsock") return {openVsock(address, target, deadline, isStopping), Resync::Never};
  if (transport == "virtio-serial") {
    if (target == "." || target == "..") refuse(address, "not the name of a port");
    const bool isPath = target.find('/') != std::string::npos;
    return {openPort(isPath ? target : "/dev/virtio-ports/" + target), Resync::WelcomeFirst};
  }
  refuse(address, "expected unix:PATH, virtio-serial:NAME or vsock:CID:PORT");
}

}  // namespace vamos::client
